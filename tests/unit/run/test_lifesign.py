# SPDX-License-Identifier: GPL-3.0-or-later
"""A run of this machine that has died is told from one that lives, and from one of another machine."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from trivet.run.lifesign import MOMENT, alive, died_here

OWNER = "operator@laptop:1"
DIES = (
    "import os; from trivet.run.lifesign import alive; run = alive('operator@laptop:1'); run.__enter__(); os._exit(9)"
)


def moment(at: float) -> str:
    return time.strftime(MOMENT, time.gmtime(at))


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


def test_a_run_that_lives_is_not_dead_and_one_that_ended_left_nothing(state: Path) -> None:
    with alive(OWNER):
        assert not died_here(OWNER, moment(time.time()))
    assert not died_here(OWNER, moment(time.time()))
    assert not list(state.glob("trivet/alive/*"))


def test_one_that_was_killed_is_dead_once() -> None:
    assert subprocess.run([sys.executable, "-c", DIES], check=False).returncode == 9
    assert died_here(OWNER, moment(time.time()))
    assert not died_here(OWNER, moment(time.time()))


def test_one_of_the_same_name_at_another_time_is_that_of_another_machine() -> None:
    assert subprocess.run([sys.executable, "-c", DIES], check=False).returncode == 9
    assert not died_here(OWNER, moment(time.time() - 3600))
