#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation of the action ``trivet.commerce.node_facts``, which does the work without a module."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_facts
short_description: What the roles have to know of a node, as facts
description:
  - Looks at system, cores, memory, network and, when asked, packages of a node in one execution of a shell, and
    remembers them under the names of Ansible's own facts.
  - Stands for C(ansible.builtin.setup) and C(ansible.builtin.package_facts), which take a second or two of each node.
    Who runs the roles from a play of their own may gather facts by these as usual.
version_added: 0.1.0
author: Trivet
options:
  packages:
    description: Look at the installed packages, too.
    type: bool
    default: false
attributes:
  check_mode:
    description: Reads only.
    support: full
"""

EXAMPLES = r"""
- name: Look at what the node has
  trivet.commerce.node_facts:
    packages: true
"""

RETURN = r"""
ansible_facts:
  description: >-
    C(ansible_distribution), C(ansible_distribution_major_version), C(ansible_processor_nproc),
    C(ansible_memtotal_mb) in MiB, C(ansible_default_ipv4) with the key C(interface), and C(packages), versions by name.
  type: dict
  returned: always
"""
