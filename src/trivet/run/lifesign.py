# SPDX-License-Identifier: GPL-3.0-or-later
"""A file that is locked while its run lives: whether a run of this machine has died is known at once."""

from __future__ import annotations

import calendar
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trivet.build.locks import taken
from trivet.run.directories import state_directory

MOMENT = "%Y-%m-%d %H:%M:%S UTC"
CLOCKS_APART_SECONDS = 600.0
"""An owner is named by user, machine and process: another machine of the same name may have had the same one once."""


@contextmanager
def alive(owner: str) -> Iterator[None]:
    """Have the file, and its lock, which ends with this process however that ends."""
    path = _file(owner)
    handle = taken(path)
    os.utime(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        if handle is not None:
            os.close(handle)


def died_here(owner: str, since: str) -> bool:
    """Whether a run was one of this machine, and is dead.

    :param since: when it took its lease, as a vote has it.
    """
    path = _file(owner)
    if not path.exists() or abs(path.stat().st_mtime - calendar.timegm(time.strptime(since, MOMENT))) > (
        CLOCKS_APART_SECONDS
    ):
        return False
    handle = taken(path)
    if handle is None:
        return False
    path.unlink()
    os.close(handle)
    return True


def _file(owner: str) -> Path:
    return state_directory() / "alive" / owner.replace("/", "-")
