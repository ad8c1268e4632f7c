#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation of the action ``trivet.commerce.command``, which does the work without a module."""

from __future__ import annotations

DOCUMENTATION = r"""
module: command
short_description: Run a command on a node without a module
description:
  - As M(ansible.builtin.command), at the price of a shell. A module costs the node 0.3 to 0.6 seconds of processor
    before it does anything; a node's turn in a rotation is made of dozens of commands.
  - Give one of O(cmd), O(argv) and O(script). No variable of the node's environment is expanded in the first two.
  - The words of a command can be seen on the node while it runs; give a secret by O(stdin).
version_added: 0.1.0
author: Trivet
options:
  cmd:
    description: The command, split into words as a shell would; no shell reads them.
    type: str
  argv:
    description: The words of the command.
    type: list
    elements: str
  script:
    description: A script for the node's C(sh).
    type: str
  stdin:
    description: What the command reads; nothing by default.
    type: str
    default: ""
attributes:
  check_mode:
    description: Skipped, unless the task says C(check_mode) is false.
    support: none
  diff_mode:
    description: Shows no difference.
    support: none
"""

EXAMPLES = r"""
- name: Tell every proxy that the database of this node drains
  trivet.commerce.command:
    cmd: trivet-agent drain database --owner ansible --expires 3600
  register: drained
  changed_when: (drained.stdout | from_json).changed
"""

RETURN = r"""
rc:
  description: Exit code of the command; 254 also where it was 255, by which ssh means a node that cannot be reached.
  type: int
  returned: always
stdout:
  description: What it wrote.
  type: str
  returned: always
stdout_lines:
  description: What it wrote, by lines.
  type: list
  elements: str
  returned: always
stderr:
  description: What it wrote to its error output.
  type: str
  returned: always
"""
