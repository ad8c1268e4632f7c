# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks up every acknowledged order on every node once the load has ended."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trivet.probe.contract import Application
from trivet.probe.failures import FailureKind, RequestFailed
from trivet.probe.http import Endpoint
from trivet.probe.orders import AcknowledgedOrder
from trivet.probe.report import NodeOrders, Orders
from trivet.probe.settings import ProbeSettings

SECONDS_BETWEEN_LOOKS = 1.0

Loss = tuple[AcknowledgedOrder, FailureKind, str]


@dataclass(frozen=True, slots=True)
class Look:
    """What one node listed: the numbers of the orders of each of our keys, or why it could not be asked."""

    url: str
    numbers: Mapping[str, Sequence[int]]
    error: str | None = None

    def missing(self, order: AcknowledgedOrder) -> bool:
        """The node was asked and does not have the order."""
        return self.error is None and order.number not in self.numbers.get(order.key, ())

    def duplicate(self, key: str) -> bool:
        """The key made more than one order, whether or not the customer got an answer."""
        return len(self.numbers.get(key, ())) > 1

    def has_once(self, order: AcknowledgedOrder) -> bool:
        """The order is there, and the only one of its key."""
        return list(self.numbers.get(order.key, ())) == [order.number]


class OrderVerifier:
    """Asks every node for the orders of the run, until all are found or `verify_timeout` has passed.

    It may be cancelled at any time; what was seen last counts.
    """

    def __init__(self, application: Application, settings: ProbeSettings) -> None:
        self._application = application
        self._ledger = application.ledger
        self._keys = self._ledger.keys
        self._settings = settings
        urls = (settings.verify_urls or settings.urls) if self._keys else ()
        self.looks = [Look(url, {}, "not asked: the run was cut short") for url in urls]

    async def run(self) -> None:
        """Look until nothing is missing; replication may lag behind for a while."""
        deadline = asyncio.get_running_loop().time() + self._settings.verify_timeout
        while True:
            self.looks = await asyncio.gather(*(self._look(look.url) for look in self.looks))
            if self._complete or asyncio.get_running_loop().time() >= deadline:
                return
            await asyncio.sleep(SECONDS_BETWEEN_LOOKS)

    def orders(self) -> Orders:
        """The figures of the last look."""
        acknowledged = self._ledger.acknowledged.values()
        return Orders(
            acknowledged=len(acknowledged),
            found=sum(all(look.has_once(order) for look in self.looks) for order in acknowledged),
            missing=sum(any(look.missing(order) for look in self.looks) for order in acknowledged),
            duplicates=sum(any(look.duplicate(key) for look in self.looks) for key in self._keys),
            unacknowledged=len(self._ledger.unacknowledged),
            verified=all(look.error is None for look in self.looks),
            nodes=tuple(self._node(look) for look in self.looks),
        )

    def losses(self) -> list[Loss]:
        """Acknowledged orders that were lost or made twice, each with the nodes that say so."""
        losses: list[Loss] = []
        for order in self._ledger.acknowledged.values():
            missing = [look.url for look in self.looks if look.missing(order)]
            if missing:
                detail = f"order {order.number} is missing on {', '.join(missing)}"
                losses.append((order, FailureKind.ORDER_LOST, detail))
            duplicate = [look.url for look in self.looks if look.duplicate(order.key)]
            if duplicate:
                detail = f"key {order.key} of order {order.number} made more than one on {', '.join(duplicate)}"
                losses.append((order, FailureKind.ORDER_DUPLICATE, detail))
        return losses

    @property
    def _complete(self) -> bool:
        acknowledged = self._ledger.acknowledged.values()
        return all(look.error is None and not any(look.missing(order) for order in acknowledged) for look in self.looks)

    def _node(self, look: Look) -> NodeOrders:
        acknowledged = self._ledger.acknowledged.values()
        return NodeOrders(
            url=look.url,
            found=sum(look.has_once(order) for order in acknowledged),
            missing=tuple(sorted(order.number for order in acknowledged if look.missing(order))),
            duplicates=tuple(
                sorted(number for key in self._keys if look.duplicate(key) for number in look.numbers[key])
            ),
            error=look.error,
        )

    async def _look(self, url: str) -> Look:
        numbers: dict[str, list[int]] = {}
        settings = self._settings
        try:
            endpoint = await Endpoint.resolve(url, host=settings.host, insecure=settings.insecure)
            for order in await self._application.listed(endpoint):
                if order.key in self._keys:
                    numbers.setdefault(order.key, []).append(order.number)
        except (RequestFailed, OSError) as error:
            return Look(url, {}, str(error))
        return Look(url, numbers)
