# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent's archive, compiled for the Python that runs it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from trivet.agent.compiled import KEPT, compile_archive, remove_old
from trivet.node.errors import AgentError


def archive(folder: Path, source: str) -> Path:
    path = folder / "agent.pyz"
    with zipfile.ZipFile(path, "w") as content:
        content.writestr("__main__.py", "raise SystemExit")
        content.writestr("trivet/__init__.py", "")
        content.writestr("trivet/agent/__init__.py", "")
        content.writestr("trivet/agent/word.py", source)
    return path


def test_what_is_compiled_is_imported_without_its_source(tmp_path: Path) -> None:
    place = tmp_path / "compiled" / "key"
    compile_archive(archive(tmp_path, "WORD = 'ready'"), place)
    assert not list(place.rglob("*.py"))
    code = f"import sys; sys.path.insert(0, {str(place)!r}); import trivet.agent.word as w; print(w.WORD, w.__file__)"
    said = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["ready", str(place / "trivet" / "agent" / "word.pyc")]
    assert list(place.parent.iterdir()) == [place]


def test_what_cannot_be_compiled_leaves_nothing(tmp_path: Path) -> None:
    place = tmp_path / "compiled" / "key"
    with pytest.raises(AgentError, match="cannot be compiled"):
        compile_archive(archive(tmp_path, "WORD ="), place)
    assert list(place.parent.iterdir()) == []


def test_the_newest_are_kept(tmp_path: Path) -> None:
    for age in range(KEPT + 2):
        (tmp_path / f"key{age}").mkdir()
        os.utime(tmp_path / f"key{age}", (1e9 - age, 1e9 - age))
    remove_old(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"key{age}" for age in range(KEPT)]
