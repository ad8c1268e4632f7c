# SPDX-License-Identifier: GPL-3.0-or-later
"""The embedded lab: an environment's topology as a small grid on a machine with few cores and no way out."""

from __future__ import annotations

from trivet.lab.lab import Lab, LabStatus, NodeStatus, grid_of
from trivet.lab.packet_rules import chaos_device, chaos_table
from trivet.lab.priorities import LabPriorities
from trivet.lab.state import LabState

__all__ = ["Lab", "LabPriorities", "LabState", "LabStatus", "NodeStatus", "chaos_device", "chaos_table", "grid_of"]
