# SPDX-License-Identifier: GPL-3.0-or-later
"""What is broken at the moment, on disk: whoever kills the suite leaves a note of what is to be undone."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trivet.chaos.scenario import Aim
from trivet.errors import InputError


class Record:
    """The note in a lab's folder."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "chaos.json"
        self._lock = directory / "chaos.lock"

    def note(self, scenario: str, aim: Aim) -> None:
        """Say what is about to be broken; on disk before it is."""
        with self._file.open("w", encoding="utf-8") as stream:
            json.dump({"scenario": scenario, "victims": aim.victims, "others": aim.others}, stream)
            stream.flush()
            os.fsync(stream.fileno())

    def found(self) -> tuple[str, Aim] | None:
        """What was broken and not undone; None of nothing, or of a note that was torn before anything was broken."""
        try:
            note = json.loads(self._file.read_text(encoding="utf-8"))
            return note["scenario"], Aim(tuple(note["victims"]), tuple(note["others"]))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def clear(self) -> None:
        """It is undone."""
        self._file.unlink(missing_ok=True)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep a second suite from the lab.

        :raises InputError: one runs.
        """
        with self._lock.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise InputError(f"another trivet chaos runs on the lab of {self._file.parent}") from error
            yield
