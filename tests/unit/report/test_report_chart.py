# SPDX-License-Identifier: GPL-3.0-or-later
"""Scales and the geometry of the chart."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.report.journals import BEGAN, NODES, failure, killed_and_resumed, plan, probe, steps, whole_journal
from trivet.report.change import read_change
from trivet.report.chart import LEFT, RIGHT, draw
from trivet.report.measured import measure, points
from trivet.report.scales import linear_scale, log_scale, place_labels, time_scale

spans = st.lists(st.tuples(st.floats(1e9, 1e9 + 1e5), st.floats(0, 5000)), max_size=8).map(
    lambda pairs: [(since, since + length) for since, length in pairs]
)


@given(spans, st.lists(st.floats(1e9 - 100, 1e9 + 2e5), max_size=10))
def test_later_is_never_further_left_and_nothing_is_outside(
    active: list[tuple[float, float]], times: list[float]
) -> None:
    scale = time_scale(active, LEFT, RIGHT)
    places = [scale.x(at) for at in sorted([*times, *(at for span in active for at in span)])]
    assert all(LEFT - 1e-6 <= place <= RIGHT + 1e-6 for place in places)
    assert all(one <= other + 1e-6 for one, other in pairwise(places))


@given(spans)
def test_ticks_keep_their_distance(active: list[tuple[float, float]]) -> None:
    places = [tick.place for tick in time_scale(active, LEFT, RIGHT).ticks(apart=70)]
    assert all(other - one >= 70 for one, other in pairwise(places))


def test_a_long_pause_is_folded_and_a_short_one_is_not() -> None:
    scale = time_scale([(0, 300), (30_000, 30_300)], 0, 626)
    assert len(scale.folds) == 1
    assert scale.x(300) == pytest.approx(300) and scale.x(30_000) == pytest.approx(326)
    assert not time_scale([(0, 300), (360, 600)], 0, 626).folds


@pytest.mark.parametrize(("largest", "maximum"), [(0, 1), (25, 30), (30, 30), (101, 120), (0.5, 0.6)])
def test_linear_scale_ends_at_a_round_number(largest: float, maximum: float) -> None:
    scale = linear_scale(largest, 100, 0)
    assert scale.maximum == pytest.approx(maximum)
    assert (scale.y(0), scale.y(scale.maximum), scale.y(1e9)) == (100, 0, 0)


def test_log_scale_spans_whole_decades() -> None:
    scale = log_scale([0, 4, 2300], 100, 0)
    assert [tick.label for tick in scale.ticks()] == ["1 ms", "10 ms", "100 ms", "1 s", "10 s"]
    assert scale.y(1) == 100 and scale.y(10_000) == 0 and scale.y(100) == pytest.approx(50)
    assert [tick.label for tick in log_scale([], 1, 0).ticks()] == ["1 ms", "10 ms", "100 ms", "1 s"]


def test_labels_get_rows_of_their_own() -> None:
    assert place_labels([(0, 50), (40, 90), (55, 80), (60, 99)], 3) == (0, 1, 0, 2)


def test_the_steps_of_a_node_do_not_cover_each_other() -> None:
    chart = draw(read_change(whole_journal()), None)
    assert [lane.name for lane in chart.lanes] == list(NODES)
    for lane in chart.lanes:
        assert len(lane.blocks) == 9
        for one, other in pairwise(lane.blocks):
            assert one.x + one.width <= other.x + 0.1
            assert (one.family, one.shade) != (other.family, other.shade)
    assert chart.curves is None


def test_killed_and_resumed_is_on_the_timeline() -> None:
    chart = draw(read_change(killed_and_resumed()), None)
    assert [flag.label for flag in chart.flags] == ["resumed"]
    assert [fold.label for fold in chart.folds] == ["6 h 59 min"]
    endings = [block.ending for block in chart.lanes[1].blocks if "start" in block.title]
    assert endings == ["cut-off", "done"]
    cut = next(block for block in chart.lanes[1].blocks if block.ending == "cut-off")
    assert "its end is not in the journal" in cut.title
    assert all(flag.y < chart.lanes_top for flag in chart.flags)


def test_a_node_without_a_step_has_a_lane_too() -> None:
    chart = draw(read_change([plan(), *steps(BEGAN, ("shop-1",))]), None)
    assert [len(lane.blocks) for lane in chart.lanes] == [9, 0, 0]


def test_failed_seconds_are_marked_where_they_were() -> None:
    change = read_change(whole_journal())
    curves = draw(change, measure(probe(failures=(failure(50.2), failure(50.9))), change.window)).curves
    assert curves is not None
    assert len(curves.marks) == 1 and "2 failed" in curves.marks[0].title
    assert not curves.no_failure
    assert curves.failed
    start, end = BEGAN - 20, BEGAN + 300.5
    assert curves.marks[0].x == pytest.approx(LEFT + (RIGHT - LEFT) * (BEGAN + 30 - start) / (end - start), abs=0.5)


def test_a_loss_that_shows_only_afterwards_is_marked() -> None:
    found = probe(failures=(failure(50.2),))
    quiet = dataclasses.replace(found, timeline=probe().timeline)
    change = read_change(whole_journal())
    curves = draw(change, measure(quiet, change.window)).curves
    assert curves is not None and len(curves.marks) == 1 and not curves.no_failure


def test_the_rest_of_the_last_second_is_no_outage() -> None:
    last = points(measure(probe(seconds=320.5), None))[-1]
    assert last.answered == pytest.approx(24)
    assert points(measure(probe(seconds=320.2), None))[-1].answered is None


def test_a_second_without_an_answer_has_no_latency() -> None:
    found = probe(failures=(failure(50.0),), rate=1)
    point = points(measure(found, None))[50]
    assert (point.p50_ms, point.p99_ms, point.answered, point.failed) == (None, None, 0, 1)


def test_a_long_run_is_drawn_with_few_points_and_loses_no_failure() -> None:
    found = points(measure(probe(seconds=7200.0, failures=(failure(7001.0),)), None), most=600)
    assert len(found) <= 601
    assert sum(point.failures for point in found) == 1
    assert sum(point.requests for point in found) == sum(second.requests for second in probe(seconds=7200.0).timeline)


def test_where_no_probe_ran_is_shown() -> None:
    change = read_change(killed_and_resumed())
    curves = draw(change, measure(probe(), change.window)).curves
    assert curves is not None
    assert any(blank.label == "not measured" for blank in curves.unmeasured)
