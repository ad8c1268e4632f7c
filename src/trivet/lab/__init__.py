# SPDX-License-Identifier: GPL-3.0-or-later
"""The embedded lab: an environment's topology as Incus system containers on one Debian machine."""

from __future__ import annotations

from trivet.lab.lab import Lab, LabStatus, NodeStatus
from trivet.lab.network import chaos_device, chaos_table
from trivet.lab.state import LabState

__all__ = ["Lab", "LabState", "LabStatus", "NodeStatus", "chaos_device", "chaos_table"]
