# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs ``trivet-agent`` on nodes over multiplexed OpenSSH.

Ansible costs about a second per task and node; collecting facts in a gate and the hand-over of a role need
answers within tens of milliseconds, on all nodes at once.
"""

from __future__ import annotations

from trivet.remote.observe import Observation, observe
from trivet.remote.result import RemoteResult
from trivet.remote.ssh import Nodes, terminal_command
from trivet.remote.tunnels import WebTunnels

__all__ = ["Nodes", "Observation", "RemoteResult", "WebTunnels", "observe", "terminal_command"]
