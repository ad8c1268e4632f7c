# SPDX-License-Identifier: GPL-3.0-or-later
"""A run leaves its figures where it is told to; the files of docs/results/ are such files."""

from __future__ import annotations

import json
import subprocess
from datetime import datetime
from pathlib import Path

import pytest

from trivet import results
from trivet.results import Kind, leave

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "results"


def test_nothing_is_left_where_nobody_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(results.FOLDER_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    assert leave(Kind.PROBE, {"requests": 1}) is None
    assert list(tmp_path.iterdir()) == []


def test_a_run_leaves_a_file_with_commit_machine_and_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(results.FOLDER_VARIABLE, str(tmp_path / "new"))
    monkeypatch.setenv(results.NOTE_VARIABLE, "unit tests beside it")
    path = leave(Kind.CHANGE, {"requests": 9_640})
    assert path is not None and path.name.endswith("-change.json")
    found = json.loads(path.read_text())
    assert found["format"] == 1
    assert found["kind"] == "change"
    assert found["figures"] == {"requests": 9_640}
    assert found["note"] == "unit tests beside it"
    assert datetime.fromisoformat(found["at"]).utcoffset() is not None
    assert found["machine"]["cores"] >= 1 and found["machine"]["memory_mib"] > 100
    assert found["machine"]["kernel"]


def test_the_commit_of_a_checkout_says_when_files_were_changed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def git(*words: str) -> str:
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        done = subprocess.run(
            ["git", "-C", str(tmp_path), *identity, *words], check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    git("init", "-q")
    (tmp_path / "file").write_text("one")
    git("add", ".")
    git("commit", "-q", "-m", "one")
    monkeypatch.setattr(results, "collection_root", lambda: tmp_path)
    commit = git("rev-parse", "--short=9", "HEAD")
    assert results._commit() == commit
    (tmp_path / "file").write_text("two")
    assert results._commit() == f"{commit}-dirty"


def test_an_installed_package_has_no_commit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setattr(results, "collection_root", lambda: tmp_path)
    assert results._commit() is None


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.name)
def test_a_file_of_the_documents_has_the_form(path: Path) -> None:
    found = json.loads(path.read_text())
    assert list(found) == ["format", "kind", "at", "commit", "machine", "note", "figures"]
    assert found["format"] == results.FORMAT
    assert Kind(found["kind"]).value in path.name
    assert path.name.startswith(found["at"][:10])
    assert datetime.fromisoformat(found["at"])
    assert set(found["machine"]) == {"cores", "memory_mib", "kernel", "release"}
    assert found["figures"]
