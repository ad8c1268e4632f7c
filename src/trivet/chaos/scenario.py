# SPDX-License-Identifier: GPL-3.0-or-later
"""What a scenario is: data, and two small acts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from trivet.services.contract import Terms


class Where(StrEnum):
    """Which nodes a scenario strikes, by what they hold when it begins."""

    QUIET = "the node that holds fewest roles"
    WRITER = "the database writer"
    READER = "a node that is not the database writer"
    CACHE_PRIMARY = "the primary of Redis cache"
    CACHE_REPLICA = "a replica of Redis cache"
    SESSION_PRIMARY = "the primary of Redis session"
    SESSION_REPLICA = "a replica of Redis session"
    ALL = "all nodes"


@dataclass(frozen=True, slots=True)
class Aim:
    """The nodes that a scenario strikes, and those that it does not; both in the order of their ids."""

    victims: tuple[str, ...]
    others: tuple[str, ...]

    @property
    def victim(self) -> str:
        """The first, and mostly the only one, that is struck."""
        return self.victims[0]


class Ground(Protocol):
    """What the acts may do to a lab, past Trivet. Everything is bounded in time and raises GridError."""

    @property
    def nodes(self) -> tuple[str, ...]:
        """The service nodes, by their ids."""

    @property
    def terms(self) -> Terms:
        """Ports, paths and names of the services of the lab's environment."""

    @property
    def table(self) -> str:
        """Name of the nftables tables that are the suite's own."""

    @property
    def bridge(self) -> str:
        """The lab's bridge."""

    def on(self, node: str, script: str, *, seconds: float = 60.0) -> str:
        """Standard output of a shell script on a node; it must succeed."""

    def host(self, command: Sequence[str], *, stdin: str | None = None) -> str:
        """Standard output of a program on the lab's machine; it must succeed."""

    def allowed(self, command: Sequence[str]) -> bool:
        """Whether a program on the lab's machine succeeds; that it fails is no error."""

    def agents_forget(self) -> None:
        """Have the agents forget earlier incidents: their patience is for what fails again and again by itself."""

    def port(self, node: str) -> str:
        """The port of the lab's bridge that a node is plugged into."""

    def hardware_address(self, node: str) -> str:
        """The hardware address of a node's interface on the bridge."""

    def memory_mib(self, node: str) -> int:
        """The node's memory."""

    def limit_disk(self, node: str, room_mib: int | None) -> None:
        """Leave the node's root disk so much room beyond what it holds, or take the bound away."""

    def power_off(self, nodes: Sequence[str]) -> None:
        """Cut the power of nodes, of all at the same time."""

    def power_on(self, nodes: Sequence[str]) -> None:
        """Start nodes, all at the same time; does not wait for what runs in them. Harmless when they run."""


Act = Callable[[Ground, Aim], None]
"""Something done to the lab. To undo must be harmless when the injection was cut off half-way, and twice."""


def possible(_ground: Ground) -> str | None:
    """Nothing stands in the way."""
    return None


@dataclass(frozen=True, slots=True)
class Goal:
    """What a scenario is to keep to; a limit that is None is not part of it. No acknowledged order may ever be lost.

    :param failed: most failed requests.
    :param gap: longest time without any answer, in seconds.
    :param other_gap: the same on each address whose home is not the node that was struck.
    :param home_gap: the same on the address whose home is the node that was struck.
    :param order_gap: longest time without an order accepted.
    :param orders_again: seconds after the undoing until an order is accepted again.
    """

    failed: int | None = None
    gap: float | None = None
    other_gap: float | None = None
    home_gap: float | None = None
    order_gap: float | None = None
    orders_again: float | None = None

    def __str__(self) -> str:
        words = ["0 orders lost"]
        if self.failed is not None:
            words.append(f"{self.failed} failed")
        if self.gap is not None:
            words.append(f"gap ≤ {self.gap:g} s")
        if self.other_gap is not None:
            words.append(f"gap on the other addresses ≤ {self.other_gap:g} s")
        if self.home_gap is not None:
            words.append(f"gap on its own ≤ {self.home_gap:g} s")
        if self.order_gap is not None:
            words.append(f"without orders ≤ {self.order_gap:g} s")
        if self.orders_again is not None:
            words.append(f"orders again ≤ {self.orders_again:g} s")
        return ", ".join(words)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A failure, made on purpose.

    :param group: the module in :mod:`trivet.chaos.scenarios` that has it, or asks the services for it.
    :param sentence: what is broken, in words.
    :param inject: breaks it.
    :param undo: takes the injection back; None when there is nothing to take back, or that is for the agents to do.
    :param lasts: seconds from the injection until it is undone, and until a healthy verdict counts.
    :param limit: seconds from the undoing (without one: the injection) within which the verdict must be healthy.
    :param mend: what a human would do when it is not, so that the next scenario finds a healthy lab.
    :param human: the rule fails closed: a human is expected.
    :param obstacle: says why this lab cannot have the scenario, or None.
    """

    name: str
    group: str
    sentence: str
    where: Where
    inject: Act
    undo: Act | None = None
    lasts: float = 0.0
    limit: float = 120.0
    mend: Act | None = None
    goal: Goal = field(default_factory=Goal)
    human: bool = False
    obstacle: Callable[[Ground], str | None] = possible
