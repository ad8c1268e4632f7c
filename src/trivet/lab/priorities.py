# SPDX-License-Identifier: GPL-3.0-or-later
"""Who comes first where a lab's nodes and the runner share this machine's cores, during a change."""

from __future__ import annotations

from contextlib import AbstractContextManager

from trivet.grid import instances
from trivet.lab import cores

LOW_PERCENT = 10
"""Of a container's share of the machine's cores when others want them; an idle core is its own all the same."""


class LabPriorities:
    """The priorities of the runner and of a lab's nodes: on real machines neither takes a core of a node."""

    def lower_runner_priority(self) -> AbstractContextManager[None]:
        """Let the containers run before the runner."""
        return cores.lower_runner_priority()

    def normal_runner_priority(self) -> AbstractContextManager[None]:
        """Let the runner take part like a container: on real machines it waits for no node's cores."""
        return cores.normal_runner_priority()

    def lower_node_priority(self, node: str) -> None:
        """Let the other containers run first: on real machines a node that boots takes no core of another one."""
        cores.set_idle(node, False)
        instances.set_cpu_allowance(node, LOW_PERCENT)
        cores.set_idle(node, True)

    def restore_node_priority(self, node: str) -> None:
        """Give the container the same share as the others."""
        cores.set_idle(node, False)
        instances.set_cpu_allowance(node, 100)


def after_start(node: str, others: list[str]) -> None:
    """Set again what does not outlive a container's stop: a core each for the others, and a low priority of its own."""
    cores.pin_one_core_each(others)
    if instances.listed()[node].cpu_allowance == f"{LOW_PERCENT}%":
        cores.set_idle(node, True)
