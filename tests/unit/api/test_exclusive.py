# SPDX-License-Identifier: GPL-3.0-or-later
"""An operator's program under the lease."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from trivet.api import exclusive
from trivet.api.exclusive import run_exclusively
from trivet.cli.exclusive import ended_by_signals
from trivet.errors import InputError, LeaseHeld
from trivet.health.facts import LeaseMode
from trivet.model import Environment
from trivet.run.recorded import Recorded


class World:
    """The lease of an environment, as nodes that answer would keep it."""

    def __init__(self) -> None:
        self.holder = ""
        self.purpose = ""
        self.lost = False
        self.released = 0
        self.mode: LeaseMode | None = None
        self.recorded_runs: list[tuple[str, dict[str, Any], str]] = []

    def nodes(self, environment: Environment) -> World:
        return self

    @contextmanager
    def recorded(self, nodes: World, kind: str, purpose: str, *, mode: LeaseMode) -> Iterator[Recorded]:
        if self.holder:
            raise LeaseHeld(f"shop is locked by {self.holder}")
        self.purpose, self.mode = purpose, mode
        run = Recorded(self, "alice@laptop:1", "journal")
        with self:
            yield run
        self.recorded_runs.append((kind, run.result, run.failure))

    def check(self) -> None:
        if self.lost:
            raise LeaseHeld("the lease could not be renewed")

    def __enter__(self) -> World:
        return self

    def __exit__(self, *_: object) -> None:
        self.released += 1


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    monkeypatch.setattr(exclusive, "Nodes", world.nodes)
    monkeypatch.setattr(exclusive, "recorded", world.recorded)
    monkeypatch.setattr(exclusive, "LOOK_SECONDS", 0.05)
    return world


ENVIRONMENT: Any = None


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_the_programs_exit_code_is_the_answer_and_the_lease_is_given_back(world: World) -> None:
    assert run_exclusively(ENVIRONMENT, python("raise SystemExit(7)"), "backup") == 7
    assert (world.purpose, world.released) == ("backup", 2)
    result = {"program": sys.executable, "exit_code": 7}
    assert world.recorded_runs == [("exclusive", result, f"{sys.executable} ended with exit code 7")]


@pytest.mark.parametrize(("hands_off", "mode"), [(False, LeaseMode.NO_CHANGE), (True, LeaseMode.HANDS_OFF)])
def test_agents_go_on_repairing_beside_it_unless_hands_are_kept_off(
    world: World, mode: LeaseMode, *, hands_off: bool
) -> None:
    assert run_exclusively(ENVIRONMENT, python(""), "backup", hands_off=hands_off) == 0
    assert world.mode is mode
    assert world.recorded_runs[0][2] == ""


def test_nothing_is_run_while_another_run_has_the_environment(world: World, tmp_path: Any) -> None:
    world.holder = "ops@laptop:42"
    mark = tmp_path / "ran"
    with pytest.raises(LeaseHeld, match="ops@laptop:42"):
        run_exclusively(ENVIRONMENT, python(f"open({str(mark)!r}, 'w')"), "backup")
    assert not mark.exists()


def test_a_program_that_there_is_not_is_bad_input(world: World) -> None:
    with pytest.raises(InputError, match="/nowhere/backup cannot be run"):
        run_exclusively(ENVIRONMENT, ["/nowhere/backup"], "backup")
    assert world.released == 0, "nothing was touched"


@pytest.mark.parametrize(
    "code", ["import time; time.sleep(60)", "import signal, time; signal.signal(15, 1); time.sleep(60)"]
)
def test_a_program_is_ended_when_the_lease_is_lost(world: World, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exclusive, "END_SECONDS", 0.5)
    world.lost = True
    told: list[str] = []
    began = time.monotonic()
    with pytest.raises(LeaseHeld, match="could not be renewed"):
        run_exclusively(ENVIRONMENT, python(code), "backup", tell=told.append)
    assert time.monotonic() - began < 30
    assert told and "ending" in told[0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_program_before_the_lease_is_given_back(number: signal.Signals, world: World) -> None:
    threading.Timer(0.5, os.kill, (os.getpid(), number)).start()
    before = signal.getsignal(number)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), ended_by_signals():
        run_exclusively(ENVIRONMENT, python("import time; time.sleep(20)"), "backup")
    assert time.monotonic() - began < 10
    assert world.released >= 1
    assert signal.getsignal(number) is before


KILLED = """
import contextlib, sys
from trivet.api import exclusive
from trivet.run.recorded import Recorded
exclusive.Nodes = lambda environment: contextlib.nullcontext()
exclusive.recorded = lambda *unused, **mode: contextlib.nullcontext(Recorded(None, "", ""))
code = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
exclusive.run_exclusively(None, [sys.executable, "-c", code], "backup")
"""


def test_a_runner_that_is_killed_takes_its_program_with_it() -> None:
    runner = subprocess.Popen([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, text=True)
    assert runner.stdout is not None
    program = int(runner.stdout.readline())
    os.kill(program, 0)
    runner.kill()
    runner.wait()
    runner.stdout.read()  # ends when the program has closed it
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            os.kill(program, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    os.kill(program, signal.SIGKILL)
    pytest.fail("the program outlived its runner and its lease")
