# SPDX-License-Identifier: GPL-3.0-or-later
"""From verdicts, sightings and a probe's report to the figures of a row, and from rows to the table."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.chaos.fake_lab import URLS, figures, report
from trivet.chaos.load import acknowledged
from trivet.chaos.row import Row, customers_of, missed, row_of, skipped_row
from trivet.chaos.scenario import Goal, Scenario, Where, possible
from trivet.chaos.table import COLUMNS, cells, markdown, merged, read_rows, write
from trivet.chaos.timeline import Detected, Look, Recovered, Sighting, detected, recovered, settled
from trivet.errors import InputError
from trivet.probe.report import Described, Gap, Mark, Orders

SCENARIO = Scenario("kill-x", "services", "kill -9 of x", Where.QUIET, lambda _g, _a: None, limit=60)
FIRST = next(iter(URLS))


def looks(text: str, start: float = 100.0, every: float = 2.0) -> list[Look]:
    """A look for each letter: h healthy, anything else not; each takes a second."""
    return [
        Look(start + every * number, start + every * number + 1, letter == "h") for number, letter in enumerate(text)
    ]


def test_the_first_detector_counts() -> None:
    seen = [Sighting(103.2, "lab-1", "haproxy", "web/lab-2 DOWN"), Sighting(101.0, "lab-1", "haproxy", "earlier")]
    assert detected(looks("hhhx"), seen, 102.0) == Detected(pytest.approx(1.2), "haproxy")  # type: ignore[arg-type]
    assert detected(looks("hxx"), [], 101.5) == Detected(pytest.approx(1.5), "verdict")  # type: ignore[arg-type]
    assert detected(looks("hhh"), [], 101.5) is None


def test_a_verdict_whose_question_is_older_than_the_injection_says_nothing() -> None:
    assert detected(looks("x"), [], 100.5) is None


def test_recovered_by_itself_or_after_the_undoing() -> None:
    assert recovered(looks("hxxhhh"), 101.0, None) == Recovered(6.0, alone=True)
    assert recovered(looks("hxxhhh"), 101.0, 112.0) == Recovered(6.0, alone=True)
    # The first healthy verdict came after the undoing: that it would have come without is not known.
    assert recovered(looks("hxxhhh"), 101.0, 106.5) == Recovered(0.5, alone=False)
    assert recovered(looks("hxxxxhh"), 101.0, 105.0) == Recovered(6.0, alone=False)
    assert recovered(looks("hhhh"), 101.0, None) == Recovered(0.0, alone=True)
    assert recovered(looks("hxxx"), 101.0, None) is None
    assert recovered([], 101.0, None) is None


def test_settled_is_a_streak_that_was_asked_for_since() -> None:
    assert settled(looks("xhhhh"), 100.0, 6.0)
    assert not settled(looks("xhhh"), 100.0, 6.0)
    assert not settled(looks("hhhhhx"), 100.0, 2.0)
    assert not settled(looks("hhhh"), 103.0, 4.0)
    assert not settled([], 0.0, 0.0)


def test_failed_reads_and_writes_are_told_apart_and_lost_orders_are_neither() -> None:
    kinds = {
        "home": figures(timeout=2),
        "cart-write": figures(status_5xx=1),
        "order": figures(reset=3, order_lost=4),
    }
    lost = Orders(300, 296, 4, 1, 0, True, ())
    customers = customers_of(report(kinds=kinds, orders=lost), URLS, ("lab-1",), [])
    assert (customers.failed_reads, customers.failed_writes) == (2, 4)
    assert customers.failures_by_kind == {"timeout": 2, "status-5xx": 1, "reset": 3}
    assert (customers.orders_lost, customers.orders_double) == (4, 1)
    assert missed(Goal(), customers) == ("4 acknowledged orders lost", "1 orders made twice")


def test_gaps_of_the_struck_address_and_of_the_others() -> None:
    gaps = {FIRST: Gap(4.0, 9.5), "http://192.0.2.22": Gap(1.5, 10.0)}
    customers = customers_of(report(gaps=gaps), URLS, ("lab-1",), [])
    assert (customers.longest_gap, customers.other_gap, customers.home_gap) == (4.0, 1.5, 4.0)
    calm = customers_of(report(), URLS, ("lab-1",), [])
    assert calm.home_gap == 0.2
    every = customers_of(report(gaps=gaps), URLS, tuple(URLS.values()), [])
    assert every.home_gap is None and every.other_gap is None


def test_orders_are_accepted_again_after_the_undoing() -> None:
    marks = (Mark("before", 0.0), Mark("during", 10.0), Mark("undone", 30.0))
    assert customers_of(report(marks=marks), URLS, ("lab-1",), [5.0, 29.9, 42.0, 43.0]).orders_again == 12.0
    never = customers_of(report(marks=marks), URLS, ("lab-1",), [5.0])
    assert missed(Goal(orders_again=90), never) == ("orders accepted again after never instead of 90 s",)


def test_the_time_without_an_order_is_between_those_that_were_accepted() -> None:
    customers = customers_of(report(), URLS, ("lab-1",), [30.5, 1.0, 2.0, 30.0])
    assert customers.order_gap == 28.0
    assert missed(Goal(order_gap=20), customers) == ("longest time without an order 28.0 s instead of 20 s",)
    assert customers_of(report(), URLS, ("lab-1",), [1.0]).order_gap == 0.0


def test_orders_that_nobody_could_look_up_are_a_miss() -> None:
    customers = customers_of(report(orders=Orders(300, 0, 0, 0, 0, False, ())), URLS, ("lab-1",), [])
    assert customers.orders_lost is None
    assert missed(Goal(), customers) == ("the orders could not be looked up on every node",)


def test_a_contract_without_orders_is_not_judged_by_them() -> None:
    reads = Described("pages", "pages", (), None)
    seen = replace(report(kinds={"page": figures(reset=2)}), contract=reads, orders=None)
    customers = customers_of(seen, URLS, ("lab-1",), [])
    assert (customers.failed_reads, customers.failed_writes) == (2, 0)
    assert missed(Goal(order_gap=20, orders_again=90), customers) == ()
    row = row_of(SCENARIO, "now", ("lab-1",), customers, None, Recovered(6.0, alone=True))
    shown = dict(zip(COLUMNS, cells(row), strict=True))
    assert shown["without orders"] == shown["orders lost"] == "–"
    assert Row.from_dict(row.to_dict()) == row


def test_goals_that_are_missed_are_named() -> None:
    customers = customers_of(
        report(gaps={FIRST: Gap(4.0, 9.5)}, kinds={"home": figures(reset=1)}), URLS, ("lab-1",), []
    )
    assert missed(Goal(failed=0, gap=1, other_gap=3, home_gap=3), customers) == (
        "1 failed requests instead of 0",
        "longest gap 4.0 s instead of 1 s",
        "longest gap on its own address 4.0 s instead of 3 s",
    )


def test_a_human_whom_the_rule_wants_is_told_a_command() -> None:
    closed = Scenario("split", "data", "x", Where.ALL, lambda _g, _a: None, human=True, obstacle=possible)
    customers = customers_of(report(), URLS, ("lab-1",), [])
    assert row_of(closed, "now", (), customers, None, None, ("broken: x; next: gluster …",)).ok
    mute = row_of(closed, "now", (), customers, None, None, ("broken: x",))
    assert mute.missed == ("the verdict names no command for the human",)


def some_rows() -> list[Row]:
    customers = customers_of(report(), URLS, ("lab-1",), [])
    good = row_of(SCENARIO, "now", ("lab-1",), customers, Detected(1.04, "haproxy"), Recovered(6.0, alone=True))
    bad = row_of(SCENARIO, "now", ("lab-1",), customers, None, None, ("broken: a|b; next: c",), left=True)
    clock = Scenario("clock-off", "resources", "the clock", Where.QUIET, lambda _g, _a: None)
    return [good, Row.from_dict({**bad.to_dict(), "scenario": "stop-x"}), skipped_row(clock, "now", "one clock")]


def test_the_table() -> None:
    text = markdown(some_rows())
    lines = text.splitlines()
    assert lines[2] == (
        "| kill-x | 1.0 s (haproxy) | 6.0 s | 0 | 0 | 0.10 s | 0.20 s | 0.20 s | 0.00 s | 0 of 300 | no | kept |"
    )
    assert "never" in lines[3] and "missed: not healthy within 60 s" in lines[3] and "| yes |" in lines[3]
    assert "not possible: one clock" in lines[4]
    assert all(line.replace("\\|", "").count("|") == len(COLUMNS) + 1 for line in lines[:5])
    assert "- broken: a\\|b; next: c" in lines
    assert all(len(cells(row)) == len(COLUMNS) for row in some_rows())


def test_rows_come_back_from_json_and_are_replaced_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "new" / "chaos.json"
    assert read_rows(path) == []
    table = write(path, some_rows(), "lab")
    assert table.name == "chaos.md" and read_rows(path) == some_rows()
    fresh = Row.from_dict({**some_rows()[0].to_dict(), "at": "later"})
    rows = merged(read_rows(path), [fresh], ["clock-off", "kill-x", "stop-x"])
    assert [(row.scenario, row.at) for row in rows] == [("clock-off", "now"), ("kill-x", "later"), ("stop-x", "now")]


def test_a_file_that_is_something_else_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "precious.json"
    path.write_text('{"mine": 1}')
    with pytest.raises(InputError, match="no table of trivet chaos"):
        read_rows(path)


def test_orders_are_read_from_the_probes_events(tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    rows = [{"event": "order", "order": 7, "key": "k", "at": 1.5}, {"event": "live", "order": 1}]
    text = "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows)
    events.write_text(text + '{"event":"order","order":8,"key":"k","at":2.')
    assert acknowledged(events) == [1.5]
