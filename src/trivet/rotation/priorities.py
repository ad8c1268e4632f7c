# SPDX-License-Identifier: GPL-3.0-or-later
"""Who comes first on the cores while a node is changed; it matters where a lab's nodes and the runner share them."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from trivet.lab import LabPriorities
from trivet.model import Environment


class CorePriorities(Protocol):
    """The priorities of the runner and of the nodes."""

    def lower_runner_priority(self) -> AbstractContextManager[None]:
        """While the runner makes a change, the nodes come first."""

    def normal_runner_priority(self) -> AbstractContextManager[None]:
        """While clients are held for what the runner does, it waits for no node."""

    def lower_node_priority(self, node: str) -> None:
        """The node serves nobody for now: the others come first."""

    def restore_node_priority(self, node: str) -> None:
        """The node serves again."""


class OwnCores:
    """Every machine has cores of its own: there is nothing to do."""

    def lower_runner_priority(self) -> AbstractContextManager[None]:
        """Nothing."""
        return nullcontext()

    def normal_runner_priority(self) -> AbstractContextManager[None]:
        """Nothing."""
        return nullcontext()

    def lower_node_priority(self, node: str) -> None:
        """Nothing."""

    def restore_node_priority(self, node: str) -> None:
        """Nothing."""


def core_priorities(environment: Environment) -> CorePriorities:
    """Those of an environment: a lab's, or none."""
    return LabPriorities() if environment.provider == "incus" else OwnCores()
