# SPDX-License-Identifier: GPL-3.0-or-later
"""Counts outcomes while they come in, in memory that does not grow with the number of requests.

What grows is one row per second of the run and one record per acknowledged order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from trivet.probe.failures import FailureKind
from trivet.probe.figures import GapTracker, LatencyHistogram, nearest_rank
from trivet.probe.report import Failure, Figures, Gap, Latency, LiveFigures, Mark, Second

KEPT_FAILURES = 50


@dataclass(frozen=True, slots=True)
class Outcome:
    """One finished request; times in seconds from the start of the run."""

    kind: str
    url: str
    phase: str
    due: float
    finished: float
    node: str | None
    failure: FailureKind | None = None
    detail: str = ""


def milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)


class _Group:
    def __init__(self) -> None:
        self.requests = 0
        self.failures: Counter[str] = Counter()
        self.latency = LatencyHistogram()

    def figures(self) -> Figures:
        p50, p90, p99 = (milliseconds(self.latency.percentile(percent)) for percent in (50, 90, 99))
        latency = Latency(p50, p90, p99, milliseconds(self.latency.maximum))
        return Figures(self.requests, self.failures.total(), dict(self.failures), latency)


@dataclass(slots=True)
class _OpenSecond:
    phase: str
    requests: int = 0
    failures: int = 0
    latencies: list[float] = field(default_factory=list)


class Recorder:
    """Collects outcomes into the figures of a report."""

    def __init__(self, urls: Iterable[str], phase: str, patience: float) -> None:
        """`patience` is how many seconds after its due time a request is surely finished."""
        self.started = datetime.now(UTC)
        self.total = _Group()
        self.kinds: dict[str, _Group] = {}
        self.phases: dict[str, _Group] = {phase: _Group()}
        self.marks = [Mark(phase, 0.0)]
        self.failures: list[Failure] = []
        self.served_by: Counter[str] = Counter()
        self.timeline: list[Second] = []
        self._open: dict[int, _OpenSecond] = {}
        self._patience = patience
        self._gap = GapTracker()
        self._gaps = {url: GapTracker() for url in urls}
        self._recent: list[float] = []
        self._recent_p99 = 0.0

    def begin(self) -> None:
        """The load starts now: second 0 of all times."""
        self.started = datetime.now(UTC)

    @property
    def phase(self) -> str:
        return self.marks[-1].phase

    def mark(self, phase: str, at: float) -> None:
        """Requests that are due from now on belong to `phase`."""
        self.marks.append(Mark(phase, round(at, 3)))
        self.phases.setdefault(phase, _Group())

    def add(self, outcome: Outcome) -> Failure | None:
        """Count a request; returns the failure if it is one."""
        latency = outcome.finished - outcome.due
        groups = self._groups(outcome.kind, outcome.phase)
        second = self._open.setdefault(int(outcome.due), _OpenSecond(outcome.phase))
        second.requests += 1
        for group in groups:
            group.requests += 1
        if outcome.node:
            self.served_by[outcome.node] += 1
        self._recent.append(latency)
        if outcome.failure is not None:
            second.failures += 1
            return self._fail(outcome, outcome.failure)
        second.latencies.append(latency)
        for group in groups:
            group.latency.add(latency)
        self._gap.success(outcome.finished)
        self._gaps[outcome.url].success(outcome.finished)
        return None

    def add_late(self, outcome: Outcome) -> Failure:
        """Count a failure of a request that had been counted as a success: an order that was lost later."""
        assert outcome.failure is not None
        return self._fail(outcome, outcome.failure)

    def tick(self, now: float) -> list[Second]:
        """Called once a second: closes the live second; returns the timeline's seconds that are complete."""
        self._recent_p99 = nearest_rank(sorted(self._recent), 99)
        self._recent.clear()
        return self._close(now - self._patience - 1)

    def finish(self, now: float) -> list[Second]:
        """The load has ended and every request is counted; returns the last seconds of the timeline."""
        for gap in (self._gap, *self._gaps.values()):
            gap.finish(now)
        return self._close(float("inf"))

    def live(self, now: float, in_flight: int, state: str) -> LiveFigures:
        return LiveFigures(
            seconds=round(now, 1),
            requests=self.total.requests,
            failures=self.total.failures.total(),
            in_flight=in_flight,
            p99_ms=milliseconds(self._recent_p99),
            phase=self.phase,
            state=state,
        )

    @property
    def longest_gap(self) -> Gap:
        return _gap(self._gap)

    @property
    def gateway_gaps(self) -> dict[str, Gap]:
        return {url: _gap(tracker) for url, tracker in self._gaps.items()}

    def _groups(self, kind: str, phase: str) -> tuple[_Group, _Group, _Group]:
        return self.total, self.kinds.setdefault(kind, _Group()), self.phases[phase]

    def _fail(self, outcome: Outcome, kind: FailureKind) -> Failure:
        for group in self._groups(outcome.kind, outcome.phase):
            group.failures[kind] += 1
        failure = Failure(
            at=round(outcome.due, 3),
            time=(self.started + timedelta(seconds=outcome.due)).isoformat(timespec="milliseconds"),
            request=outcome.kind,
            url=outcome.url,
            kind=kind,
            detail=outcome.detail,
            node=outcome.node,
            phase=outcome.phase,
        )
        if len(self.failures) < KEPT_FAILURES:
            self.failures.append(failure)
        return failure

    def _close(self, before: float) -> list[Second]:
        closed = []
        for number in sorted(number for number in self._open if number + 1 <= before):
            second = self._open.pop(number)
            ordered = sorted(second.latencies)
            p50, p99 = (milliseconds(nearest_rank(ordered, percent)) for percent in (50, 99))
            closed.append(Second(number, second.phase, second.requests, second.failures, p50, p99))
        self.timeline += closed
        return closed


def _gap(tracker: GapTracker) -> Gap:
    return Gap(round(tracker.longest, 3), round(tracker.since, 3))
