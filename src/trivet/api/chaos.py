# SPDX-License-Identifier: GPL-3.0-or-later
"""The failure suite, for labs only."""

from __future__ import annotations

from trivet.chaos import Scenario, chosen, lab_of, run_chaos
from trivet.chaos.events import Injecting, Mending, RowMade, ScenarioBegan, SuiteNoted, Undone
from trivet.chaos.row import Row
from trivet.chaos.table import COLUMNS, cells
from trivet.run.events import Event

__all__ = [
    "COLUMNS",
    "Event",
    "Injecting",
    "Mending",
    "Row",
    "RowMade",
    "Scenario",
    "ScenarioBegan",
    "SuiteNoted",
    "Undone",
    "cells",
    "chosen",
    "lab_of",
    "run_chaos",
]
