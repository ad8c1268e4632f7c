# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a journal, whatever it looks like, and the first line of the report."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.report.journals import (
    BEGAN,
    NODES,
    SEVEN_HOURS,
    STEPS,
    WEB_NODES,
    failure,
    killed_and_resumed,
    plan,
    probe,
    scaling,
    snapshot,
    steps,
    whole_journal,
)
from trivet.report.change import Ending, Outcome, read_change
from trivet.report.measured import measure
from trivet.report.tables import differences, tiles
from trivet.report.wording import answer
from trivet.rotation.change import Change as RollingChange
from trivet.rotation.change import Kind


def test_an_undisturbed_change() -> None:
    change = read_change(whole_journal())
    assert change.outcome is Outcome.DONE
    assert change.finished_nodes == NODES
    assert len(change.attempts) == len(NODES) * len(STEPS)
    assert {item.ending for item in change.attempts} == {Ending.DONE}
    assert change.seconds == 312.0
    assert change.window == (BEGAN + 2, BEGAN + 272)


def test_a_killed_runner_leaves_a_step_without_an_end() -> None:
    lines = killed_and_resumed()
    at_the_kill = lines[: next(number for number, line in enumerate(lines) if line["kind"] == "resumed")]
    change = read_change(at_the_kill)
    assert change.outcome is Outcome.UNFINISHED
    assert change.finished_nodes == ("shop-1",)
    assert change.attempts[-1].ending is Ending.CUT_OFF
    assert change.attempts[-1].seconds is None
    text = answer(change, None).text
    assert text.startswith("Not finished: the journal ends at shop-2, step start")
    assert "one of three nodes was done" in text


def test_a_resumed_change_keeps_both_attempts_and_owners() -> None:
    change = read_change(killed_and_resumed())
    assert change.outcome is Outcome.DONE
    assert change.owners == ("operator@desk:1", "colleague@desk:2")
    assert [item.ending for item in change.of("shop-2", "start")] == [Ending.CUT_OFF, Ending.DONE]
    assert change.seconds is not None and change.seconds > SEVEN_HOURS, "the pause belongs to the time it took"
    assert "two runs" in answer(change, None).text


@pytest.mark.parametrize(
    ("last", "outcome", "words"),
    [
        ([{"kind": "halted", "error": "no quorum", "remaining": ["shop-2"]}], Outcome.HALTED, "Halted"),
        (
            [{"kind": "failed", "node": "shop-2", "step": "drain", "error": "x"}],
            Outcome.HALTED,
            "shop-2, step drain: x",
        ),
        ([{"kind": "stop requested", "by": "me"}, {"kind": "halted", "error": "asked"}], Outcome.STOPPED, "Stopped"),
        ([{"kind": "halted", "error": "x"}, {"kind": "aborted", "by": "me"}], Outcome.ABORTED, "Aborted"),
        ([{"kind": "rolled back"}, {"kind": "done"}], Outcome.ROLLED_BACK, "Rolled back"),
        ([{"kind": "halted", "error": "x"}, {"kind": "resumed"}], Outcome.UNFINISHED, "Not finished"),
    ],
)
def test_an_end_other_than_done_is_said_first(last: list[dict[str, Any]], outcome: Outcome, words: str) -> None:
    change = read_change([plan(), *steps(BEGAN, ("shop-1",)), *last])
    assert change.outcome is outcome
    told = answer(change, measure(probe(), change.window))
    assert words in told.text
    assert told.tone != "good"


def test_the_first_line_counts_the_requests_while_the_change_ran() -> None:
    change = read_change(whole_journal())
    told = answer(change, measure(probe(), change.window))
    assert told.text == "0 of 7,512 requests failed while three nodes went from size 6 to 12 in 5 min 12 s."
    assert told.tone == "good"


def test_failures_lost_orders_and_doubts_take_the_green_away() -> None:
    change = read_change(whole_journal())
    failed = answer(change, measure(probe(failures=(failure(50), failure(51))), change.window))
    assert failed.text.startswith("2 of 7,512 requests failed while") and failed.tone == "bad"
    lost = answer(change, measure(probe(missing=3), change.window))
    assert "3 missing" in lost.text and lost.tone == "bad"
    unsure = answer(change, measure(probe(verified=False), change.window))
    assert "not verified" in unsure.text and unsure.tone == "warning"


def test_failures_outside_of_the_change_are_told_too() -> None:
    change = read_change(whole_journal())
    data = probe(failures=(failure(5),)).to_json()
    data["phases"]["during"]["failures"] = 0
    told = answer(change, measure(type(probe()).from_json(data), change.window))
    assert "0 of 7,512 requests failed (1 more before or after it)" in told.text
    assert told.tone == "bad"


def test_a_probe_that_saw_a_part_says_which() -> None:
    change = read_change(whole_journal())
    told = answer(change, measure(probe(seconds=120.0), change.window))
    assert "in the 36 % of the time that the probe saw" in told.text
    assert told.tone == "warning"
    other = answer(change, measure(probe(started=BEGAN - 9000), change.window))
    assert "availability was not measured" in other.text.lower()
    assert other.tone == "warning"


def test_an_environment_that_is_ill_afterwards_is_never_good() -> None:
    lines = whole_journal()
    lines[-2] = snapshot("after", lines[-2]["at"], state="broken")
    change = read_change(lines)
    told = answer(change, measure(probe(), change.window))
    assert told.text.endswith("but production was broken afterwards.") and told.tone == "bad"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "restart"}, "Three nodes were restarted in"),
        ({"kind": "patch", "size_before": None, "size_after": None}, "Three nodes got their packages updated in"),
        ({"kind": "rollback", "size_before": "12", "size_after": "6"}, "were taken back from size 12 to 6 in"),
        ({"kind": "something new", "summary": "a new thing"}, "went through a new thing in"),
    ],
)
def test_other_kinds_of_change_have_their_words(change: dict[str, Any], words: str) -> None:
    if change["kind"] == "restart":
        change = {**change, "size_before": None, "size_after": None}
    assert words in answer(read_change(whole_journal(**change)), None).text


def test_unknown_kinds_become_events_and_notes_are_kept() -> None:
    change = read_change([plan(), {"at": BEGAN, "kind": "lease lost", "node": "shop-1", "before": "drain"}, {"at": 1}])
    assert change.events[0].kind == "lease lost" and change.events[0].text == "before: drain"


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
kinds = st.sampled_from(["plan", "snapshot", "begin", "end", "failed", "halted", "resumed", "done", "note", "other"])
keys = ("at", "node", "step", "seconds", "plan", "nodes", "findings", "when", "error", "remaining", "owner", "by")


@given(st.lists(st.fixed_dictionaries({"kind": kinds | anything}, optional=dict.fromkeys(keys, anything)), max_size=6))
def test_no_journal_is_too_broken_to_be_read(lines: list[dict[str, Any]]) -> None:
    change = read_change(lines)
    assert answer(change, None).text.endswith(".")


@given(st.integers(min_value=0, max_value=len(killed_and_resumed())))
def test_a_journal_may_end_anywhere(end: int) -> None:
    change = read_change(killed_and_resumed()[:end])
    done = change.outcome is Outcome.DONE
    assert done == (end == len(killed_and_resumed()))
    assert (answer(change, None).tone == "bad") is False


def test_a_resize_tells_its_sizes_as_the_engine_writes_them() -> None:
    written = RollingChange(Kind.RESIZE, NODES, size="12", size_before="6").to_dict()
    lines = whole_journal()
    lines[0]["plan"]["change"] = written
    change = read_change(lines)
    assert (change.size_before, change.size_after) == ("6", "12")
    assert (
        "while three nodes went from size 6 to 12 in 5 min 12 s."
        in answer(change, measure(probe(), change.window)).text
    )


def test_a_restart_has_no_size() -> None:
    lines = whole_journal()
    lines[0]["plan"]["change"] = RollingChange(Kind.RESTART, NODES).to_dict()
    change = read_change(lines)
    assert (change.size_before, change.size_after) == (None, None)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("scale-out", "two web nodes were added (0 before, 2 after) in 1 min 2 s"),
        ("scale-in", "two web nodes were taken away (2 before, 0 after) in 1 min 2 s"),
    ],
)
def test_a_change_of_web_nodes_counts_them(kind: str, words: str) -> None:
    change = read_change(scaling(kind))
    assert words in answer(change, None).text.lower()
    assert change.outcome is Outcome.DONE
    assert change.node_names == change.finished_nodes == WEB_NODES
    assert {item.seconds for item in change.attempts} == {10.0}
    assert [tile.value for tile in tiles(change, None) if tile.label == "Web nodes"] == [
        "0 → 2" if kind == "scale-out" else "2 → 0"
    ]


def test_a_step_that_failed_for_all_web_nodes_names_them_all() -> None:
    lines = scaling()[:9]
    failed = {**lines[-1], "at": lines[-1]["at"] + 3, "kind": "failed", "error": "no real page"}
    halted = {"at": failed["at"], "kind": "halted", "error": "gate: no real page", "remaining": list(WEB_NODES)}
    text = answer(read_change([*lines, failed, halted]), None).text
    assert "at shop-web-1, shop-web-2, step gate: no real page; none of two web nodes was done." in text


def test_web_nodes_that_came_or_went_are_told_apart_from_those_that_stay() -> None:
    names, rows = differences(read_change(scaling("scale-in")))
    member = dict(zip(names, next(row for row in rows if row.name == "member").cells, strict=True))
    assert {name: cell.text for name, cell in member.items()} == {
        **dict.fromkeys(NODES, "yes"),
        **dict.fromkeys(WEB_NODES, "yes → no"),
    }
    assert "member" not in [row.name for row in differences(read_change(whole_journal()))[1]]
