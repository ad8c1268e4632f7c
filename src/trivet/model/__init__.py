# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of the domain: environments, nodes and sizes. Pure: nothing here talks to a host."""

from __future__ import annotations

from trivet.model.environment import Environment, Node
from trivet.model.size import SIZES, Size, scaled

__all__ = ["SIZES", "Environment", "Node", "Size", "scaled"]
