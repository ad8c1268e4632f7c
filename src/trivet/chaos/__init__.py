# SPDX-License-Identifier: GPL-3.0-or-later
"""The failure suite: a lab is broken on purpose, in every way, with customers beside it."""

from __future__ import annotations

from trivet.chaos.refuse import lab_of
from trivet.chaos.row import Row
from trivet.chaos.run import ChaosReport, run_chaos
from trivet.chaos.scenario import Scenario
from trivet.chaos.scenarios import catalogue, chosen

__all__ = ["ChaosReport", "Row", "Scenario", "catalogue", "chosen", "lab_of", "run_chaos"]
