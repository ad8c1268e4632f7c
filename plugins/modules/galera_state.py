#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation of the action ``trivet.commerce.galera_state``, which does the work without a module."""

from __future__ import annotations

DOCUMENTATION = r"""
module: galera_state
short_description: State of a Galera member, and how its cluster may come up
description:
  - Without O(members), reports the state of the member on this node; it reads only.
  - With O(members), the reports of all nodes, decides how the cluster may come up, and fails with the
    evidence when starting it could lose data. It never trusts one node alone.
  - Both are asked of C(trivet-agent) on the node, which has the rules; role C(agent) comes first.
version_added: 0.1.0
author: Trivet
options:
  members:
    description: Report of every node by its inventory name, as they were returned without O(members).
    type: dict
attributes:
  check_mode:
    description: Reads only. A node without the agent has no member yet.
    support: full
"""

EXAMPLES = r"""
- name: Read the state of MariaDB
  trivet.commerce.galera_state:
  register: member
"""

RETURN = r"""
node:
  description: Name of the node.
  type: str
  returned: without members
unit:
  description: State of the systemd unit, for instance C(active), C(activating), C(inactive), C(failed).
  type: str
  returned: without members
synced:
  description: The server is ready, in the primary component and in step with it.
  type: bool
  returned: without members
standalone:
  description: A server answers that was started without Galera.
  type: bool
  returned: without members
primary:
  description: The server is in the primary component (it may still be joining).
  type: bool
  returned: without members
uuid:
  description: Cluster UUID of the data on the disk; empty when there is none.
  type: str
  returned: without members
seqno:
  description: Position of the data on the disk; -1 when it is not known.
  type: int
  returned: without members
safe_to_bootstrap:
  description: The server was the last one to leave its cluster.
  type: bool
  returned: without members
view_saved:
  description: A saved view of the primary component is there (the server did not stop cleanly).
  type: bool
  returned: without members
databases:
  description: Databases beside the system's own.
  type: list
  elements: str
  returned: without members
formation:
  description: >-
    C(join) a running primary component, C(bootstrap) a new cluster (no node has data), or C(recover)
    (all members start and the primary component restores itself).
  type: str
  returned: with members
"""
