# SPDX-License-Identifier: GPL-3.0-or-later
"""What every provider can do, and which one an environment uses."""

from __future__ import annotations

from typing import Protocol

from trivet.errors import InputError
from trivet.model.environment import Environment, Node
from trivet.model.size import Size
from trivet.providers.aws import AwsProvider
from trivet.providers.command import CommandProvider
from trivet.providers.incus import IncusProvider
from trivet.providers.progress import Tell, silent


class Provider(Protocol):
    """Makes, stops, resizes, starts and removes machines.

    Every verb waits until it is done, is harmless when repeated, and raises a TrivetError that says which machine,
    which verb, what the provider said, and what to run next.
    """

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

    def create(self, name: str, size: str, address: str | None = None) -> str:
        """Make a machine that is reached over SSH with the environment's key; the same name is the same machine.

        :param address: the one that it is to get, when others know the machine by it.
        :returns: its IPv4 address; the caller sees whether it is the one that was asked for.
        """

    def check_create(self, name: str, size: str, address: str | None = None) -> None:
        """Raise a TrivetError when :meth:`create` could not make this machine. Touches nothing.

        A machine of the name may be there, or be gone already: it is removed before.
        """

    def delete(self, node: Node) -> None:
        """Remove the machine for good, with its disks. Harmless when there is none."""


def provider_for(environment: Environment, tell: Tell = silent) -> Provider:
    """The provider that the inventory names in ``trivet_provider``.

    :param tell: gets what the provider says about its progress, a sentence at a time.
    :raises InputError: when it names none or an unknown one.
    """
    name = environment.provider
    if name == "incus":
        return IncusProvider(environment)
    if name == "command":
        return CommandProvider(environment, tell)
    if name == "aws":
        return AwsProvider(environment, tell)
    raise InputError(f"{environment.inventory}: trivet_provider is {name!r}; it takes incus, command or aws")
