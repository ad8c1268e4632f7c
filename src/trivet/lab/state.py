# SPDX-License-Identifier: GPL-3.0-or-later
"""What a lab remembers beside its grid: which environment it is like, and how much smaller."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from trivet.grid.state import GridState
from trivet.model.size import Size, scaled, size_named


@dataclass(slots=True, kw_only=True)
class LabState(GridState):
    """A lab as it was asked for.

    Args:
        like: The inventory whose topology it has, as a path.
        scale: Factor on every size of the table.
        variables: The inventory variables of ``like`` that hold for all of its nodes.
    """

    like: str
    scale: float
    variables: dict[str, Any] = field(default_factory=dict)

    def node_size(self, name: str) -> Size:
        """What a node of the lab has at a size of the table."""
        return scaled(size_named(name), self.scale, os.cpu_count())
