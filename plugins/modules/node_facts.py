#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""The few facts that the roles look at, under the names that Ansible's own gathering gives them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_facts
short_description: Distribution, memory, processors and default interface
description:
  - Ansible's own gathering of these asks for every disk, mount and device besides, which costs seconds on a busy node.
version_added: 0.1.0
author: Trivet
attributes:
  check_mode:
    description: Reads only.
    support: full
"""

EXAMPLES = r"""
- name: Gather what the node has
  trivet.commerce.node_facts:
"""

RETURN = r"""
ansible_facts:
  description: >-
    C(distribution), C(distribution_major_version), C(distribution_release), C(memtotal_mb), C(processor_nproc) and
    C(default_ipv4) with the key C(interface), which is empty without a default route.
  type: dict
  returned: always
"""

import os
import re

from ansible.module_utils.basic import AnsibleModule


def read_text(path: str) -> str:
    with open(path, encoding="utf-8") as stream:
        return stream.read()


def distribution(os_release: str) -> dict[str, str]:
    """From the text of /etc/os-release."""
    found = {key: value.strip("\"'") for key, value in re.findall(r"(?m)^([A-Z_]+)=(.*)$", os_release)}
    name = found.get("ID", "")
    return {
        "distribution": name.capitalize(),
        "distribution_major_version": found.get("VERSION_ID", "").split(".")[0],
        "distribution_release": found.get("VERSION_CODENAME", ""),
    }


def memory_mib(meminfo: str) -> int:
    """From the text of /proc/meminfo."""
    found = re.search(r"(?m)^MemTotal:\s+(\d+) kB", meminfo)
    return int(found.group(1)) // 1024 if found else 0


def default_interface(routes: str) -> dict[str, str]:
    """From the text of /proc/net/route: the interface of the default route with the lowest metric."""
    rows = [line.split() for line in routes.splitlines()[1:]]
    defaults = [row for row in rows if len(row) > 7 and row[1] == "00000000" and row[7] == "00000000"]
    return {"interface": min(defaults, key=lambda row: int(row[6]))[0]} if defaults else {}


def main() -> None:
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    facts = {
        **distribution(read_text("/etc/os-release")),
        "memtotal_mb": memory_mib(read_text("/proc/meminfo")),
        "processor_nproc": len(os.sched_getaffinity(0)),
        "default_ipv4": default_interface(read_text("/proc/net/route")),
    }
    module.exit_json(changed=False, ansible_facts=facts)


if __name__ == "__main__":
    main()
