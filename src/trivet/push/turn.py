# SPDX-License-Identifier: GPL-3.0-or-later
"""The turn of a push: one at a time for an environment, and none beside another change of it."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from trivet.errors import LeaseHeld
from trivet.push.activity import DONE, RUNNING, Record, activities

POLL_SECONDS = 0.5
Say = Callable[[str], None]
"""Takes a line of the log."""


class Queue:
    """What a push waits for, with a limit for all of it together.

    :param environment: that the push is for.
    :param seconds: the limit, from now on.
    """

    def __init__(self, directory: Path, environment: str, seconds: float, say: Say) -> None:
        self._directory = directory
        self._environment = environment
        self._say = say
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._told = ""

    @contextmanager
    def turn(self, own: str) -> Iterator[None]:
        """Have no other push of this environment beside one.

        :param own: id of this activity.
        :raises LeaseHeld: the limit is over.
        """
        descriptor = os.open(
            self._directory / f"{self._environment}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        try:
            self.until(lambda: self._other(own) if not _locked(descriptor) else None)
            yield
        finally:
            os.close(descriptor)

    def until(self, holder: Callable[[], str | None]) -> None:
        """Wait while somebody else is at it.

        :param holder: who, since when and what for, in words; None when nobody is.
        :raises LeaseHeld: the limit is over.
        """
        while (who := holder()) is not None:
            if time.monotonic() > self._deadline:
                raise LeaseHeld(f"waited {self._seconds:.0f} s in vain for {who}", "push again later")
            if who != self._told:
                self._say(f"Waiting for {who}")
                self._told = who
            time.sleep(POLL_SECONDS)

    def _other(self, own: str) -> str:
        running = [item for item in activities(self._directory, self._environment) if item.state == RUNNING]
        others = sorted((item for item in running if item.id != own), key=lambda item: item.began)
        return others[0].told if others else f"another push to {self._environment}"


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def overtaken(own: Record, others: list[Record]) -> Record | None:
    """The push of the same branch that went live while this one waited, so that this one's branch is not where it was.

    :param others: all activities of the environment.
    """
    for other in others:
        if other.id == own.id or other.state != DONE or other.branch != own.branch or other.ended is None:
            continue
        if other.ended >= own.began and other.new != own.old:
            return other
    return None
