# SPDX-License-Identifier: GPL-3.0-or-later
"""The objects of a push are read without the repository's own configuration."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from trivet.build import tree_of_commit
from trivet.errors import InputError
from trivet.push import repository


def git(directory: Path, *words: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    done = subprocess.run(["git", *identity, *words], cwd=directory, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A bare repository with two commits."""
    work, made = tmp_path / "work", tmp_path / "shop.git"
    work.mkdir()
    git(work, "init", "--quiet", "-b", "main")
    for text in ("one", "two"):
        (work / "file").write_text(text)
        git(work, "add", "file")
        git(work, "commit", "--quiet", "-m", text)
    git(tmp_path, "clone", "--quiet", "--bare", "work", "shop.git")
    return made


def quarantined(bare: Path) -> Path:
    """The repository's objects as Git has them while a push is looked at."""
    quarantine = bare / "objects" / "tmp_objdir-incoming-x"
    quarantine.mkdir()
    for folder in list((bare / "objects").iterdir()):
        if len(folder.name) == 2:
            folder.rename(quarantine / folder.name)
    return quarantine


def test_a_commit_in_quarantine_is_read(bare: Path) -> None:
    new = git(bare, "rev-parse", "main")
    old = git(bare, "rev-parse", "main~1")
    quarantine = quarantined(bare)
    with repository.opened(bare, str(quarantine)) as objects:
        assert repository.commits(objects, "", new) == 2
        assert repository.commits(objects, old, new) == 1
        assert repository.commits(objects, new, new) == 0
        with tree_of_commit(objects, new) as tree:
            assert (tree.directory / "file").read_text() == "two"
    assert repository.ALTERNATES not in os.environ
    assert not objects.exists()


def test_nothing_that_the_repository_names_is_run(bare: Path, tmp_path: Path) -> None:
    new = git(bare, "rev-parse", "main")
    mark = tmp_path / "mark"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {mark}\n")
    program.chmod(0o755)
    for key in ("core.fsmonitor", "core.sshCommand", "filter.x.smudge", "core.hooksPath"):
        git(bare, "config", key, str(program))
    (bare / "info").mkdir(exist_ok=True)
    (bare / "info" / "attributes").write_text("* filter=x\n")
    with repository.opened(bare, "") as objects, tree_of_commit(objects, new) as tree:
        assert (tree.directory / "file").read_text() == "two"
    assert not mark.exists()


@pytest.mark.parametrize("quarantine", ["/etc", "/", "objects/../..", "/nonexistent/x"])
def test_a_folder_of_others_is_no_quarantine(bare: Path, quarantine: str) -> None:
    with pytest.raises(InputError, match=r"has no objects of shop\.git"), repository.opened(bare, quarantine):
        pass


def test_a_link_is_no_quarantine(bare: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (bare / "objects" / "tmp_objdir-x").symlink_to(tmp_path / "other")
    with (
        pytest.raises(InputError, match="has no objects"),
        repository.opened(bare, str(bare / "objects" / "tmp_objdir-x")),
    ):
        pass
