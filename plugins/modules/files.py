#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation of the action ``trivet.commerce.files``, which does the work without a module."""

from __future__ import annotations

DOCUMENTATION = r"""
module: files
short_description: Apply a set of files, directories and links in one call
description:
  - Writes the whole configuration of a service by one short program on the node, by Python's standard library alone.
  - The cost of Ansible is module executions, not SSH, so this is none.
  - Templates are rendered on the controller.
  - All or nothing. When the validation of one file fails, no file is changed.
version_added: 0.1.0
author: Trivet
options:
  files:
    description: Files to write.
    type: list
    elements: dict
    default: []
    suboptions:
      src:
        description: Template in the role's C(templates/) folder, rendered on the controller.
        type: str
      vars:
        description: Variables for the template O(files[].src), above those of the play.
        type: dict
        default: {}
      content:
        description: Literal content, instead of O(files[].src).
        type: str
      content_base64:
        description: Binary content in base64, instead of O(files[].src).
        type: str
      dest:
        description: Absolute path on the node.
        type: path
        required: true
      owner:
        description: Owner, by name.
        type: str
        default: root
      group:
        description: Group, by name.
        type: str
        default: root
      mode:
        description: Permissions as four octal digits.
        type: str
        default: "0644"
      validate:
        description: Command that checks the staged file, with C(%s) for its path.
        type: str
      force:
        description: When false, a file that exists is left as it is (content, owner and mode).
        type: bool
        default: true
  directories:
    description: Directories to have, before the files.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path on the node.
        type: path
        required: true
      owner:
        description: Owner, by name.
        type: str
        default: root
      group:
        description: Group, by name.
        type: str
        default: root
      mode:
        description: Permissions as four octal digits.
        type: str
        default: "0755"
  links:
    description: Symbolic links to have, after the files.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path of the link.
        type: path
        required: true
      target:
        description: What the link points to.
        type: str
        required: true
  absent:
    description: Files or links to remove (never a directory).
    type: list
    elements: path
    default: []
  pending:
    description:
      - What has to be reloaded or restarted when something of this changes. It is marked in
        C(/etc/trivet/pending-reload/) or C(/etc/trivet/pending-restart/) before the first change, shown by
        C(trivet status), and not forgotten when a later task fails.
      - M(trivet.commerce.reload) reloads what is marked. What is marked for a restart, the next rotation restarts.
    type: list
    elements: dict
    default: []
    suboptions:
      reload:
        description: Name of the service that is to be reloaded.
        type: str
      restart:
        description: Name of the service that is to be restarted.
        type: str
      path:
        description: Regular expression that a changed file, link or removed file must match. By default any does.
        type: str
        default: ""
attributes:
  check_mode:
    description: Validates and reports what would change.
    support: full
  diff_mode:
    description: One diff for each changed file.
    support: full
"""

EXAMPLES = r"""
- name: Write the configuration of HAProxy
  trivet.commerce.files:
    files:
      - src: haproxy.cfg.j2
        dest: /etc/haproxy/haproxy.cfg
        group: haproxy
        mode: "0640"
        validate: haproxy -c -f %s
  register: haproxy_files
"""

RETURN = r"""
changed_files:
  description: Destinations whose content, owner, mode or existence changed (or would, in check mode).
  type: list
  elements: str
  returned: always
"""
