# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept of a push, and what another one waits for."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from trivet.errors import InputError, LeaseHeld
from trivet.push import turn
from trivet.push.activity import DONE, FAILED, RUNNING, Activity, activities, log_of
from trivet.push.refs import Push
from trivet.push.turn import Queue, overtaken

PUSH = Push("production", "shop-live", "", "b" * 40)


def begun(directory: Path, told: list[str], new: str = PUSH.new) -> Activity:
    push = Push(PUSH.branch, PUSH.environment, PUSH.old, new)
    return Activity.begin(directory, told.append, kind="push", project="shop", push=push, by="anna")


def test_an_activity_is_kept_with_its_log(tmp_path: Path) -> None:
    told: list[str] = []
    activity = begun(tmp_path, told)
    activity.line("Building")
    assert [item.state for item in activities(tmp_path)] == [RUNNING]
    activity.end(DONE, "it serves")
    (kept,) = activities(tmp_path, "shop-live")
    assert (kept.state, kept.verdict, kept.by, kept.branch) == (DONE, "it serves", "anna", "production")
    assert kept.ended is not None and kept.ended >= kept.began
    assert log_of(tmp_path, kept.id) == "Building\n"
    assert told == ["Building"]
    assert activities(tmp_path, "other") == []


def test_an_activity_whose_process_was_killed_has_failed(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from trivet.push.activity import Activity;"
        "from trivet.push.refs import Push;"
        "push = Push('b', 'e', '', 'c' * 40);"
        "Activity.begin(Path(sys.argv[1]), print, kind='push', project='shop', push=push, by='x');"
        "os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    (kept,) = activities(tmp_path)
    assert kept.state == FAILED


@pytest.mark.parametrize("name", ["x", "../x", "", "*"])
def test_only_what_is_listed_has_a_log(tmp_path: Path, name: str) -> None:
    (tmp_path / "x.log").write_text("secret")
    with pytest.raises(InputError, match="no activity"):
        log_of(tmp_path, name)


def test_a_second_push_waits_and_says_for_whom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn, "POLL_SECONDS", 0.01)
    first, told = begun(tmp_path, []), []
    entered = threading.Event()
    waits = threading.Event()

    def say(line: str) -> None:
        told.append(line)
        waits.set()

    second = begun(tmp_path, [])

    def other() -> None:
        with Queue(tmp_path, "shop-live", 10, say).turn(second.record.id):
            entered.set()

    with Queue(tmp_path, "shop-live", 10, say).turn(first.record.id):
        thread = threading.Thread(target=other)
        thread.start()
        assert waits.wait(5)
        assert not entered.is_set()
    thread.join(5)
    assert entered.is_set()
    assert told == [f"Waiting for {first.record.told}"]
    assert "by anna" in told[0]


def test_nobody_waits_without_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn, "POLL_SECONDS", 0.01)
    told: list[str] = []
    with pytest.raises(LeaseHeld, match="waited 0 s in vain for a rotation"):
        Queue(tmp_path, "e", 0.05, told.append).until(lambda: "a rotation")
    assert told == ["Waiting for a rotation"]


def test_another_environment_is_not_waited_for(tmp_path: Path) -> None:
    with Queue(tmp_path, "a", 1, print).turn("1"), Queue(tmp_path, "b", 1, print).turn("2"):
        pass


def test_who_was_overtaken_while_waiting_is_refused(tmp_path: Path) -> None:
    own = begun(tmp_path, [])
    faster = begun(tmp_path, [], new="c" * 40)
    assert overtaken(own.record, activities(tmp_path)) is None
    faster.end(FAILED, "")
    assert overtaken(own.record, activities(tmp_path)) is None
    faster.record.state = DONE
    faster._save()
    found = overtaken(own.record, activities(tmp_path))
    assert found is not None and found.id == faster.record.id
    # One that stands on it goes on from there.
    own.record.old = "c" * 40
    assert overtaken(own.record, activities(tmp_path)) is None
