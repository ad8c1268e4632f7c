# SPDX-License-Identifier: GPL-3.0-or-later
"""What an application acknowledged, and what a node lists of it: an order, or what a contract calls so."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class AcknowledgedOrder:
    """An order that the application confirmed; `due` in seconds from the start of the run."""

    number: int
    key: str
    due: float
    phase: str
    url: str


@dataclass(slots=True)
class Ledger:
    """All orders of the run: acknowledged by number, and the keys of those that never were."""

    acknowledged: dict[int, AcknowledgedOrder] = field(default_factory=dict)
    unacknowledged: set[str] = field(default_factory=set)

    @property
    def keys(self) -> set[str]:
        """The keys of all orders, acknowledged or not."""
        return {order.key for order in self.acknowledged.values()} | self.unacknowledged


@dataclass(frozen=True, slots=True)
class ListedOrder:
    """An order as a node lists it."""

    number: int
    key: str
