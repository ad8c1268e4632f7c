# SPDX-License-Identifier: GPL-3.0-or-later
"""The id of a tree is Git's, wherever its files come from, and a repository that is asked stays as it was."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from trivet.build import tree_of_commit, tree_of_directory
from trivet.errors import InputError

AUTHOR = ("-c", "user.name=T", "-c", "user.email=t@example.com")


def git(directory: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *AUTHOR, *arguments], cwd=directory, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two files, a program, a link, a folder, and something that Git ignores."""
    folder = tmp_path / "repository"
    (folder / "sub").mkdir(parents=True)
    (folder / "index.php").write_text("<?php\n")
    (folder / "sub" / "ünï code").write_text("two\n")
    (folder / "tool").write_text("#!/bin/sh\n")
    (folder / "tool").chmod(0o755)
    (folder / "link").symlink_to("sub")
    (folder / ".gitignore").write_text("var/\n")
    (folder / "var").mkdir()
    (folder / "var" / "ignored").write_text("")
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "one")
    return folder


@pytest.mark.parametrize(("root", "object"), [("/", "HEAD^{tree}"), ("/sub", "HEAD:sub"), ("sub/", "HEAD:sub")])
def test_a_clean_work_tree_has_the_id_of_its_commit(repository: Path, root: str, object: str) -> None:
    tree = tree_of_directory(repository)
    assert tree.commit == git(repository, "rev-parse", "HEAD")
    assert tree.id_of(root) == git(repository, "rev-parse", object)
    assert tree.contents(root).uncommitted == ()


def test_what_is_not_committed_counts_and_what_is_ignored_does_not(repository: Path) -> None:
    before = git(repository, "status", "--porcelain")
    (repository / "new").write_text("")
    (repository / "sub" / "ünï code").write_text("changed\n")
    (repository / "tool").unlink()
    contents = tree_of_directory(repository).contents("/")
    assert set(contents.uncommitted) == {"new", "sub/ünï code", "tool"}
    assert set(contents.files) == {".gitignore", "index.php", "link", "new", "sub/ünï code"}
    assert contents.id != git(repository, "rev-parse", "HEAD^{tree}")
    # The repository's own index and objects were not touched.
    assert before == "" and "?? new" in git(repository, "status", "--porcelain")
    git(repository, "add", "--all")
    assert contents.id == git(repository, "write-tree")


def test_a_folder_inside_of_a_work_tree_is_a_tree_of_its_own(repository: Path) -> None:
    tree = tree_of_directory(repository / "sub")
    assert tree.id_of("/") == git(repository, "rev-parse", "HEAD:sub")
    assert tree.contents("/").files == ("ünï code",)


def test_a_folder_that_git_ignores_is_taken_whole(repository: Path) -> None:
    assert tree_of_directory(repository / "var").contents("/").files == ("ignored",)
    assert tree_of_directory(repository / "var").commit is None


def test_an_export_has_the_id_of_its_commit(repository: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", "--bare", str(repository), "bare.git")
    for source in (repository, tmp_path / "bare.git"):
        with tree_of_commit(source, "HEAD") as tree:
            assert tree.commit == git(repository, "rev-parse", "HEAD")
            assert tree.id_of("/") == git(repository, "rev-parse", "HEAD^{tree}")
            assert tree.id_of("/sub") == git(repository, "rev-parse", "HEAD:sub")
            assert os.access(tree.directory / "tool", os.X_OK) and (tree.directory / "link").is_symlink()
            assert not (tree.directory / ".git").exists()
        assert not tree.directory.exists()


def test_a_commit_is_read_in_the_hook_of_a_push(repository: Path, tmp_path: Path) -> None:
    """New objects are in quarantine then, and GIT_DIR is set."""
    bare = tmp_path / "bare.git"
    git(tmp_path, "init", "--quiet", "--bare", "bare.git")
    hook = bare / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    program = (
        "from pathlib import Path; from trivet.build import tree_of_commit\n"
        "import sys\n"
        "with tree_of_commit(Path.cwd(), sys.stdin.read().split()[1]) as tree:\n"
        "    Path('seen').write_text(tree.id_of('/'))\n"
    )
    (tmp_path / "program.py").write_text(program)
    source = Path(__file__).parents[3] / "src"
    hook.write_text(f"#!/bin/sh\nPYTHONPATH={source} exec {sys.executable} {tmp_path}/program.py\n")
    hook.chmod(0o755)
    git(repository, "push", "--quiet", str(bare), "HEAD:refs/heads/main")
    assert (bare / "seen").read_text() == git(repository, "rev-parse", "HEAD^{tree}")


def test_a_submodule_is_refused(repository: Path) -> None:
    inner = repository / "module"
    inner.mkdir()
    git(inner, "init", "--quiet")
    (inner / "file").write_text("")
    git(inner, "add", "file")
    git(inner, "commit", "--quiet", "--message", "inner")
    with pytest.raises(InputError, match="module is a Git repository of its own"):
        tree_of_directory(repository).id_of("/")


@pytest.mark.parametrize(
    ("root", "said"),
    [
        ("/missing", "has no folder missing"),
        ("/../..", "has no folder"),
        ("/link", "has no folder"),
        ("/empty", "has no files"),
    ],
)
def test_a_root_with_nothing_to_build_is_refused(tmp_path: Path, root: str, said: str) -> None:
    (tmp_path / "project" / "empty").mkdir(parents=True)
    (tmp_path / "project" / "file").write_text("")
    (tmp_path / "project" / "link").symlink_to(tmp_path)
    with pytest.raises(InputError, match=said):
        tree_of_directory(tmp_path / "project").id_of(root)


def test_what_is_no_folder_and_no_commit_is_refused(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no folder"):
        tree_of_directory(tmp_path / "missing")
    with pytest.raises(InputError, match="git rev-parse failed"), tree_of_commit(repository, "nowhere"):
        pass
    with pytest.raises(InputError, match="is no Git repository"), tree_of_commit(tmp_path / "missing", "HEAD"):
        pass


@pytest.mark.parametrize("through", ["directly", "by a folder", "by another link", "relatively"])
def test_a_link_to_a_file_of_this_machine_is_refused(repository: Path, tmp_path: Path, through: str) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "password").write_text("secret")
    if through == "directly":
        (repository / "php.ini").symlink_to(secrets / "password")
    elif through == "by a folder":
        (repository / "shop").symlink_to(secrets)
    elif through == "relatively":
        (repository / "php.ini").symlink_to("../index")
    else:
        (repository / "other").symlink_to(secrets)
        (repository / "php.ini").symlink_to("other/password")
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "link")
    with (
        pytest.raises(InputError, match="is a link that leads out of the repository"),
        tree_of_commit(repository, "HEAD"),
    ):
        pass


def test_links_within_and_to_what_is_not_here_are_kept(repository: Path) -> None:
    (repository / "media").symlink_to("/app/nonexistent/media")
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "link")
    with tree_of_commit(repository, "HEAD") as tree:
        assert (tree.directory / "link").readlink() == Path("sub")
        assert (tree.directory / "media").is_symlink()
