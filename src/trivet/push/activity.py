# SPDX-License-Identifier: GPL-3.0-or-later
"""Activities: what was done to an environment by a push, by whom and how it ended, with its log."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trivet.errors import InputError
from trivet.push.refs import Push

RUNNING, DONE, REFUSED, FAILED = "running", "done", "refused", "failed"


@dataclass(slots=True)
class Record:
    """What is kept of an activity beside its log.

    :param id: sorts by the moment of the beginning.
    :param state: ``running``, ``done``, ``refused`` (nothing was changed) or ``failed``.
    :param began: epoch seconds; as ``ended``, which is None until then.
    :param verdict: how it ended, in words.
    """

    id: str
    kind: str
    project: str
    branch: str
    environment: str
    old: str
    new: str
    by: str
    state: str
    began: float
    ended: float | None = None
    verdict: str = ""

    @property
    def told(self) -> str:
        """What it is, since when and by whom, in words."""
        began = time.strftime("%H:%M UTC", time.gmtime(self.began))
        return f"{self.kind} {self.id} of {self.project} to {self.environment}, begun at {began} by {self.by}"


class Activity:
    """An activity that is under way.

    :param directory: with all of them.
    :param output: is told each line at once.
    """

    def __init__(self, directory: Path, record: Record, output: Callable[[str], None]) -> None:
        self._directory = directory
        self.record = record
        self._output = output
        self._log = (directory / f"{record.id}.log").open("a", encoding="utf-8")
        # Ends with this process, however it ends.
        fcntl.flock(self._log, fcntl.LOCK_EX)
        self._save()

    @classmethod
    def begin(
        cls, directory: Path, output: Callable[[str], None], *, kind: str, project: str, push: Push, by: str
    ) -> Activity:
        """Begin one now.

        :param kind: what is done, such as ``push``.
        :param push: the branch, and where it goes.
        """
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        now = time.time()
        name = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime(now))}-{secrets.token_hex(2)}"
        return cls(directory, Record(name, kind, project, **asdict(push), by=by, state=RUNNING, began=now), output)

    def line(self, text: str) -> None:
        """Tell a line, and keep it."""
        self._log.write(text + "\n")
        self._log.flush()
        self._output(text)

    def end(self, state: str, verdict: str) -> None:
        """Nothing more comes."""
        self.record.state, self.record.verdict, self.record.ended = state, verdict, time.time()
        self._save()
        self._log.close()

    def _save(self) -> None:
        path = self._directory / f"{self.record.id}.json"
        staged = path.with_suffix(".new")
        staged.write_text(json.dumps(asdict(self.record), indent=2) + "\n", encoding="utf-8")
        staged.replace(path)


def activities(directory: Path, environment: str = "") -> list[Record]:
    """All of them, the newest first; one whose process was killed has failed.

    :param environment: of which alone; empty for all.
    """
    found = []
    for path in sorted(directory.glob("*.json"), reverse=True):
        try:
            record = Record(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            continue
        if record.state == RUNNING and not _is_held(path.with_suffix(".log")):
            record.state, record.verdict = FAILED, "its process ended without a word"
        if not environment or record.environment == environment:
            found.append(record)
    return found


def _is_held(log: Path) -> bool:
    """Whether the process of an activity lives."""
    try:
        descriptor = os.open(log, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def log_of(directory: Path, name: str) -> str:
    """The log of an activity.

    :raises InputError: there is none of that name.
    """
    if name not in {path.stem for path in directory.glob("*.json")}:
        raise InputError(f"there is no activity {name}", "trivet activity list")
    return (directory / f"{name}.log").read_text(encoding="utf-8")


def to_dict(record: Record) -> dict[str, Any]:
    """As JSON data."""
    return asdict(record)
