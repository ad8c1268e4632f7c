# SPDX-License-Identifier: GPL-3.0-or-later
"""The objects of a push, read by root without the repository of the account ``git``.

That account owns its repositories. Git runs programs that a repository's configuration names, so root never opens one:
it takes the objects alone, by a repository of its own that is thrown away.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trivet.errors import InputError

ALTERNATES = "GIT_ALTERNATE_OBJECT_DIRECTORIES"
GIT_SECONDS = 120.0


def folders_of(repository: Path, quarantine: str) -> tuple[Path, ...]:
    """The folders with the objects of a push.

    :param repository: a bare repository.
    :param quarantine: folder with the new objects, as Git names it to the hook; empty when there is none.
    :raises InputError: it is none of that repository.
    """
    objects = (repository / "objects").resolve()
    if not quarantine:
        return (objects,)
    new = Path(quarantine).resolve()
    if new.parent != objects or not new.is_dir():
        raise InputError(f"{quarantine} has no objects of {repository.name}")
    return (new, objects)


@contextmanager
def opened(repository: Path, quarantine: str) -> Iterator[Path]:
    """A repository that has the objects of a push, until the end of the context.

    While it is open, this process's environment says where the objects are: what asks Git passes it on.

    :raises InputError: the quarantine is none of that repository.
    """
    folders = folders_of(repository, quarantine)
    if any(":" in str(folder) or '"' in str(folder) for folder in folders):
        raise InputError(f"{repository} has a name that Git cannot take")
    before = os.environ.get(ALTERNATES)
    with tempfile.TemporaryDirectory(prefix="trivet-push-") as scratch:
        own = Path(scratch) / "repository.git"
        _git(["init", "--quiet", "--bare", "--template=", str(own)], Path(scratch))
        os.environ[ALTERNATES] = ":".join(map(str, folders))
        try:
            yield own
        finally:
            if before is None:
                del os.environ[ALTERNATES]
            else:
                os.environ[ALTERNATES] = before


def commits(repository: Path, old: str, new: str) -> int:
    """How many commits a push brings.

    :param old: the commit that the branch was at; empty for a new branch.
    :raises InputError: the new one is no commit.
    """
    known = [f"^{old}"] if old else []
    return int(_git(["rev-list", "--count", "--end-of-options", new, *known], repository).strip())


def _git(arguments: list[str], directory: Path) -> str:
    done = subprocess.run(
        ["git", *arguments],
        cwd=directory,
        env={**os.environ, "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=GIT_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise InputError(f"git {arguments[0]} failed: {' / '.join(done.stderr.strip().splitlines()[-3:])}")
    return done.stdout
