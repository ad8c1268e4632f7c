# SPDX-License-Identifier: GPL-3.0-or-later
"""The failure suite, for labs only."""

from __future__ import annotations

from trivet.chaos import Scenario, chosen, lab_of, run_chaos
from trivet.chaos.row import Row
from trivet.chaos.table import COLUMNS, cells

__all__ = ["COLUMNS", "Row", "Scenario", "cells", "chosen", "lab_of", "run_chaos"]
