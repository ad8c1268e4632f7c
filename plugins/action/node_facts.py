# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at a node for ``trivet.commerce.node_facts``.

Not by ``set_fact``: what that remembers carries where it was written, and Ansible reads a host's facts anew for every
task and every look into ``hostvars``, most of whose time went into that (docs/performance.md).
"""

from __future__ import annotations

import re
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible_collections.trivet.commerce.plugins.plugin_utils.on_node import ActionOnNode

OPTIONS = {"packages": {"type": "bool", "default": False}}
SCRIPT = r"""
. /etc/os-release
echo "system $ID ${VERSION_ID%%.*}"
echo "cores $(nproc)"
awk '/^MemTotal:/ {print "memory", int($2 / 1024)}' /proc/meminfo
ip -4 route show default | sed -n '1s/.* dev \([^ ]*\).*/interface \1/p'
"""
PACKAGES = r"""
dpkg-query --show --showformat='${db:Status-Status} package ${Package} ${Version}\n' | sed -n 's/^installed //p'
"""


class ActionModule(ActionOnNode):
    """One look at a node, as facts."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(OPTIONS)
        ended = self.run_script(SCRIPT + (PACKAGES if arguments["packages"] else ""))
        said = str(ended["stdout"])
        try:
            facts = _facts(said)
        except MissingFact:
            raise AnsibleActionFail(f"the node does not say what it is: {ended['stderr'].strip() or said}") from None
        if arguments["packages"]:
            facts["packages"] = dict(re.findall(r"(?m)^package (\S+) (\S+)\r?$", said))
        return {**result, "changed": False, "ansible_facts": facts}


class MissingFact(Exception):
    """The script did not say what it says of every node."""


def _said(pattern: str, said: str) -> re.Match[str]:
    """A line of what the script said.

    Raises:
        MissingFact: When it is not there.
    """
    if found := re.search(rf"(?m)^{pattern}\r?$", said):
        return found
    raise MissingFact(pattern)


def _facts(said: str) -> dict[str, Any]:
    """The facts in what the script said.

    Raises:
        MissingFact: When one of those that every node has is missing.
    """
    system = _said(r"system (\S+) (\S*)", said)
    cores = _said(r"cores (\d+)", said)
    memory = _said(r"memory (\d+)", said)
    interface = re.search(r"(?m)^interface (\S+)\r?$", said)
    return {
        "ansible_distribution": system.group(1).capitalize(),
        "ansible_distribution_major_version": system.group(2),
        "ansible_processor_nproc": int(cores.group(1)),
        "ansible_memtotal_mb": int(memory.group(1)),
        # A node without a default route has none.
        "ansible_default_ipv4": {"interface": interface.group(1)} if interface else {},
    }
