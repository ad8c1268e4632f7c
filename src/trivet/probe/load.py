# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual customers: who sends the next request, on which connection."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from trivet.probe.contract import Exchange, Journey, Session
from trivet.probe.failures import FailureKind, RequestFailed
from trivet.probe.http import Connection, Endpoint, Response


class Visitor:
    """One customer at one gateway address: a session and at most one connection."""

    def __init__(self, endpoint: Endpoint, session: Session, keep_alive: bool, connect_timeout: float) -> None:
        self.session = session
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
    again: the load never waits for the application.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        keep_alive: bool,
        size: int,
        connect_timeout: float,
        new_session: Callable[[], Session],
        journey: Journey | None,
    ) -> None:
        self.endpoint = endpoint
        self._keep_alive = keep_alive
        self._connect_timeout = connect_timeout
        self._new_session = new_session
        self._journey = journey
        self._regulars = tuple(self._newcomer() for _ in range(size))
        self._idle = deque(self._regulars)
        self._goals_due = 0

    def assign(self, operation: str) -> tuple[Visitor, str]:
        """A customer for the operation, and the operation that they take up.

        A journey's goal needs a customer who is ready for it. Where nobody is, a customer takes a step towards it, and
        a later slot of step or goal makes up for it.
        """
        journey = self._journey
        if journey is None or operation not in (journey.step, journey.goal):
            return self._take(), operation
        if operation == journey.goal:
            self._goals_due += 1
        if self._goals_due:
            visitor = self._take_first(lambda session: session.ready)
            if visitor is not None:
                self._goals_due -= 1
                return visitor, journey.goal
        return self._take(), journey.step

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
        return self._newcomer()

    def _newcomer(self) -> Visitor:
        return Visitor(self.endpoint, self._new_session(), self._keep_alive, self._connect_timeout)

    def _take_first(self, wanted: Callable[[Session], bool]) -> Visitor | None:
        for visitor in self._idle:
            if wanted(visitor.session):
                self._idle.remove(visitor)
                return visitor
        return None
