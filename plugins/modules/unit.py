#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation of the action ``trivet.commerce.unit``, which does the work without a module."""

from __future__ import annotations

DOCUMENTATION = r"""
module: unit
short_description: Bring units of systemd into a state, without a module
description:
  - As M(ansible.builtin.systemd_service), for several units at once and at the price of a shell. A module costs the
    node 0.6 seconds of processor before it asks systemd for anything.
  - A unit that is on its way up or down is waited for; one that is not there fails, but for check mode.
version_added: 0.1.0
author: Trivet
options:
  name:
    description: Units, in the order in which they are brought there.
    type: list
    elements: str
    default: []
  state:
    description: What they are to be. V(restarted) and V(reloaded) act always; V(reloaded) starts what does not run.
    type: str
    choices: [started, stopped, restarted, reloaded]
  enabled:
    description: Whether they start with the machine.
    type: bool
  daemon_reload:
    description: Have systemd read its files first. By itself this counts as no change.
    type: bool
    default: false
  no_block:
    description: Ask for the state and do not wait for it.
    type: bool
    default: false
attributes:
  check_mode:
    description: Says what would be done.
    support: full
  diff_mode:
    description: Shows no difference.
    support: none
"""

EXAMPLES = r"""
- name: Start HAProxy
  trivet.commerce.unit:
    name: haproxy.service
    state: started
    enabled: true
"""

RETURN = r"""
done:
  description: What was done, or would be in check mode, such as C(start haproxy.service).
  type: list
  elements: str
  returned: always
"""
