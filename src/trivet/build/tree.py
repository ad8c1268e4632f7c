# SPDX-License-Identifier: GPL-3.0-or-later
"""What is built: the files of a folder or of a commit, and the Git tree id that names them."""

from __future__ import annotations

import os
import posixpath
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from trivet.errors import InputError

SUBMODULE = "160000"
LINK = "120000"
QUARANTINE = ("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_QUARANTINE_PATH")
"""In a hook of a push the new objects are in a folder of their own until the push is taken (git-receive-pack(1))."""
GIT_SECONDS = 600.0


@dataclass(frozen=True)
class Contents:
    """The files of a folder of a tree.

    Attributes:
        id: Git's id of them.
        files: Their names within the folder.
        uncommitted: Those that differ from the commit, so that the commit does not tell what was built.
    """

    id: str
    files: tuple[str, ...]
    uncommitted: tuple[str, ...]


@dataclass(frozen=True)
class Tree:
    """Files of a project.

    Attributes:
        directory: Folder with them. In a work tree of Git, what Git ignores is none of them.
        commit: That they come from; None when they come from none. In a work tree they may differ from it.
    """

    directory: Path
    commit: str | None

    def id_of(self, root: str) -> str:
        """Git's id of the files of a folder.

        Args:
            root: ``/``, or ``/shop`` for a folder.

        Raises:
            InputError: There is no such folder, nothing in it, or a submodule in it.
        """
        return self.contents(root).id

    def contents(self, root: str) -> Contents:
        """The files of a folder.

        Args:
            root: ``/``, or ``/shop`` for a folder.

        Raises:
            InputError: There is no such folder, nothing in it, or a submodule in it.
        """
        folder = self.folder(root)
        with tempfile.TemporaryDirectory(prefix="trivet-tree-") as scratch:
            if _in_work_tree(self.directory):
                return _of_work_tree(self.directory, folder, self.commit, Path(scratch))
            return _of_plain_folder(self.directory, folder, Path(scratch))

    def folder(self, root: str) -> Path:
        """The folder of an application.

        Raises:
            InputError: There is no such folder in the tree.
        """
        inner = posixpath.normpath(root.strip("/") or ".")
        path = self.directory / inner
        # Through a link a push could have files of this machine built.
        if inner.split("/")[0] == ".." or not path.is_dir() or path.resolve() != self.directory.resolve() / inner:
            raise InputError(f"{self.directory} has no folder {inner}, which is the root of the application")
        return path


def tree_of_directory(directory: Path) -> Tree:
    """The files of a folder as they are, committed or not.

    Raises:
        InputError: There is no such folder.
    """
    if not directory.is_dir():
        raise InputError(f"{directory} is no folder", "name the folder that has .magento.app.yaml")
    directory = directory.resolve()
    if not _in_work_tree(directory):
        return Tree(directory, None)
    head = _git(["rev-parse", "--verify", "--quiet", "HEAD^{commit}"], directory, {}, may_fail=True)
    return Tree(directory, head.strip() or None)


@contextmanager
def tree_of_commit(repository: Path, ref: str) -> Iterator[Tree]:
    """The files of a commit, in a folder that is removed afterwards.

    Works in a hook of a push, too, while the new objects are in quarantine.

    Args:
        repository: A bare repository or a checkout.
        ref: A commit, branch or tag.

    Raises:
        InputError: There is no such repository or commit.
    """
    if not repository.is_dir():
        raise InputError(f"{repository} is no Git repository")
    given = {name: os.environ[name] for name in QUARANTINE if name in os.environ}
    git = _git(["rev-parse", "--absolute-git-dir"], repository, given).strip()
    commit = _git(["rev-parse", "--verify", "--end-of-options", f"{ref}^{{commit}}"], repository, given).strip()
    with tempfile.TemporaryDirectory(prefix="trivet-commit-") as scratch:
        files = Path(scratch) / "tree"
        files.mkdir()
        index = {**given, "GIT_INDEX_FILE": f"{scratch}/index"}
        _git(["read-tree", commit], repository, index)
        listed = _git(["ls-files", "--stage", "-z"], repository, index)
        _refuse_submodules(listed)
        _git([f"--git-dir={git}", f"--work-tree={files}", "checkout-index", "--all", "--quiet"], files, index)
        _refuse_links_out(files, listed)
        yield Tree(files, commit)


def _of_work_tree(directory: Path, folder: Path, commit: str | None, scratch: Path) -> Contents:
    """Index and objects are thrown away: the repository stays as it was."""
    objects = scratch / "objects"
    objects.mkdir()
    real = _path(directory, "objects")
    environment = {
        "GIT_INDEX_FILE": str(scratch / "index"),
        "GIT_OBJECT_DIRECTORY": str(objects),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(real),
    }
    index = _path(directory, "index")
    if index.exists():
        # It knows which files did not change, so that Git need not read them.
        shutil.copy2(index, scratch / "index")
    _git(["add", "--all", "--", "."], directory, environment)
    contents = _contents(folder, environment)
    if commit is None:
        return contents
    changed = _git(["diff-index", "--cached", "--name-only", "-z", "--relative", commit], folder, environment)
    return Contents(contents.id, contents.files, tuple(name for name in changed.split("\0") if name))


def _of_plain_folder(directory: Path, folder: Path, scratch: Path) -> Contents:
    """Everything in it counts: what is to be ignored was never put there."""
    environment = {"GIT_DIR": str(scratch / "repository"), "GIT_WORK_TREE": str(directory)}
    _git(["init", "--quiet", "--bare", environment["GIT_DIR"]], scratch, {})
    _git(["add", "--all", "--force", "--", "."], directory, environment)
    return _contents(folder, environment)


def _contents(folder: Path, environment: Mapping[str, str]) -> Contents:
    listed = _git(["ls-files", "--stage", "-z"], folder, environment)
    _refuse_submodules(listed)
    names = tuple(entry.partition("\t")[2] for entry in listed.split("\0") if entry)
    if not names:
        raise InputError(f"{folder} has no files to build")
    prefix = _git(["rev-parse", "--show-prefix"], folder, environment).rstrip("\n")
    written = _git(["write-tree", *([f"--prefix={prefix}"] if prefix else [])], folder, environment)
    return Contents(written.strip(), names, ())


def _refuse_submodules(listed: str) -> None:
    """Of an empty folder in the place of code nothing that works can be built.

    Raises:
        InputError: One of the entries of ``git ls-files --stage -z`` is a submodule.
    """
    for entry in listed.split("\0"):
        if entry.startswith(SUBMODULE):
            name = entry.partition("\t")[2]
            raise InputError(
                f"{name} is a Git repository of its own (a submodule), whose files are not part of the tree",
                f"commit its files: git rm --cached {name}; rm -rf {name}/.git; git add {name}",
            )


def _refuse_links_out(files: Path, listed: str) -> None:
    """What Trivet reads of a commit must be the commit's: a link could hand over a file of this machine.

    A link to what is not here, such as one into ``/app``, harms nobody.

    Raises:
        InputError: One of the entries of ``git ls-files --stage -z`` is such a link.
    """
    root = files.resolve()
    for entry in listed.split("\0"):
        name = entry.partition("\t")[2]
        target = os.path.realpath(files / name)
        if entry.startswith(LINK) and os.path.lexists(target) and not Path(target).is_relative_to(root):
            raise InputError(f"{name} is a link that leads out of the repository", f"git rm {name}, and commit a file")


def _in_work_tree(directory: Path) -> bool:
    """Whether Git knows the folder; one that it ignores is as good as outside."""
    inside = _git(["rev-parse", "--is-inside-work-tree"], directory, {}, may_fail=True)
    if inside.strip() != "true":
        return False
    return not _git(["check-ignore", "--", str(directory)], directory, {}, may_fail=True)


def _path(directory: Path, name: str) -> Path:
    return directory / _git(["rev-parse", "--git-path", name], directory, {}).rstrip("\n")


def _git(arguments: list[str], directory: Path, environment: Mapping[str, str], *, may_fail: bool = False) -> str:
    """What Git answers; empty when it fails and may."""
    # A hook's own repository and index must not become those of the question.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    completed = subprocess.run(
        ["git", *arguments],
        cwd=directory,
        env={**kept, **environment, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=GIT_SECONDS,
        check=False,
    )
    if completed.returncode == 0:
        return os.fsdecode(completed.stdout)
    if may_fail:
        return ""
    said = os.fsdecode(completed.stderr).strip().splitlines()
    raise InputError(f"git {arguments[0]} failed in {directory}: {' / '.join(said[-3:])}")
