# SPDX-License-Identifier: GPL-3.0-or-later
"""What every provider can do, and which one an environment uses."""

from __future__ import annotations

from typing import Protocol

from trivet.errors import InputError
from trivet.model.environment import Environment, Node
from trivet.model.size import Size
from trivet.providers.command import CommandProvider
from trivet.providers.incus import IncusProvider


class Provider(Protocol):
    """Stops, resizes and starts machines. Every verb waits until it is done and is harmless when repeated."""

    def check(self, node: Node) -> None:
        """Raise a TrivetError when the machine could not be resized. Touches nothing."""

    def target(self, size: str) -> Size:
        """What a node of this provider gets at a size of the table."""

    def stop(self, node: Node) -> None:
        """Shut the machine down cleanly."""

    def resize(self, node: Node, size: str) -> None:
        """Give the stopped machine the CPUs and memory of a size."""

    def start(self, node: Node) -> None:
        """Start the machine and wait until SSH answers."""

    def record(self, size: str) -> None:
        """Remember the size as the environment's own, where the provider keeps the inventory."""

    def create(self, name: str, size: str) -> str:
        """Make a machine of that name, reachable over SSH with the environment's key; its IPv4 address."""

    def delete(self, node: Node) -> None:
        """Remove the machine for good. Harmless when there is none."""


def provider_for(environment: Environment) -> Provider:
    """The provider that the inventory names in ``trivet_provider``.

    :raises InputError: when it names none or an unknown one.
    """
    name = environment.provider
    if name == "incus":
        return IncusProvider(environment)
    if name == "command":
        return CommandProvider(environment)
    raise InputError(f"{environment.inventory}: trivet_provider is {name!r}; it takes incus or command")
