# SPDX-License-Identifier: GPL-3.0-or-later
"""A grid: Incus system containers on one Debian machine, with a network of their own. It knows no service."""

from __future__ import annotations

from trivet.grid.grid import Grid
from trivet.grid.state import GridNode, GridState

__all__ = ["Grid", "GridNode", "GridState"]
