# SPDX-License-Identifier: GPL-3.0-or-later
"""From times and values to places on paper. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

# A pause is folded up when it is longer than this, and longer than a good part of what did happen.
_SHORTEST_FOLD_SECONDS = 120.0
_FOLD_SHARE = 0.25
_FOLD_WIDTH = 26.0
_TICK_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400)


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time without a long pause: epoch seconds, and the places of its two ends."""

    since: float
    until: float
    left: float
    right: float


@dataclass(frozen=True, slots=True)
class Tick:
    """A place with its label."""

    place: float
    label: str


@dataclass(frozen=True, slots=True)
class TimeScale:
    """Time to the right, with long pauses folded up."""

    stretches: tuple[Stretch, ...]

    def x(self, at: float) -> float:
        """The place of a time (epoch seconds); outside of the scale the nearer end."""
        first, last = self.stretches[0], self.stretches[-1]
        if at <= first.since:
            return first.left
        for stretch, following in zip(self.stretches, (*self.stretches[1:], None), strict=True):
            if at <= stretch.until:
                return _between(at, stretch.since, stretch.until, stretch.left, stretch.right)
            if following is not None and at < following.since:
                return _between(at, stretch.until, following.since, stretch.right, following.left)
        return last.right

    @property
    def folds(self) -> tuple[Stretch, ...]:
        """The pauses that are folded up."""
        pairs = zip(self.stretches, self.stretches[1:], strict=False)
        return tuple(Stretch(one.until, other.since, one.right, other.left) for one, other in pairs)

    def ticks(self, apart: float = 78.0) -> tuple[Tick, ...]:
        """Round times of day (UTC) at least `apart` from each other."""
        found: list[Tick] = []
        for stretch in self.stretches:
            per_pixel = (stretch.until - stretch.since) / max(1.0, stretch.right - stretch.left)
            step = next((step for step in _TICK_STEPS if step >= per_pixel * apart), _TICK_STEPS[-1])
            for number in range(math.ceil(stretch.since / step), math.floor(stretch.until / step) + 1):
                place = self.x(number * step)
                if not found or place - found[-1].place >= apart:
                    found.append(Tick(place, _clock(number * step, step)))
        return tuple(found)


def time_scale(active: Iterable[tuple[float, float]], left: float, right: float) -> TimeScale:
    """A scale over the times in which something happened or was measured (pairs of epoch seconds)."""
    merged = _merged(sorted((since, max(since, until)) for since, until in active)) or [(0.0, 1.0)]
    total = sum(until - since for since, until in merged)
    fold = min(_FOLD_WIDTH, (right - left) * 0.3 / max(1, len(merged) - 1))
    room = right - left - fold * (len(merged) - 1)
    stretches, place = [], left
    for since, until in merged:
        width = room * (until - since) / total
        stretches.append(Stretch(since, until, place, place + width))
        place += width + fold
    return TimeScale(tuple(stretches))


def _merged(spans: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The spans without the pauses that are too short to fold; each at least two seconds long."""
    longest = max(_SHORTEST_FOLD_SECONDS, _FOLD_SHARE * _covered(spans))
    merged: list[tuple[float, float]] = []
    for since, until in spans:
        if merged and since - merged[-1][1] <= longest:
            merged[-1] = (merged[-1][0], max(merged[-1][1], until))
        else:
            merged.append((since, until))
    return [(since, until) if until - since >= 2 else (since - 1, until + 1) for since, until in merged]


def _covered(spans: Sequence[tuple[float, float]]) -> float:
    covered, reached = 0.0, -math.inf
    for since, until in spans:
        covered += max(0.0, until - max(since, reached))
        reached = max(reached, until)
    return covered


@dataclass(frozen=True, slots=True)
class LinearScale:
    """Values from 0 upwards; `bottom` is the place of 0, `top` that of `maximum`."""

    maximum: float
    bottom: float
    top: float

    def y(self, value: float) -> float:
        """The place of a value; above the maximum it is the top."""
        return _between(min(max(value, 0.0), self.maximum), 0.0, self.maximum, self.bottom, self.top)

    def ticks(self) -> tuple[Tick, ...]:
        """Nothing, the half, and the maximum."""
        return tuple(Tick(self.y(value), f"{value:g}") for value in (0.0, self.maximum / 2, self.maximum))


def linear_scale(largest: float, bottom: float, top: float) -> LinearScale:
    """From 0 to the next round number at or above `largest`."""
    power = 10.0 ** math.floor(math.log10(largest)) if largest > 0 else 1.0
    maximum = next(step * power for step in (1, 1.2, 1.6, 2, 3, 4, 6, 8, 10) if step * power >= largest * 0.999)
    return LinearScale(maximum, bottom, top)


@dataclass(frozen=True, slots=True)
class LogScale:
    """Milliseconds in decades between two powers of ten."""

    low: int
    high: int
    bottom: float
    top: float

    def y(self, milliseconds: float) -> float:
        """The place of a latency; outside of the decades the nearer end."""
        exponent = min(max(math.log10(max(milliseconds, 1e-9)), self.low), self.high)
        return _between(exponent, self.low, self.high, self.bottom, self.top)

    def ticks(self) -> tuple[Tick, ...]:
        """Every power of ten."""
        return tuple(Tick(self.y(10.0**power), _latency(power)) for power in range(self.low, self.high + 1))


def log_scale(values: Iterable[float], bottom: float, top: float) -> LogScale:
    """The decades that hold all positive values; 1 ms to 1 s of none."""
    exponents = [math.log10(value) for value in values if value > 0] or [0.0, 3.0]
    low = math.floor(min(exponents))
    return LogScale(low, max(low + 1, math.ceil(max(exponents))), bottom, top)


def place_labels(wanted: Sequence[tuple[float, float]], rows: int) -> tuple[int, ...]:
    """A row for each label so that none covers another; the last row takes what finds no room.

    :param wanted: the left and right end of each label, in order of their left ends.
    """
    ends = [-math.inf] * rows
    chosen = []
    for left, right in wanted:
        row = next((row for row in range(rows) if ends[row] <= left), rows - 1)
        ends[row] = right
        chosen.append(row)
    return tuple(chosen)


def _between(value: float, low: float, high: float, start: float, end: float) -> float:
    return start + (end - start) * (value - low) / (high - low) if high > low else start


def _clock(at: float, step: int) -> str:
    moment = datetime.fromtimestamp(at, UTC)
    if step >= 86400:
        return f"{moment:%d %b}"
    return f"{moment:%H:%M}" if step % 60 == 0 else f"{moment:%H:%M:%S}"


def _latency(power: int) -> str:
    return f"{10.0 ** (power - 3):g} s" if power >= 3 else f"{10.0**power:g} ms"
