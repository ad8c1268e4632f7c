# SPDX-License-Identifier: GPL-3.0-or-later
"""Scale-out and scale-in: web nodes are added and taken away under load, while the service nodes stay as they are.

``record`` keeps which web nodes there are and how far each has come, so that a killed run is continued by the same
command. ``plan`` is pure; ``steps`` knows how each step is done; ``engine`` is the loop.
"""

from __future__ import annotations

from trivet.scaling.engine import ScaleIn, ScaleOut, ScaleReport
from trivet.scaling.plan import ScalePlan

__all__ = ["ScaleIn", "ScaleOut", "ScalePlan", "ScaleReport"]
