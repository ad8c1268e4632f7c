# SPDX-License-Identifier: GPL-3.0-or-later
"""This node's event journal: what failed, what the agent decided and did. One JSON object per line, only appended.

Old lines go with whole files: the journal is renamed when it has grown, and the oldest of a few is removed.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from trivet.services.host import contract as host

EVENTS_DIRECTORY = host.EVENTS_DIRECTORY.default
NEWEST = "events.jsonl"
LARGEST_BYTES = 1024 * 1024
KEPT_FILES = 4
"""Beside the one that is written to."""

Event = dict[str, Any]


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``events`` to the agent's command line."""
    events = subparsers.add_parser("events", help="what failed here, and what the agent did")
    events.add_argument("--since", type=float, default=0.0, metavar="EPOCH", help="only later ones")
    events.set_defaults(run=run_events)


def run_events(args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """The events of this node, the oldest first."""
    return {"node": config["name"], "events": list(EventJournal(EVENTS_DIRECTORY).read(args.since))}


class EventJournal:
    """The journal in a directory; several processes may append."""

    def __init__(self, directory: Path, largest: int = LARGEST_BYTES, kept: int = KEPT_FILES) -> None:
        self._directory = directory
        self._largest = largest
        self._kept = kept

    def append(self, node: str, kind: str, **values: Any) -> Event:
        """Write an event to the disk.

        Args:
            kind: what happened, in one word or two.
        """
        event = {"at": round(time.time(), 3), "node": node, "kind": kind, **values}
        self._directory.mkdir(parents=True, exist_ok=True)
        # A file of its own for the lock: the journal itself is renamed.
        with (self._directory / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._rotate()
            with self._file(0).open("a+", encoding="utf-8") as stream:
                stream.write(("" if _whole(stream) else "\n") + json.dumps(event, default=str) + "\n")
                stream.flush()
                os.fsync(stream.fileno())
        return event

    def read(self, since: float = 0.0) -> Iterator[Event]:
        """Events later than a moment (epoch seconds), the oldest first; torn lines are left out."""
        for number in range(self._kept, -1, -1):
            try:
                text = self._file(number).read_text(encoding="utf-8", errors="replace")
            except FileNotFoundError:
                continue
            yield from (event for row in text.splitlines() if (event := _parsed(row)) and event["at"] > since)

    def _file(self, number: int) -> Path:
        return self._directory / (NEWEST if number == 0 else f"events.{number}.jsonl")

    def _rotate(self) -> None:
        try:
            if self._file(0).stat().st_size < self._largest:
                return
        except FileNotFoundError:
            return
        for number in range(self._kept, 0, -1):
            if self._file(number - 1).exists():
                self._file(number - 1).replace(self._file(number))


def _whole(stream: TextIO) -> bool:
    """Whether the last line has an end; a power cut may have left half of one."""
    size = stream.seek(0, os.SEEK_END)
    if size == 0:
        return True
    with Path(stream.name).open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _parsed(row: str) -> Event | None:
    try:
        event = json.loads(row)
    except ValueError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("at"), int | float) else None
