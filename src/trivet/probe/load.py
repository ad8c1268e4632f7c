# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual customers: who sends the next request, on which connection."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from trivet.probe.failures import FailureKind, RequestFailed
from trivet.probe.http import Connection, Endpoint, Response
from trivet.probe.settings import Operation, RequestKind
from trivet.probe.shop import Exchange, Session


class Visitor:
    """One customer at one gateway address: a session and at most one connection."""

    def __init__(self, endpoint: Endpoint, keep_alive: bool, connect_timeout: float) -> None:
        self.session = Session()
        self.node: str | None = None
        """The node that answered last, or began to."""
        self._endpoint = endpoint
        self._keep_alive = keep_alive
        self._connect_timeout = connect_timeout
        self._connection: Connection | None = None

    async def perform(self, exchange: Exchange, deadline: float) -> None:
        """Send one request, once, and judge its answer; `deadline` in the event loop's time.

        :raises RequestFailed: for whatever is not a right answer in time.
        """
        self.node = None
        try:
            response = await self._send(exchange, deadline)
            self.session.take_cookies(response)
            exchange.accept(response)
        except BaseException:
            exchange.failed()
            raise

    async def _send(self, exchange: Exchange, deadline: float) -> Response:
        if deadline <= asyncio.get_running_loop().time():
            raise RequestFailed(FailureKind.TIMEOUT, "not even sent in time: too many others were in flight")
        connection = await self._connected(deadline)
        headers = dict(exchange.headers)
        if self.session.cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.session.cookies.items())
        request = self._endpoint.request(
            exchange.method, exchange.target, headers, exchange.body, keep_alive=self._keep_alive
        )
        try:
            async with asyncio.timeout_at(deadline):
                response = await connection.exchange(request)
        except TimeoutError:
            raise RequestFailed(FailureKind.TIMEOUT, "no complete answer in time") from None
        finally:
            self.node = connection.node
        if not self._keep_alive:
            connection.close()
        return response

    async def _connected(self, deadline: float) -> Connection:
        if self._connection is not None and self._connection.usable:
            # Two turns of the event loop: one to poll the socket, one to run what it reports. A connection
            # that the server closed while it was idle is then known to be closed before anything is sent.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        if self._connection is None or not self._connection.usable:
            remaining = deadline - asyncio.get_running_loop().time()
            self._connection = await Connection.open(self._endpoint, min(self._connect_timeout, remaining))
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


class VisitorPool:
    """The customers of one gateway address and one way of connecting.

    They take turns, so that each connection is idle for a while between requests, as a browser's is. When
    all are waiting for an answer somebody else comes along, and leaves when there are idle ones enough
    again: the load never waits for the shop.
    """

    def __init__(self, endpoint: Endpoint, keep_alive: bool, size: int, connect_timeout: float) -> None:
        self.endpoint = endpoint
        self._keep_alive = keep_alive
        self._connect_timeout = connect_timeout
        self._regulars = tuple(Visitor(endpoint, keep_alive, connect_timeout) for _ in range(size))
        self._idle = deque(self._regulars)
        self._orders_due = 0

    def assign(self, operation: Operation) -> tuple[Visitor, RequestKind]:
        """A customer for the operation, and the request that they send.

        An order needs a cart that was read back. Where nobody has one yet, a customer takes a step towards
        it, and a later slot of cart or order makes up for the order.
        """
        if operation not in (Operation.CART, Operation.ORDER):
            return self._take(), RequestKind(operation)
        if operation is Operation.ORDER:
            self._orders_due += 1
        if self._orders_due:
            visitor = self._take_first(lambda session: session.ready_to_order)
            if visitor is not None:
                self._orders_due -= 1
                return visitor, RequestKind.ORDER
        visitor = self._take()
        return visitor, visitor.session.next_cart_step

    def give_back(self, visitor: Visitor) -> None:
        """The visitor's request is finished."""
        if visitor in self._regulars or len(self._idle) < len(self._regulars):
            self._idle.append(visitor)
        else:
            visitor.close()

    def close(self) -> None:
        """Close all connections; those of visitors with a request in flight end with it."""
        for visitor in {*self._regulars, *self._idle}:
            visitor.close()

    def _take(self) -> Visitor:
        if self._idle:
            return self._idle.popleft()
        return Visitor(self.endpoint, self._keep_alive, self._connect_timeout)

    def _take_first(self, wanted: Callable[[Session], bool]) -> Visitor | None:
        for visitor in self._idle:
            if wanted(visitor.session):
                self._idle.remove(visitor)
                return visitor
        return None
