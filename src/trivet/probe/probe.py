# SPDX-License-Identifier: GPL-3.0-or-later
"""The open-loop probe: requests start when they are due, whatever the answers take."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from functools import partial

from trivet.probe.contract import Application, Finding
from trivet.probe.contracts import contract_named
from trivet.probe.errors import ProbeError
from trivet.probe.failures import FailureKind, RequestFailed
from trivet.probe.http import Endpoint
from trivet.probe.load import VisitorPool
from trivet.probe.orders import AcknowledgedOrder
from trivet.probe.recorder import Outcome, Recorder
from trivet.probe.report import Failure, Json, LiveFigures, Orders, ProbeReport, Second
from trivet.probe.settings import ProbeSettings
from trivet.probe.verify import OrderVerifier

Listener = Callable[[Json], None]

EMITTED_FAILURES = 10_000


def _ignore(_event: Json) -> None:
    pass


class Probe:
    """One run of the probe, inside the caller's event loop; see BackgroundProbe for a process of its own.

    `listener` is called with JSON-able events: started, mark, live and second (once a second), failure
    (the first 10,000), order, report.
    """

    def __init__(self, settings: ProbeSettings, listener: Listener = _ignore) -> None:
        self._settings = settings
        self._contract = contract_named(settings.contract)
        self._listener = listener
        self._recorder = Recorder(settings.urls, settings.phase, settings.timeout)
        self._operations = random.Random(settings.seed)
        self._slots = asyncio.Semaphore(settings.max_in_flight)
        self._in_flight: set[asyncio.Task[None]] = set()
        self._stopped = asyncio.Event()
        self._hurried = asyncio.Event()
        self._state = "starting"
        self._start = 0.0
        self._sent = 0
        self._lag = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._crash: BaseException | None = None

    @property
    def live(self) -> LiveFigures:
        """How it goes right now."""
        return self._recorder.live(self._now(), len(self._in_flight), self._state)

    def mark(self, phase: str) -> None:
        """Requests that are due from now on belong to `phase`."""
        if not phase:
            raise ValueError("a phase needs a name")
        at = self._now()
        self._recorder.mark(phase, at)
        self._emit("mark", phase=phase, at=round(at, 3))

    def stop(self) -> None:
        """End the load; `run` then waits for the answers in flight, verifies the orders and returns."""
        self._stopped.set()

    def hurry(self) -> None:
        """End the load and cut the waiting short: the report says what was not verified."""
        self._stopped.set()
        self._hurried.set()

    async def run(self) -> ProbeReport:
        """Probe for the set duration or until `stop`.

        :raises ProbeError: when no URL shows the contract's application to begin with.
        """
        endpoints = [await self._resolve(url) for url in self._settings.urls]
        finding = Finding(endpoints, self._settings.timeout, self._settings.seed)
        application = self._application = await self._contract.find(finding)
        pools = self._pools(endpoints, application)
        self._next_pool = itertools.cycle(pools)
        self._start = asyncio.get_running_loop().time()
        self._recorder.begin()
        self._state = "running"
        self._emit("started", time=self._recorder.started.isoformat(), targets=application.targets)
        ticker = asyncio.create_task(self._tick())
        try:
            self._launch_due()
            await self._stopped.wait()
            ended = await self._drain()
            seconds = self._recorder.finish(ended)
            self._emit_seconds(seconds)
            if self._crash is not None:
                raise ProbeError(f"the probe itself failed: {self._crash!r}") from self._crash
            self._state = "verifying"
            verifier = OrderVerifier(application, self._settings)
            await self._unless_hurried(verifier.run())
            self._count_lost(verifier)
        finally:
            self._cancel_timer()
            ticker.cancel()
            self._cancel_in_flight()
            for pool in pools:
                pool.close()
        self._state = "done"
        report = self._report(ended, verifier.orders())
        self._emit("report", report=report.to_json())
        return report

    async def _resolve(self, url: str) -> Endpoint:
        try:
            return await Endpoint.resolve(url, host=self._settings.host, insecure=self._settings.insecure)
        except OSError as error:
            raise ProbeError(f"the name in {url} has no address: {error}") from None

    def _pools(self, endpoints: list[Endpoint], application: Application) -> list[VisitorPool]:
        ways = [(endpoint, keep_alive) for keep_alive in (True, False) for endpoint in endpoints]
        size = max(1, round(self._settings.clients / len(ways)))
        patience = self._settings.connect_timeout
        return [
            VisitorPool(endpoint, keep_alive, size, patience, application.new_session, self._contract.journey)
            for endpoint, keep_alive in ways
        ]

    def _launch_due(self) -> None:
        """Start every request that is due by now, and come again when the next one is."""
        loop = asyncio.get_running_loop()
        weights = self._settings.mix
        while self._sent < self._settings.total and not self._stopped.is_set():
            due = self._sent / self._settings.rate
            if due > self._now():
                self._timer = loop.call_at(self._start + due, self._launch_due)
                return
            self._lag = max(self._lag, self._now() - due)
            (operation,) = self._operations.choices(list(weights), list(weights.values()))
            task = loop.create_task(self._one(due, self._recorder.phase, operation, next(self._next_pool)))
            self._in_flight.add(task)
            task.add_done_callback(self._landed)
            self._sent += 1
        self._stopped.set()

    def _landed(self, task: asyncio.Task[None]) -> None:
        self._in_flight.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # A defect of the probe, not of the application. It must not pass for a request that went well.
            self._crash = self._crash or error
            self.hurry()

    async def _one(self, due: float, phase: str, operation: str, pool: VisitorPool) -> None:
        deadline = self._start + due + self._settings.timeout
        count = partial(self._count, url=pool.endpoint.url, phase=phase, due=due)
        # Everybody has the same patience and turns come in order, so this wait ends by the deadline too.
        await self._slots.acquire()

        def note_order(number: int, key: str) -> None:
            order = AcknowledgedOrder(number, key, due, phase, pool.endpoint.url)
            self._application.ledger.acknowledged[number] = order
            self._emit("order", order=number, key=key, at=round(due, 3))

        visitor, wanted = pool.assign(operation)
        exchange = self._application.exchange(wanted, visitor.session, note_order)
        try:
            await visitor.perform(exchange, deadline)
        except RequestFailed as error:
            count(kind=exchange.kind, node=visitor.node, failure=error.kind, detail=error.detail)
        else:
            count(kind=exchange.kind, node=visitor.node)
        finally:
            pool.give_back(visitor)
            self._slots.release()

    def _count(
        self,
        *,
        kind: str,
        url: str,
        phase: str,
        due: float,
        node: str | None,
        failure: FailureKind | None = None,
        detail: str = "",
    ) -> None:
        outcome = Outcome(kind, url, phase, due, self._now(), node, failure, detail)
        counted = self._recorder.add(outcome)
        if counted is not None:
            self._emit_failure(counted)

    async def _drain(self) -> float:
        """Wait for the answers in flight; returns when the load ended, in seconds from the start."""
        ended = self._now()
        self._cancel_timer()
        self._state = "draining"
        await self._unless_hurried(self._answers())
        self._cancel_in_flight()
        return ended

    async def _answers(self) -> None:
        while self._in_flight:
            await asyncio.wait(self._in_flight)

    def _cancel_in_flight(self) -> None:
        for task in self._in_flight:
            task.cancel()

    async def _unless_hurried(self, waiting: Coroutine[None, None, None]) -> None:
        """Wait for it, or give it up when there is no time left."""
        task, hurried = asyncio.create_task(waiting), asyncio.create_task(self._hurried.wait())
        await asyncio.wait((task, hurried), return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        if not task.done():
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    def _count_lost(self, verifier: OrderVerifier) -> None:
        goal = self._contract.journey.goal if self._contract.journey else ""
        for order, kind, detail in verifier.losses():
            outcome = Outcome(goal, order.url, order.phase, order.due, order.due, None, kind, detail)
            self._emit_failure(self._recorder.add_late(outcome))

    def _report(self, ended: float, orders: Orders) -> ProbeReport:
        recorder = self._recorder
        return ProbeReport(
            contract=self._contract.described,
            started=recorder.started.isoformat(timespec="milliseconds"),
            seconds=round(ended, 3),
            rate=self._settings.rate,
            urls=self._settings.urls,
            total=recorder.total.figures(),
            kinds={str(kind): group.figures() for kind, group in recorder.kinds.items()},
            phases={phase: group.figures() for phase, group in recorder.phases.items()},
            marks=tuple(recorder.marks),
            failures=tuple(recorder.failures),
            longest_gap=recorder.longest_gap,
            gateway_gaps=recorder.gateway_gaps,
            timeline=tuple(recorder.timeline),
            orders=orders if self._contract.described.orders else None,
            served_by=dict(recorder.served_by),
            own_lag_ms=round(self._lag * 1000, 3),
            unfinished=self._sent - recorder.total.requests,
        )

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            self._emit_seconds(self._recorder.tick(self._now()))
            self._emit("live", **asdict(self.live))

    def _now(self) -> float:
        """Seconds since the start of the load."""
        return asyncio.get_running_loop().time() - self._start if self._start else 0.0

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _emit_seconds(self, seconds: list[Second]) -> None:
        for second in seconds:
            self._emit("second", **asdict(second))

    def _emit_failure(self, failure: Failure) -> None:
        if self._recorder.total.failures.total() <= EMITTED_FAILURES:
            self._emit("failure", **asdict(failure))

    def _emit(self, event: str, **values: object) -> None:
        self._listener({"event": event, **values})
