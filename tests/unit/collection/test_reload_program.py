# SPDX-License-Identifier: GPL-3.0-or-later
"""What trivet.commerce.reload does on a node, with a systemctl of the test and this machine's processes as a unit's."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

SOURCE = Path(__file__).resolve().parents[3] / "plugins" / "plugin_utils" / "reload.py"
specification = importlib.util.spec_from_file_location("reload_program", SOURCE)
assert specification and specification.loader
module = importlib.util.module_from_spec(specification)
specification.loader.exec_module(module)

# What it does is in the file `reload` of the test; a unit is a file that holds its state.
SYSTEMCTL = """\
#!/bin/sh
for unit; do :; done
case "$1" in
  is-active) cat "$FOLDER/$unit" 2>/dev/null || echo inactive ;;
  show) cat "$FOLDER/needs-daemon-reload" 2>/dev/null || echo no ;;
  daemon-reload) echo "$*" >> "$FOLDER/calls" ;;
  *) echo "$*" >> "$FOLDER/calls"; . "$FOLDER/when-told" ;;
esac
"""
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A node whose HAProxy runs."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("FOLDER", str(tmp_path))
    monkeypatch.setattr(module, "MARKS", tmp_path / "marks")
    monkeypatch.setattr(module, "CONTROL_GROUPS", (tmp_path / "groups",))
    (tmp_path / "systemctl").write_text(SYSTEMCTL)
    (tmp_path / "systemctl").chmod(0o755)
    (tmp_path / "when-told").write_text(":")
    (tmp_path / "haproxy.service").write_text("active")
    (tmp_path / "marks").mkdir()
    (tmp_path / "groups" / "haproxy.service").mkdir(parents=True)
    processes(tmp_path, os.getpid())
    return tmp_path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*services: dict[str, Any], check: bool = False) -> dict[str, Any]:
        defaults = {"unit": None, "verb": "reload", "script": None, "files": [], "force": False, "new_process": False}
        entries = [{**defaults, "timeout_seconds": 0.5, **entry} for entry in services]
        module.main({"services": entries, "check_mode": check})
        answer: dict[str, Any] = json.loads(capsys.readouterr().out)
        return answer

    return call


@pytest.fixture
def child() -> Iterator[int]:
    """A process that is younger than this one."""
    process = subprocess.Popen(["sleep", "60"])
    yield process.pid
    process.kill()
    process.wait()


def processes(node: Path, *pids: int) -> None:
    (node / "groups" / "haproxy.service" / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in pids))


def mark(node: Path, name: str = "haproxy") -> Path:
    path = node / "marks" / name
    path.write_text(json.dumps({"since": 1.0}))
    return path


def calls(node: Path) -> list[str]:
    path = node / "calls"
    return path.read_text().splitlines() if path.exists() else []


def test_only_what_is_marked_is_reloaded_and_only_once(run: Run, node: Path) -> None:
    assert run({"name": "haproxy"}) == {"changed": False, "done": []}
    path = mark(node)
    assert run({"name": "haproxy"}) == {"changed": True, "done": ["reload haproxy.service"]}
    assert not path.exists()
    assert not run({"name": "haproxy"})["changed"]
    assert calls(node) == ["reload -- haproxy.service"]


def test_a_reload_that_fails_leaves_the_mark_and_does_not_hold_up_the_next(run: Run, node: Path) -> None:
    (node / "when-told").write_text('[ "$unit" != haproxy.service ] || { echo "bad line 7"; exit 1; }')
    (node / "nginx.service").write_text("active")
    path, other = mark(node), mark(node, "nginx")
    answer = run({"name": "haproxy"}, {"name": "nginx"})
    assert answer["failed"]
    assert answer["msg"] == "haproxy did not take its changed configuration: bad line 7"
    assert answer["done"] == ["reload nginx.service"]
    assert (path.exists(), other.exists()) == (True, False)


def test_without_a_new_process_it_was_not_taken(run: Run, node: Path, child: int) -> None:
    path = mark(node)
    assert "has a new process" in run({"name": "haproxy", "new_process": True})["msg"]
    assert path.exists()
    group = node / "groups" / "haproxy.service" / "cgroup.procs"
    (node / "when-told").write_text(f'echo {child} >> "{group}"')
    assert run({"name": "haproxy", "new_process": True})["changed"]
    assert not path.exists()


def test_a_unit_that_is_still_on_its_way_is_waited_for(run: Run, node: Path) -> None:
    path = mark(node)
    (node / "when-told").write_text(f'echo reloading > "{node}/haproxy.service"')
    assert "is active again" in run({"name": "haproxy"})["msg"]
    assert path.exists()


def test_what_does_not_run_is_left_to_its_start(run: Run, node: Path) -> None:
    (node / "haproxy.service").write_text("inactive")
    path = mark(node)
    assert run({"name": "haproxy"}) == {"changed": False, "done": []}
    assert not path.exists()
    assert calls(node) == []


def test_what_is_written_while_it_reloads_waits_for_the_next_time(run: Run, node: Path) -> None:
    path = mark(node)
    (node / "when-told").write_text(f'echo later > "{path}"')
    assert run({"name": "haproxy"})["changed"]
    assert path.read_text() == "later\n"


def test_a_changed_unit_is_read_first(run: Run, node: Path) -> None:
    (node / "needs-daemon-reload").write_text("yes\n")
    mark(node)
    run({"name": "haproxy", "verb": "restart", "unit": "haproxy.service"})
    assert calls(node) == ["daemon-reload", "restart -- haproxy.service"]


def test_a_process_that_is_older_than_its_file_is_reloaded_without_a_mark(run: Run, node: Path, child: int) -> None:
    configuration = node / "haproxy.cfg"
    configuration.write_text("x")
    entry = {"name": "haproxy", "files": [str(configuration), str(node / "missing")]}
    os.utime(configuration, (time.time() + 60, time.time() + 60))
    processes(node, os.getpid(), child)
    assert run(entry)["done"] == ["reload haproxy.service"]
    os.utime(configuration, (time.time() - 60, time.time() - 60))
    assert not run(entry)["changed"]
    processes(node)
    assert not run(entry)["changed"], "nothing runs that could be older"


def test_a_script_runs_for_what_is_no_unit(run: Run, node: Path) -> None:
    path = mark(node, "sysctl")
    entry = {"name": "sysctl", "script": f"false\ntouch {node}/ran"}
    assert run(entry)["failed"], "it ends with the first command that fails"
    assert path.exists()
    assert run({"name": "sysctl", "script": f"touch {node}/ran"})["changed"]
    assert (path.exists(), (node / "ran").exists()) == (False, True)


def test_check_mode_tells_and_touches_nothing(run: Run, node: Path) -> None:
    path = mark(node)
    assert run({"name": "haproxy"}, {"name": "firewall", "script": "exit 1", "force": True}, check=True)["done"] == [
        "reload haproxy.service",
        "ran the command of firewall",
    ]
    assert path.exists()
    assert calls(node) == []


def test_a_script_may_say_that_it_cannot_be_now(run: Run, node: Path) -> None:
    path = mark(node, "database")
    assert run({"name": "database", "script": "exit 75"}) == {"changed": False, "done": []}
    assert path.exists()
