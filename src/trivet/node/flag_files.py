# SPDX-License-Identifier: GPL-3.0-or-later
"""Flags on disk: one small file per flag, with an owner and an end, kept across a restart of the node."""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

UNKNOWN_OWNER = "unknown"
"""Stands for the owner of a flag that does not say who set it."""


@dataclass(frozen=True)
class Flag:
    """Who set a flag, since when and until when (seconds since the epoch)."""

    owner: str
    since: float
    expires: float


class FlagFiles:
    """The flags of one kind on this node, by the name of what they are about."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def names(self) -> list[str]:
        """What there is a flag about, also where the flag has expired or cannot be read."""
        with contextlib.suppress(FileNotFoundError):
            # Hidden names are files being written.
            return sorted(path.name for path in self.directory.iterdir() if "." not in path.name)
        return []

    def read(self, name: str) -> Flag | None:
        """A flag, expired or not; None when there is none or it cannot be read."""
        path = f"{self.directory}/{name}"
        # Asked for at every agent check, and nearly always there is none: an exception for that would cost more.
        if not os.access(path, os.F_OK):
            return None
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            data = json.loads(Path(path).read_bytes())
            return Flag(str(data["owner"]), float(data["since"]), float(data["expires"]))
        return None

    def get(self, name: str, now: float | None = None) -> Flag | None:
        """A flag that is in force; None when there is none, it cannot be read, or it has expired."""
        flag = self.read(name)
        return flag if flag and flag.expires > (time.time() if now is None else now) else None

    def set(self, name: str, owner: str, seconds: float) -> Flag:
        """Set a flag for at most ``seconds``; one that is there is replaced, and keeps the start of its owner."""
        now = time.time()
        present = self.get(name, now)
        since = present.since if present and present.owner == owner else now
        flag = Flag(owner=owner, since=since, expires=now + seconds)
        path = self.directory / name
        staged = path.with_name(f".{name}.new")
        self.directory.mkdir(parents=True, exist_ok=True)
        with staged.open("w", encoding="utf-8") as file:
            json.dump(asdict(flag), file)
            file.flush()
            os.fsync(file.fileno())
        staged.replace(path)
        return flag

    def clear(self, name: str) -> bool:
        """Remove a flag; whether there was one."""
        try:
            (self.directory / name).unlink()
        except FileNotFoundError:
            return False
        return True

    def expired(self) -> list[str]:
        """What there is a flag about whose time is over."""
        now = time.time()
        return [name for name in self.names() if (flag := self.read(name)) and flag.expires <= now]

    def remove_expired(self) -> list[str]:
        """Remove the flags whose time is over; what they were about."""
        return [name for name in self.expired() if self.clear(name)]
