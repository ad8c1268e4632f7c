# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal of a rotation: every step of every node, written before and after it, one JSON line each."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trivet.rotation.plan import Plan


def state_directory() -> Path:
    """Where journals and reports are kept: ``$XDG_STATE_HOME/trivet``, by default ~/.local/state/trivet."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "trivet"


@dataclass(frozen=True, slots=True)
class StepTime:
    """How long a step of a node took, in seconds."""

    node: str
    step: str
    seconds: float


class Journal:
    """An append-only file, flushed to disk at each line, so that a killed runner leaves what it had begun."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    @classmethod
    def begin(cls, environment: str, owner: str, plan: Plan) -> Journal:
        """A new journal, with the plan as its first line."""
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        journal = cls(state_directory() / environment / "rotations" / f"{stamp}-{owner}.jsonl")
        journal.write("plan", owner=owner, plan=plan.to_dict())
        return journal

    def write(self, kind: str, **values: Any) -> None:
        """Append one line and wait until it is on disk."""
        line = json.dumps({"at": round(time.time(), 3), "kind": kind, **values}, default=str)
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")
            stream.flush()
            os.fsync(stream.fileno())

    def lines(self) -> list[dict[str, Any]]:
        """All lines that are whole; a torn last line is left out."""
        if not self.path.exists():
            return []
        found = []
        for line in self.path.read_text(encoding="utf-8").splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                break
        return found
