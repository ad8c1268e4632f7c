#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation of the action ``trivet.commerce.gluster_cluster``, which does the work without a module."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gluster_cluster
short_description: Peers, one replicated volume and its options
description:
  - Run on one node, it makes the other nodes peers, creates the volume with one brick on each node, sets its
    options and starts it.
  - The bricks of a volume that exists are never changed. A difference fails, since moving data is no work
    of a converge.
  - Options that are not named keep their value.
version_added: 0.1.0
author: Trivet
options:
  address:
    description: Address of the node that this runs on; one of O(nodes).
    type: str
    required: true
  nodes:
    description:
      - Addresses of all nodes, in the order of their bricks.
      - With more than one, the volume is replicated on all of them.
    type: list
    elements: str
    required: true
  volume:
    description: Name of the volume.
    type: str
    required: true
  brick:
    description: Path of the brick, the same on every node.
    type: path
    required: true
  options:
    description: Options of the volume.
    type: dict
    default: {}
  force:
    description: Create the volume although its bricks lie on the root file system.
    type: bool
    default: false
  timeout_seconds:
    description: How long to wait for new peers, and for another transaction of the cluster to end.
    type: int
    default: 60
attributes:
  check_mode:
    description: Reports what would be done.
    support: full
"""

EXAMPLES = r"""
- name: Form the cluster and its volume
  trivet.commerce.gluster_cluster:
    address: 192.0.2.11
    nodes: [192.0.2.11, 192.0.2.12, 192.0.2.13]
    volume: shared
    brick: /srv/glusterfs/pool/brick
    options: {network.ping-timeout: 5}
  run_once: true
"""

RETURN = r"""
actions:
  description: The gluster commands that were run (or would be, in check mode).
  type: list
  elements: str
  returned: always
"""
