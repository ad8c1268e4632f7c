# SPDX-License-Identifier: GPL-3.0-or-later
"""``trivet upscale`` and ``trivet rotation``: what is refused before a probe begins, what is asked, exit codes."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from tests.unit.environments import environment
from trivet.cli import change as change_command
from trivet.cli import rotation as rotation_command
from trivet.cli.main import app
from trivet.cli.output import Output
from trivet.errors import InputError, LeaseHeld
from trivet.rotation.change import Change
from trivet.rotation.engine import RotationReport
from trivet.rotation.plan import Plan, PlannedNode, Refusal
from trivet.run.stop import StopRequest

OWNER = "operator@laptop:7"


@dataclass
class World:
    """What the commands asked for, and what they are answered."""

    refusals: tuple[Refusal, ...] = ()
    open: bool = True
    held_by: str | None = None
    lives: bool = False
    asked: list[str] = field(default_factory=list)
    probed: bool = False


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()

    class FakeRotations:
        def __init__(self, _environment: object, _listener: object = None, stop: StopRequest | None = None) -> None:
            self._stop = stop

        def __enter__(self) -> FakeRotations:
            return self

        def __exit__(self, *_: object) -> None:
            return None

        def bound(self, _listener: object, stop: StopRequest) -> FakeRotations:
            return self

        def _done(self, what: str, change: Change) -> RotationReport:
            world.asked.append(what)
            return RotationReport(Plan("test", change, ()), Path("/journals/one.jsonl"))

        def plan(self, change: Change) -> Plan:
            world.asked.append("plan")
            return Plan("test", change, (PlannedNode("node-2", "holds nothing"),), refusals=world.refusals)

        def apply(self, change: Change, shown: Plan | None = None) -> RotationReport:
            return self._done("apply", change)

        def check_open(self) -> None:
            if not world.open:
                raise InputError("test has no change that was broken off")

        def status(self) -> dict[str, Any]:
            return {"state": "running", "owner": OWNER, "held_by": world.held_by}

        def request_stop(self) -> str:
            world.asked.append("stop")
            return "journal-1"

        def abort(self) -> RotationReport:
            if world.held_by and world.lives:
                raise LeaseHeld("another run has the environment, and renews its lease")
            return self._done("abort", Change.resize(environment(), "12"))

        def resume(self) -> RotationReport:
            return self._done("resume", Change.resize(environment(), "12"))

    def beside(_environment: object, output: Any, rate: float, work: Callable[[Any], Any], **options: Any) -> None:
        world.probed = world.probed or bool(rate)
        options["show"](output, work(lambda event: None))

    for module in (change_command, rotation_command):
        monkeypatch.setattr(module, "Rotations", FakeRotations)
        monkeypatch.setattr(module, "load_environment", lambda _env: environment())
    monkeypatch.setattr(change_command, "beside_probe", beside)
    return world


def run(*words: str, answer: str = "") -> Any:
    return CliRunner().invoke(app, list(words), input=answer)


def test_a_refused_change_is_refused_before_a_probe_places_orders(world: World) -> None:
    world.refusals = (Refusal("test is not healthy", "trivet status test"),)
    result = run("upscale", "test", "--size", "12", "--yes", "--probe", "25")
    assert isinstance(result.exception, InputError)
    assert "not healthy" in result.exception.message
    assert (world.asked, world.probed) == (["plan"], False)


def test_what_is_to_be_resumed_is_looked_for_before_a_probe_places_orders(world: World) -> None:
    world.open = False
    result = run("rotation", "resume", "test", "--probe", "25")
    assert isinstance(result.exception, InputError)
    assert (world.asked, world.probed) == ([], False)


def test_at_the_question_a_signal_ends_the_command_as_ever(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    monkeypatch.setattr(typer, "confirm", lambda *_args, **_options: found.append(signal.getsignal(signal.SIGINT)))
    before = signal.getsignal(signal.SIGINT)
    assert run("upscale", "test", "--size", "12").exit_code == 0
    assert found == [before]
    assert world.asked == ["plan", "apply"]


def test_a_run_under_nohup_goes_on_when_its_terminal_goes_away() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with change_command.stoppable(Output(json=False)) as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop.by == ""
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop.by == "SIGTERM"
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_as_json_nobody_is_asked_and_nothing_is_planned(world: World) -> None:
    result = run("upscale", "test", "--size", "12", "--json")
    assert isinstance(result.exception, InputError)
    assert world.asked == []


def test_abort_asks_a_living_runner_to_stop_and_says_that_it_is_not_over(world: World) -> None:
    world.held_by, world.lives = f"{OWNER} since 12:00 for: resize", True
    result = run("rotation", "abort", "test", "--yes")
    assert result.exit_code == 1
    assert world.asked == ["stop"]
    assert "say abort again" in result.stderr


def test_abort_takes_over_from_a_dead_runner_whose_lease_has_not_expired(world: World) -> None:
    world.held_by = f"{OWNER} since 12:00 for: resize"
    result = run("rotation", "abort", "test", "--yes", "--json")
    assert result.exit_code == 0
    assert world.asked == ["stop", "abort"]
    assert json.loads(result.stdout.splitlines()[-1])["event"] == "done"


def test_abort_is_refused_while_somebody_else_has_the_environment(world: World) -> None:
    world.held_by, world.lives = "backup@host:9 since 12:00 for: backup", True
    result = run("rotation", "abort", "test", "--yes")
    assert isinstance(result.exception, LeaseHeld)
    assert world.asked == []
