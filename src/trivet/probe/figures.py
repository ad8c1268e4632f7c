# SPDX-License-Identifier: GPL-3.0-or-later
"""Percentiles and gaps in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Sequence


def nearest_rank(ordered: Sequence[float], percent: float) -> float:
    """The smallest of the ascending values that at least `percent` of them do not exceed; 0.0 of none."""
    return ordered[_rank(len(ordered), percent) - 1] if ordered else 0.0


def _rank(count: int, percent: float) -> int:
    # Integer arithmetic in tenths of a percent: 99 % of 100 must be rank 99, not 100 by rounding.
    return min(count, max(1, -(-round(percent * 10) * count // 1000)))


class LatencyHistogram:
    """Counts of latencies in buckets that are at most 1/128 (0.8 %) wide, from a microsecond upwards.

    As in HdrHistogram each power of two is cut into equal parts, so memory depends on the spread of the
    values (some 3,000 buckets from a microsecond to a minute), never on their number.
    """

    _PARTS_BITS = 7

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self.count = 0
        self.maximum = 0.0

    def add(self, seconds: float) -> None:
        """Count one latency in seconds; negative ones count as zero."""
        bucket = self._bucket(max(0, math.ceil(seconds * 1e6)))
        self._counts[bucket] = self._counts.get(bucket, 0) + 1
        self.count += 1
        self.maximum = max(self.maximum, seconds)

    def percentile(self, percent: float) -> float:
        """Nearest-rank percentile in seconds, never below the exact one and at most 0.8 % + 1 us above it."""
        if not self.count:
            return 0.0
        rank = _rank(self.count, percent)
        for bucket in sorted(self._counts):
            rank -= self._counts[bucket]
            if rank <= 0:
                break
        return min(self.maximum, self._upper(bucket) / 1e6)

    @classmethod
    def _bucket(cls, microseconds: int) -> int:
        shift = max(0, microseconds.bit_length() - cls._PARTS_BITS - 1)
        return (shift << (cls._PARTS_BITS + 1)) + (microseconds >> shift)

    @classmethod
    def _upper(cls, bucket: int) -> int:
        shift = bucket >> (cls._PARTS_BITS + 1)
        mantissa = bucket & ((1 << (cls._PARTS_BITS + 1)) - 1)
        return ((mantissa + 1) << shift) - 1


class GapTracker:
    """The longest time without a success, the beginning and the end of the run included."""

    def __init__(self) -> None:
        self.longest = 0.0
        self.since = 0.0
        self._last = 0.0

    def success(self, at: float) -> None:
        """A success, `at` seconds after the start; later than all before it."""
        if at - self._last > self.longest:
            self.longest, self.since = at - self._last, self._last
        self._last = max(self._last, at)

    def finish(self, at: float) -> None:
        """The run ended: a shop that never came back has a gap up to here."""
        self.success(at)
