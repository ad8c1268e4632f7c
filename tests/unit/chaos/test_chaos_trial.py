# SPDX-License-Identifier: GPL-3.0-or-later
"""One scenario from a healthy lab to a healthy lab; whatever ends it early, it is undone."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from pathlib import Path

import pytest

from tests.unit.chaos.fake_lab import NODES, SICK, World, breaks, mends
from trivet.chaos.events import Injecting, RowMade, ScenarioBegan, Undone
from trivet.chaos.record import Record
from trivet.chaos.row import Row
from trivet.chaos.scenario import Aim, Ground, Scenario, Where
from trivet.chaos.scenarios import catalogue
from trivet.chaos.suite import Suite
from trivet.chaos.table import cells
from trivet.chaos.trial import shielded
from trivet.cli.chaos import told
from trivet.errors import ChaosHalted, GridError, InputError, NotBroken

STOP = Scenario("stop-x", "services", "x stopped", Where.ALL, breaks, mends, lasts=20)
KILL = Scenario("kill-x", "services", "x killed", Where.ALL, breaks, mend=mends, limit=60)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def run(world: World, *scenarios: Scenario) -> list[Row]:
    return list(Suite("lab", world.parts, world.events.append).run(scenarios))


def test_an_injection_lasts_its_time_and_is_undone(world: World) -> None:
    (row,) = run(world, STOP)
    assert world.ground.done == ["inject", "heal"]
    assert row.struck == NODES and row.ok and not row.human_needed
    assert row.detected_after is not None and row.detected_after <= 2 and row.detected_by == "verdict"
    assert row.recovered_after is not None and row.recovered_after <= 2 and not row.alone
    assert [mark.phase for mark in world.loads[0].marks] == ["before", "during", "undone", "after"]
    assert world.loads[0].ended == [False]
    assert world.record.found() is None
    assert [type(event) for event in world.events] == [ScenarioBegan, Injecting, Undone, RowMade]
    assert [event.to_dict()["event"] for event in world.events] == ["scenario", "injecting", "undone", "row"]
    assert Row.from_dict(world.events[-1].to_dict()) == row
    assert told(world.events[1]) == f"  breaking {', '.join(NODES)}"


def test_what_heals_itself_counts_from_the_injection(world: World) -> None:
    def inject(ground: Ground, aim: Aim) -> None:
        breaks(ground, aim)
        world.after(12, broken=False)

    (row,) = run(world, Scenario("kill-x", "services", "x", Where.ALL, inject, mend=mends))
    assert row.alone and 12 <= (row.recovered_after or 0) <= 14
    assert world.ground.forgotten == 1
    assert world.homecomings == [0], "before the customers come"
    assert "heal" not in world.ground.done and not row.human_needed


def test_a_human_is_needed_when_the_limit_is_over_and_the_row_says_what_status_said(world: World) -> None:
    (row,) = run(world, KILL)
    assert row.human_needed and row.recovered_after is None and not row.left
    assert row.said == (SICK,)
    assert row.missed == ("not healthy within 60 s",)
    assert world.ground.done == ["inject", "heal"]


def test_a_human_who_is_expected_is_no_miss(world: World) -> None:
    (row,) = run(world, Scenario("split", "data", "a file", Where.ALL, breaks, mend=mends, limit=30, human=True))
    assert row.human_needed and row.human_expected and row.ok


def test_a_scenario_that_broke_nothing_misses_its_goal_and_the_next_one_runs(world: World) -> None:
    def breaks_nothing(ground: Ground, aim: Aim) -> None:
        raise NotBroken("a took it all: its disk is not full")

    rows = run(world, Scenario("disk", "resources", "a disk full", Where.ALL, breaks_nothing, mends, lasts=20), STOP)
    assert [row.ok for row in rows] == [False, True]
    assert cells(rows[0])[-1] == "missed: a took it all: its disk is not full"
    # What may have been broken half-way is taken back before the next one breaks something of its own.
    assert world.ground.done[:2] == ["heal", "inject"]


RAN_OUT = "dd: error writing: Disk quota exceeded\n"
KILLED = "Finished with result: signal\nMain processes terminated with: code=killed/status=KILL\n"


@pytest.mark.parametrize(
    ("name", "said", "broken"),
    [
        ("disk-full-reader", RAN_OUT, True),
        ("disk-full-writer", "dd: error writing: No space left on device\n", True),
        ("disk-full-writer", "200+0 records in\n200+0 records out\n", False),
        ("disk-full-reader", "dd: failed to open: Permission denied\n", False),
        ("memory-exhausted", KILLED, True),
        ("memory-exhausted", "Finished with result: success\n", False),
        ("memory-exhausted", "Finished with result: timeout\n... code=killed/status=TERM\n", False),
        ("memory-exhausted", "Failed to start transient service unit: Unit exists\n", False),
    ],
)
def test_only_what_ran_out_is_a_row_of_figures(
    name: str, said: str, broken: bool, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = next(found for found in catalogue() if found.name == name)
    monkeypatch.setattr(world.ground, "on", lambda _node, _script, *, seconds=60.0: said)
    with contextlib.nullcontext() if broken else pytest.raises(NotBroken, match=re.escape(said.strip())):
        scenario.inject(world.ground, Aim(NODES[:1], NODES[1:]))


def test_a_row_is_given_before_the_suite_is_halted(world: World) -> None:
    hopeless = Scenario("kill-x", "services", "x killed", Where.ALL, breaks, limit=30)
    rows = Suite("lab", world.parts).run([hopeless, STOP])
    row = next(rows)
    assert row.left and row.human_needed
    with pytest.raises(ChaosHalted, match=r"not healthy after kill-x.*no answer") as halted:
        next(rows)
    assert halted.value.next_command == "trivet status lab"


def test_nothing_is_injected_into_an_unhealthy_lab(world: World) -> None:
    world.ground.set_broken(True)
    with pytest.raises(ChaosHalted, match="not healthy before stop-x"):
        run(world, STOP)
    assert world.ground.done == [] and world.loads == []


def test_a_scenario_that_the_lab_cannot_have_is_a_row_with_its_reason(world: World) -> None:
    scenario = Scenario("clock", "resources", "x", Where.ALL, breaks, obstacle=lambda _ground: "one clock for all")
    (row,) = run(world, scenario)
    assert row.skipped == "one clock for all" and row.ok and world.ground.done == []


@pytest.mark.parametrize("error", [KeyboardInterrupt(), GridError("no"), RuntimeError("defect")])
def test_an_injection_that_is_cut_off_is_undone(world: World, error: BaseException) -> None:
    def half(ground: Ground, aim: Aim) -> None:
        breaks(ground, aim)
        raise error

    with pytest.raises(type(error)):
        run(world, Scenario("stop-x", "services", "x", Where.ALL, half, mends, lasts=20))
    assert world.ground.done == ["inject", "heal"]
    assert world.record.found() is None
    assert world.loads[0].ended == [True]


@pytest.mark.parametrize("seconds", [3, 19])
def test_ctrl_c_while_it_lasts_undoes_it(world: World, seconds: float) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    def inject(ground: Ground, aim: Aim) -> None:
        breaks(ground, aim)
        world.clock.planned.append((world.clock.now + seconds, interrupt))

    with pytest.raises(KeyboardInterrupt):
        run(world, Scenario("stop-x", "services", "x", Where.ALL, inject, mends, lasts=20))
    assert world.ground.done == ["inject", "heal"]


def test_ctrl_c_while_a_kill_is_waited_for_mends_it(world: World) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    def inject(ground: Ground, aim: Aim) -> None:
        breaks(ground, aim)
        world.clock.planned.append((world.clock.now + 10, interrupt))

    with pytest.raises(KeyboardInterrupt):
        run(world, Scenario("kill-x", "services", "x", Where.ALL, inject, mend=mends))
    assert world.ground.done == ["inject", "heal"]


def test_an_undoing_that_fails_leaves_the_note(world: World) -> None:
    def fails(_ground: Ground, _aim: Aim) -> None:
        raise GridError("nft: no such table")

    with pytest.raises(GridError):
        run(world, Scenario("partition-1-2", "network", "x", Where.ALL, breaks, fails, lasts=20))
    assert world.record.found() == ("partition-1-2", Aim(NODES, ()))


def test_a_signal_waits_until_what_must_be_done_is_done() -> None:
    done = []
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), shielded():
        os.kill(os.getpid(), signal.SIGINT)
        done.append("undone")
    assert done == ["undone"]
    # A shell that puts the tests in the background has them ignore it.
    assert signal.getsignal(signal.SIGINT) is before


def test_what_a_killed_run_left_is_undone_first(world: World) -> None:
    world.record.note("partition-1-2", Aim(NODES[:1], NODES[1:]))
    Suite("lab", world.parts).undo_left()
    assert world.ground.done == ["nft delete table bridge trivet_chaos_lab"]
    assert world.record.found() is None


def test_two_suites_never_break_one_lab(tmp_path: Path) -> None:
    with Record(tmp_path).alone(), pytest.raises(InputError, match="another trivet chaos"), Record(tmp_path).alone():
        pass
