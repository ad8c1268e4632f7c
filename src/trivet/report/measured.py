# SPDX-License-Identifier: GPL-3.0-or-later
"""A probe's report on the clock of the journal, and how much of the change it saw. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from trivet.probe.report import Figures, ProbeReport, Second

# The phases that `trivet.api` marks.
BEFORE, DURING = "before", "during"
# The probe and the journal round their times, and the phase begins a moment before the first step.
_CLOCK_TOLERANCE_SECONDS = 2.0
# Less of a second than this holds too few requests to tell a rate from.
_LEAST_PART_OF_A_SECOND = 0.5


@dataclass(frozen=True, slots=True)
class Point:
    """What was measured from `at` (epoch seconds) on, for `seconds`.

    `answered` and `failed` are per second. Latencies in milliseconds are None where no request was answered;
    a point of several seconds has the median of their p50 and the worst of their p99.
    """

    at: float
    seconds: float
    requests: int
    failures: int
    answered: float | None
    failed: float | None
    p50_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True, slots=True)
class Measured:
    """A probe's report with its beginning and end in epoch seconds.

    `share` is the part of the change that it saw (0 to 1), None when the change has no step.
    """

    report: ProbeReport
    began: float
    ended: float
    share: float | None

    @property
    def during(self) -> Figures:
        """The requests that were due while the change ran; all, where no such phase was marked."""
        return self.report.phases.get(DURING, self.report.total)

    @property
    def before(self) -> Figures | None:
        """The requests before the change, to compare with."""
        return self.report.phases.get(BEFORE)

    @property
    def failed_outside(self) -> int:
        """Failed requests that were due before or after the change."""
        return self.report.total.failures - self.during.failures

    @property
    def whole(self) -> bool:
        """Whether the probe saw the change from its first step to its last."""
        return self.share is None or self.share >= 1


def measure(report: ProbeReport, window: tuple[float, float] | None) -> Measured:
    """Put a probe's report on the journal's clock.

    :param window: from the first step to the end of the last, in epoch seconds.
    """
    started = datetime.fromisoformat(report.started)
    began = (started if started.tzinfo else started.replace(tzinfo=UTC)).timestamp()
    return Measured(report, began, began + report.seconds, _share(began, began + report.seconds, window))


def _share(began: float, ended: float, window: tuple[float, float] | None) -> float | None:
    if window is None:
        return None
    since, until = window
    missed = max(0.0, began - since) + max(0.0, until - ended)
    if missed <= _CLOCK_TOLERANCE_SECONDS:
        return 1.0
    return max(0.0, 1 - missed / (until - since)) if until - since > missed else 0.0


def answered(figures: Figures) -> int:
    """How many requests have a latency. Losses that show only afterwards count as failures and as answers."""
    return max(0, figures.requests - figures.failures)


def points(measured: Measured, most: int = 900) -> tuple[Point, ...]:
    """The timeline as at most about `most` points, each of the same whole number of seconds."""
    width = max(1, math.ceil(measured.report.seconds / most))
    bins: dict[int, list[Second]] = {}
    for second in measured.report.timeline:
        bins.setdefault(second.second // width, []).append(second)
    return tuple(_point(measured, number * width, width, bins[number]) for number in sorted(bins))


def _point(measured: Measured, since: int, width: int, seconds: Sequence[Second]) -> Point:
    requests = sum(second.requests for second in seconds)
    failures = sum(second.failures for second in seconds)
    heard = [second for second in seconds if second.requests > second.failures]
    medians = sorted(second.p50_ms for second in heard)
    lasted = min(float(width), measured.report.seconds - since)
    # The load may end in the middle of a second; what was due in the rest of it would look like an outage.
    told = lasted >= _LEAST_PART_OF_A_SECOND
    return Point(
        at=measured.began + since,
        seconds=max(lasted, 0.0),
        requests=requests,
        failures=failures,
        answered=(requests - failures) / lasted if told else None,
        failed=failures / lasted if told else None,
        p50_ms=medians[len(medians) // 2] if medians else None,
        p99_ms=max((second.p99_ms for second in heard), default=None),
    )
