# SPDX-License-Identifier: GPL-3.0-or-later
"""What trivet.commerce.files does on a node, done on this machine in a temporary folder."""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SOURCE = Path(__file__).resolve().parents[3] / "plugins" / "plugin_utils" / "tree.py"
specification = importlib.util.spec_from_file_location("tree", SOURCE)
assert specification and specification.loader
module = importlib.util.module_from_spec(specification)
specification.loader.exec_module(module)

ME = {"owner": str(os.getuid()), "group": str(os.getgid())}
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the program; `check` and `diff` are Ansible's modes."""

    def call(check: bool = False, diff: bool = False, **arguments: Any) -> dict[str, Any]:
        given = {kind: arguments.get(kind, []) for kind in ("files", "directories", "links", "absent", "pending")}
        given["pending"] = [{"reload": None, "restart": None, "path": "", **entry} for entry in given["pending"]]
        given["files"] = [{**ME, "mode": "0644", "force": True, **entry} for entry in given["files"]]
        given["directories"] = [{**ME, "mode": "0755", **entry} for entry in given["directories"]]
        module.main({**given, "check_mode": check, "diff": diff})
        answer: dict[str, Any] = json.loads(capsys.readouterr().out)
        return answer

    return call


def contents(folder: Path) -> dict[str, str]:
    """Everything below a folder: files with their text, links with their target, folders."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        else:
            found[name] = "folder" if path.is_dir() else path.read_text()
    return found


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_tree_is_written_once_and_then_left_alone(run: Run, tmp_path: Path) -> None:
    tree = {
        "directories": [{"path": str(tmp_path / "etc" / "inner"), "mode": "0750"}],
        "files": [
            {"dest": str(tmp_path / "etc" / "text"), "content": "a\n", "mode": "0640"},
            {"dest": str(tmp_path / "etc" / "inner" / "binary"), "content_base64": base64.b64encode(b"b\n").decode()},
        ],
        "links": [{"path": str(tmp_path / "link"), "target": "etc/text"}],
        "absent": [str(tmp_path / "old")],
    }
    (tmp_path / "old").write_text("gone\n")
    first = run(**tree)
    assert first["changed"]
    assert sorted(first["changed_files"]) == sorted(
        str(tmp_path / name) for name in ("etc/inner", "etc/text", "etc/inner/binary", "link", "old")
    )
    assert contents(tmp_path) == {
        "etc": "folder",
        "etc/inner": "folder",
        "etc/inner/binary": "b\n",
        "etc/text": "a\n",
        "link": "-> etc/text",
    }
    assert (mode(tmp_path / "etc/inner"), mode(tmp_path / "etc/text")) == (0o750, 0o640)
    before = (tmp_path / "etc/text").stat()
    second = run(**tree)
    assert (second["changed"], second["changed_files"]) == (False, [])
    assert (tmp_path / "etc/text").stat() == before, "an equal file must not even be replaced"


def test_one_failed_check_leaves_every_file_as_it_was(run: Run, tmp_path: Path) -> None:
    (tmp_path / "first").write_text("old first\n")
    (tmp_path / "second").write_text("old second\n")
    (tmp_path / "obsolete").write_text("still needed by the old files\n")
    before = contents(tmp_path)
    answer = run(
        files=[
            {"dest": str(tmp_path / "first"), "content": "new first\n", "validate": "grep -q new %s"},
            {"dest": str(tmp_path / "second"), "content": "new second\n", "validate": "grep wrong %s"},
        ],
        links=[{"path": str(tmp_path / "link"), "target": "first"}],
        absent=[str(tmp_path / "obsolete")],
    )
    assert answer["failed"]
    assert f"{tmp_path / 'second'} was not written, nothing was changed" in answer["msg"]
    assert contents(tmp_path) == before


def test_the_check_sees_the_new_content_with_its_suffix_and_mode(run: Run, tmp_path: Path) -> None:
    script = tmp_path / "check.sh"
    script.write_text(
        f'#!/bin/sh\nstat -c %a "$1" > {tmp_path}/seen; cat "$1" >> {tmp_path}/seen\n'
        'case "$1" in *.cnf) ;; *) exit 1 ;; esac\n'
    )
    script.chmod(0o755)
    answer = run(
        files=[{"dest": str(tmp_path / "a.cnf"), "content": "x\n", "mode": "0600", "validate": f"{script} %s"}]
    )
    assert answer.get("failed") is None
    assert (tmp_path / "seen").read_text() == "600\nx\n"


def test_a_failed_check_says_what_the_program_said(run: Run, tmp_path: Path) -> None:
    answer = run(
        files=[{"dest": str(tmp_path / "a"), "content": "x", "validate": "sh -c 'echo line 7: no; exit 1' %s"}]
    )
    assert answer["detail"] == "line 7: no"


@pytest.mark.parametrize("diff", [False, True])
def test_check_mode_touches_nothing_and_reports_the_same(diff: bool, run: Run, tmp_path: Path) -> None:
    (tmp_path / "changed").write_text("old\n")
    (tmp_path / "old").write_text("gone\n")
    tree = {
        "directories": [{"path": str(tmp_path / "new")}],
        "files": [
            {"dest": str(tmp_path / "changed"), "content": "new\n", "validate": "grep -q new %s"},
            {"dest": str(tmp_path / "new" / "file"), "content": "x\n", "validate": "program-that-is-not-installed %s"},
        ],
        "links": [{"path": str(tmp_path / "link"), "target": "changed"}],
        "absent": [str(tmp_path / "old")],
    }
    before = contents(tmp_path)
    dry = run(check=True, diff=diff, **tree)
    assert contents(tmp_path) == before
    tree["files"][1].pop("validate")
    assert dry["changed_files"] == run(diff=diff, **tree)["changed_files"]


def test_check_mode_validates_too(run: Run, tmp_path: Path) -> None:
    answer = run(check=True, files=[{"dest": str(tmp_path / "a"), "content": "x", "validate": "grep wrong %s"}])
    assert answer["failed"]
    assert contents(tmp_path) == {}


def test_diff_mode_shows_each_changed_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "same").write_text("same\n")
    (tmp_path / "changed").write_text("old\n")
    files = [{"dest": str(tmp_path / name), "content": f"{name}\n"} for name in ("same", "changed", "new")]
    answer = run(diff=True, files=files)
    assert [(entry["after_header"], entry["before"], entry["after"]) for entry in answer["diff"]] == [
        (str(tmp_path / "changed"), "old\n", "changed\n"),
        (str(tmp_path / "new"), "", "new\n"),
    ]


def test_a_wrong_mode_alone_is_a_change(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("x")
    path.chmod(0o644)
    tree = {"files": [{"dest": str(path), "content": "x", "mode": "0600"}]}
    assert run(**tree)["changed_files"] == [str(path)]
    assert mode(path) == 0o600
    assert not run(**tree)["changed"]


def test_force_false_keeps_what_is_there(run: Run, tmp_path: Path) -> None:
    kept, fresh = tmp_path / "kept", tmp_path / "fresh"
    kept.write_text("the daemon's own\n")
    kept.chmod(0o644)
    tree = {"files": [{"dest": str(path), "content": "x", "mode": "0600", "force": False} for path in (kept, fresh)]}
    assert run(**tree)["changed_files"] == [str(fresh)]
    assert (kept.read_text(), mode(kept)) == ("the daemon's own\n", 0o644)
    assert not run(**tree)["changed"]


def test_links_are_replaced_but_folders_never(run: Run, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("elsewhere")
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    for name in ("link", "file"):
        assert run(links=[{"path": str(tmp_path / name), "target": "target"}])["changed"]
        assert (tmp_path / name).readlink() == Path("target")
    assert "is a directory" in run(links=[{"path": str(tmp_path / "folder"), "target": "target"}])["msg"]
    assert "is a directory" in run(absent=[str(tmp_path / "folder")])["msg"]
    assert "is not a file" in run(files=[{"dest": str(tmp_path / "folder"), "content": "x"}])["msg"]
    assert (tmp_path / "folder").is_dir()


def test_a_file_takes_the_place_of_a_link_not_of_its_target(run: Run, tmp_path: Path) -> None:
    (tmp_path / "target").write_text("untouched")
    (tmp_path / "link").symlink_to("target")
    run(files=[{"dest": str(tmp_path / "link"), "content": "x"}])
    assert contents(tmp_path) == {"link": "x", "target": "untouched"}


def test_what_is_missing_is_named(run: Run, tmp_path: Path) -> None:
    missing = tmp_path / "missing" / "file"
    answer = run(files=[{"dest": str(missing), "content": "x"}])
    assert answer["msg"] == f"the folder of {missing} does not exist"
    answer = run(files=[{"dest": str(tmp_path / "a"), "content": "x", "owner": "nobody-of-that-name"}])
    assert answer["msg"] == "user 'nobody-of-that-name' does not exist on this node"
    assert contents(tmp_path) == {}


# ---- what waits


@pytest.fixture
def marks(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the marks are."""
    folder = tmp_path_factory.mktemp("trivet")
    monkeypatch.setattr(module, "MARKS", str(folder))
    return folder


def marked(folder: Path) -> dict[str, list[str]]:
    """The marks, each with the names of its files."""
    return {
        str(path.relative_to(folder)): [Path(name).name for name in json.loads(path.read_text())["files"]]
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_what_waits_is_marked_with_the_files_and_nothing_else_is(run: Run, tmp_path: Path, marks: Path) -> None:
    (tmp_path / "old").write_text("gone")
    tree = {
        "directories": [{"path": str(tmp_path / "folder")}],
        "files": [
            {"dest": str(tmp_path / "live.cnf"), "content": "x"},
            {"dest": str(tmp_path / "90.cnf"), "content": "x"},
        ],
        "links": [{"path": str(tmp_path / "link"), "target": "90.cnf"}],
        "absent": [str(tmp_path / "old")],
        "pending": [
            {"reload": "mariadb", "path": "live"},
            {"restart": "mariadb", "path": "/90"},
            {"reload": "links", "path": "/link$"},
            {"reload": "removed", "path": "/old$"},
            {"reload": "folders", "path": "/folder$"},
        ],
    }
    run(check=True, **tree)
    assert marked(marks) == {}
    run(**tree)
    assert marked(marks) == {
        "pending-reload/links": ["link"],
        "pending-reload/mariadb": ["live.cnf"],
        "pending-reload/removed": ["old"],
        "pending-restart/mariadb": ["90.cnf"],
    }
    for path in marks.rglob("*/*"):
        path.unlink()
    run(**tree)
    assert marked(marks) == {}, "nothing changed, nothing waits"


def test_a_mark_keeps_since_when_and_what_an_earlier_run_changed(run: Run, tmp_path: Path, marks: Path) -> None:
    def write(name: str) -> dict[str, Any]:
        run(files=[{"dest": str(tmp_path / name), "content": "x"}], pending=[{"reload": "nginx"}])
        found: dict[str, Any] = json.loads((marks / "pending-reload" / "nginx").read_text())
        return found

    first, second = write("b"), write("a")
    assert second["since"] == first["since"]
    assert second["reason"] == f"changed: {tmp_path / 'a'}, {tmp_path / 'b'}"
    assert second != first, "who reloads now must see that something was added meanwhile"


def test_whatever_ends_the_program_no_change_is_without_its_mark(
    run: Run, tmp_path: Path, marks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_unused: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module.Tree, "apply", killed)
    with pytest.raises(KeyboardInterrupt):
        run(files=[{"dest": str(tmp_path / "a"), "content": "x"}], pending=[{"reload": "haproxy"}])
    assert not (tmp_path / "a").exists()
    assert marked(marks) == {"pending-reload/haproxy": ["a"]}


def test_what_is_refused_is_not_marked(run: Run, tmp_path: Path, marks: Path) -> None:
    files = [{"dest": str(tmp_path / "a"), "content": "x", "validate": "grep wrong %s"}]
    assert run(files=files, pending=[{"reload": "haproxy"}])["failed"]
    assert marked(marks) == {}
