# SPDX-License-Identifier: GPL-3.0-or-later
"""Percentiles, gaps, the parser and the way of settings to another process, for any input."""

from __future__ import annotations

import dataclasses
import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.probe import ProbeSettings
from trivet.probe.arguments import arguments_of, parser, settings_from
from trivet.probe.contracts.demo import DEMO
from trivet.probe.figures import GapTracker, LatencyHistogram, nearest_rank
from trivet.probe.http import Malformed, Response, ResponseParser

latencies = st.lists(st.floats(0, 600, allow_nan=False), min_size=1, max_size=300)
percents = st.one_of(st.sampled_from([50.0, 90.0, 99.0, 99.9]), st.integers(1, 1000).map(lambda tenth: tenth / 10))


@given(latencies, percents)
def test_nearest_rank_is_the_smallest_value_that_covers_the_share(values: list[float], percent: float) -> None:
    ordered = sorted(values)
    result = nearest_rank(ordered, percent)
    covered = sum(value <= result for value in values) * 1000
    below = sum(value < result for value in values) * 1000
    share = round(percent * 10) * len(values)
    assert below < share <= covered


@given(latencies, percents)
def test_the_histogram_is_never_below_and_hardly_above(values: list[float], percent: float) -> None:
    histogram = LatencyHistogram()
    for value in values:
        histogram.add(value)
    exact = nearest_rank(sorted(values), percent)
    assert exact <= histogram.percentile(percent) <= exact * (1 + 1 / 128) + 2e-6
    assert histogram.percentile(100) == histogram.maximum == max(values)
    assert histogram.count == len(values)


def test_percentiles_of_known_values() -> None:
    values = [number / 1000 for number in range(1, 101)]
    assert [nearest_rank(values, percent) for percent in (50, 90, 99, 100)] == [0.05, 0.09, 0.099, 0.1]
    assert nearest_rank([], 50) == LatencyHistogram().percentile(50) == 0.0


def test_the_memory_of_a_histogram_is_bounded() -> None:
    histogram = LatencyHistogram()
    for step in range(200_000):
        histogram.add(math.exp(step / 200_000 * math.log(600e6)) / 1e6)
    assert len(histogram._counts) < 4000


@given(st.lists(st.floats(0, 1000), max_size=50), st.floats(0, 1000))
def test_the_longest_gap_includes_both_ends(times: list[float], end: float) -> None:
    tracker = GapTracker()
    for time in sorted(times):
        tracker.success(time)
    tracker.finish(end)
    edges = sorted([0.0, *times, max([end, *times])])
    gaps = [later - earlier for earlier, later in pairwise(edges)]
    assert tracker.longest == max(gaps)
    assert tracker.longest == 0 or tracker.since in edges


RESPONSES = {
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Node: n1\r\n\r\nhello": (200, b"hello", True),
    b"HTTP/1.1 200\r\ncontent-length:0\r\nConnection: Close\r\n\r\n": (200, b"", False),
    b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok": (200, b"ok", False),
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Made\r\nContent-Length: 1\r\n\r\nx": (201, b"x", True),
    b"HTTP/1.1 204 None\r\n\r\n": (204, b"", True),
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n1\r\nd\r\n0\r\nT: 1\r\n\r\n": (
        200,
        b"abcd",
        True,
    ),
}


@given(st.sampled_from(sorted(RESPONSES)), st.data())
def test_a_response_is_the_same_however_it_is_cut(raw: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, len(raw) - 1), max_size=12)))
    reader = ResponseParser()
    answers = [reader.feed(raw[start:end]) for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    assert answers[:-1] == [None] * len(cuts)
    assert isinstance(answers[-1], Response)
    assert (answers[-1].status, answers[-1].body, answers[-1].reusable) == RESPONSES[raw]


def test_a_body_without_length_ends_with_the_connection() -> None:
    reader = ResponseParser()
    assert reader.feed(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\nsome") is None
    response = reader.end()
    assert response is not None
    assert (response.body, response.cookies, response.reusable) == (b"some", ("a=1", "b=2"), False)


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 20x OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\ntwo",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc",
        b"x" * 70_000,
    ],
)
def test_what_is_not_a_response_is_malformed(raw: bytes) -> None:
    with pytest.raises(Malformed):
        ResponseParser().feed(raw)


@given(
    st.builds(
        ProbeSettings,
        urls=st.lists(
            st.sampled_from(["http://a", "https://b:8443", "http://[::1]:80/x"]), min_size=1, unique=True
        ).map(tuple),
        rate=st.floats(0.01, 2000),
        duration=st.floats(0.01, 86400),
        clients=st.integers(1, 500),
        verify_urls=st.lists(st.just("http://10.0.0.1:8080"), max_size=1).map(tuple),
        host=st.none() | st.sampled_from(["shop.example", "-odd"]),
        insecure=st.booleans(),
        phase=st.sampled_from(["before", "--rate", "with space"]),
        weights=st.dictionaries(st.sampled_from(tuple(DEMO.weights)), st.floats(0.001, 1e6), min_size=1),
    )
)
def test_settings_survive_the_command_line(settings: ProbeSettings) -> None:
    parsed = settings_from(parser().parse_args(arguments_of(settings)))
    assert dataclasses.asdict(parsed) == dataclasses.asdict(settings)
