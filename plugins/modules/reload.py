#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation of the action ``trivet.commerce.reload``, which does the work without a module."""

from __future__ import annotations

DOCUMENTATION = r"""
module: reload
short_description: Have services take the changed configuration that waits for them
description:
  - Reloads the services that M(trivet.commerce.files) has marked in C(/etc/trivet/pending-reload/), and removes a mark
    only when its service has taken its configuration. A mark is written before the files it is about, so whatever fails
    between the two, the next run reloads.
  - A unit that does not run is left alone, and its mark removed. It reads its configuration when it starts.
  - One service that fails does not keep the next from being reloaded.
version_added: 0.1.0
author: Trivet
options:
  services:
    description: The services, in the order in which they are reloaded.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the mark, as O(trivet.commerce.files#module:pending[].reload) has it.
        type: str
        required: true
      unit:
        description: Its unit; by default the name with C(.service).
        type: str
      verb:
        description: What makes the unit take its configuration.
        type: str
        choices: [reload, restart]
        default: reload
      script:
        description:
          - A shell script to run instead, for what is no unit. It fails with its first command that fails.
          - The exit code 75 says that nothing can be taken now. The mark is left, and nothing has failed.
        type: str
      files:
        description:
          - Also reload when one of these was written after the youngest process of the unit began. For units whose
            reload begins a process.
        type: list
        elements: path
        default: []
      force:
        description: Reload without a mark, too.
        type: bool
        default: false
      new_process:
        description: A reload is done when the unit has a process that it did not have before.
        type: bool
        default: false
      timeout_seconds:
        description: How long the unit may take.
        type: float
        default: 60.0
attributes:
  check_mode:
    description: Says what would be done.
    support: full
  diff_mode:
    description: Shows no difference.
    support: none
"""

EXAMPLES = r"""
- name: Write the configuration of HAProxy
  trivet.commerce.files:
    files:
      - {src: haproxy.cfg.j2, dest: /etc/haproxy/haproxy.cfg, validate: haproxy -c -f %s}
    pending:
      - {reload: haproxy}

- name: Reload HAProxy where a changed configuration waits
  trivet.commerce.reload:
    services:
      - {name: haproxy, new_process: true}
"""

RETURN = r"""
done:
  description: What was done, or would be in check mode, such as C(reload haproxy.service).
  type: list
  elements: str
  returned: always
"""
