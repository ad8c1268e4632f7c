# SPDX-License-Identifier: GPL-3.0-or-later
"""The deploy: a release of an application goes live on all nodes, while customers go on.

check → ship → prepare → ask → (hold) → hook → warm → record → switch → (release) → post-deploy → retire → verdict.
Up to *record* nothing is changed for customers, and whatever fails is undone. From *record* on the deploy is gone on
with (``--resume``) or taken back (``trivet rollback``).
"""

from __future__ import annotations

from trivet.deploy.deploys import DeployReport, Deploys
from trivet.deploy.plan import WHAT_HAPPENS, DeployPlan, Step
from trivet.deploy.source import Source

__all__ = ["WHAT_HAPPENS", "DeployPlan", "DeployReport", "Deploys", "Source", "Step"]
