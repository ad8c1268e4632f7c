# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal of a run: of a change every step of every node, written before and after it, one JSON line each.

It lives with the environment: each line goes to every node (``trivet-agent journal``) and to a copy on this machine. A
step that takes something away from the cluster begins only when a majority of the nodes has its line on disk, so that
whoever asks a majority later finds it. A step that gives something back does not wait for a majority: to repeat it does
no harm, and a node must come back even when another is lost.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trivet.agent.journal import KEPT_JOURNALS, OPEN_STATES, is_change, merge, parse
from trivet.errors import ChangeHalted
from trivet.run.copies import JournalCopies, Line
from trivet.run.directories import journals_directory


@dataclass(frozen=True, slots=True)
class StepTime:
    """How long a step of a node took, in seconds."""

    node: str
    step: str
    seconds: float


class Journal:
    """One journal that is being written.

    :param id: its name, which begins with the time of its begin.
    """

    def __init__(self, id: str, copies: JournalCopies, path: Path, lines: list[Line]) -> None:
        self.id = id
        self.path = path
        self.lines = lines
        self.stop_requested_by: str | None = None
        self._copies = copies
        self._nodes_alone = False
        self._unsent: dict[str, list[Line]] = {name: [] for name in copies.nodes}
        path.parent.mkdir(parents=True, exist_ok=True)

    @classmethod
    def begin(cls, label: str, owner: str, copies: JournalCopies) -> Journal:
        """A new journal without lines."""
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        name = f"{stamp}-{owner.replace('/', '-')}"
        folder = journals_directory(label)
        # This process may have begun another run within this second.
        names = [name, *(f"{name}-{number}" for number in range(2, 100))]
        free = next(name for name in names if not (folder / f"{name}.jsonl").exists())
        return cls(free, copies, folder / f"{free}.jsonl", [])

    @classmethod
    def reopened(cls, label: str, id: str, copies: JournalCopies) -> Journal:
        """A journal that is there already, to be continued.

        Lines that only this machine has (its network was lost while it halted) are added to the nodes' copies.

        :raises ChangeHalted: when no majority of the nodes answers.
        """
        path = journals_directory(label) / f"{id}.jsonl"
        local = parse(path.read_text(encoding="utf-8")) if path.exists() else []
        found = copies.read(id)
        _need_majority(len(found), copies, "read")
        lines = merge([*found.values(), local])
        journal = cls(id, copies, path, lines)
        path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        for name in copies.nodes:
            present = {line["seq"] for line in found.get(name, [])}
            journal._unsent[name] = [line for line in lines if line["seq"] not in present]
        return journal

    def leave_nodes_alone(self) -> None:
        """Write to this machine's copy only from now on: without the lease, another runner may write the next line."""
        self._nodes_alone = True

    def spread(self) -> None:
        """Give the nodes that answer the lines that their copies lack."""
        self._send({name: lines for name, lines in self._unsent.items() if lines})

    def write(self, kind: str, *, majority: bool = False, **values: Any) -> None:
        """Append one line and wait until it is on disk, here and on the nodes that answer.

        :param majority: refuse to go on when fewer than a majority of the nodes have it.
        :raises ChangeHalted: when they have not.
        """
        line: Line = {"seq": self.lines[-1]["seq"] + 1 if self.lines else 1, "at": round(time.time(), 3), "kind": kind}
        line.update(json.loads(json.dumps(values, default=str)))
        self.lines.append(line)
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        for unsent in self._unsent.values():
            unsent.append(line)
        if self._nodes_alone:
            return
        acknowledged = self._send(self._unsent)
        if majority:
            _need_majority(acknowledged, self._copies, "written")

    def _send(self, unsent: Mapping[str, list[Line]]) -> int:
        """Append to the nodes' copies; how many nodes have it all on disk."""
        acknowledged = self._copies.append(self.id, {name: list(lines) for name, lines in unsent.items()})
        for name, stop in acknowledged.items():
            self._unsent[name] = []
            self.stop_requested_by = stop or self.stop_requested_by
        return len(acknowledged)


def bring_together(label: str, copies: JournalCopies) -> None:
    """Complete the nodes' copies of the journals of earlier changes where they differ.

    A runner that was killed may have left its last line on one node only, and a machine that replaced another has the
    end of a journal only: such a line would be gone with the next node that gets a new machine, and a change that was
    done would count as broken off again.

    :raises ChangeHalted: when no majority of the nodes answers.
    """
    for name in _differing(copies.summaries()):
        Journal.reopened(label, name, copies).spread()


def _differing(listed: Mapping[str, list[dict[str, Any]]]) -> list[str]:
    """Of the changes' journals that no node may have forgotten yet, those that not every node has up to one line."""
    stands: dict[str, list[tuple[str, float | None]]] = {}
    others = {item["id"] for summaries in listed.values() for item in summaries if not is_change(item["change"])}
    for summaries in listed.values():
        for summary in summaries:
            if summary["id"] not in others:
                stands.setdefault(summary["id"], []).append((summary["state"], summary["last"]))
    kept = sorted(stands)[-KEPT_JOURNALS:]
    return [name for name in kept if len(stands[name]) < len(listed) or len(set(stands[name])) > 1]


def _need_majority(answers: int, copies: JournalCopies, what: str) -> None:
    if answers <= len(copies.nodes) // 2:
        raise ChangeHalted(
            f"the journal could be {what} on {answers} of {len(copies.nodes)} nodes only; a majority is needed"
        )


def changes(listed: Mapping[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Of the runs that any node knows the changes, the newest first: what others wait for until it is over."""
    return [item for item in newest_first(listed) if is_change(item["change"])]


def newest_first(listed: Mapping[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The journals that any node knows, each as the node with the most recent line has it.

    A machine that was replaced has the end of a journal only: what it was about is taken from the others.
    """
    copies: dict[str, list[dict[str, Any]]] = {}
    for summaries in listed.values():
        for summary in summaries:
            copies.setdefault(summary["id"], []).append(summary)
    whole = [_whole(copies[name]) for name in sorted(copies, reverse=True)]
    taken_back = _taken_back(whole)
    return [{**item, "state": "rolled back"} if item["id"] in taken_back else item for item in whole]


def rolled_back(listed: Mapping[str, list[dict[str, Any]]]) -> list[str]:
    """The journals that say that they are open, though another, done, took them back: its runner died too early.

    :param listed: the nodes' summaries.
    """
    said = {summary["id"] for summaries in listed.values() for summary in summaries if summary["state"] in OPEN_STATES}
    return [item["id"] for item in newest_first(listed) if item["state"] == "rolled back" and item["id"] in said]


def _taken_back(journals: list[dict[str, Any]]) -> set[str]:
    """Ids of the open ones among these that another of them, which is done, took back."""
    by_others = {item["change"].get("rolls_back") for item in journals if item["state"] == "done"}
    return {item["id"] for item in journals if item["id"] in by_others and item["state"] in OPEN_STATES}


def _whole(copies: list[dict[str, Any]]) -> dict[str, Any]:
    newest = max(copies, key=lambda copy: copy["last"] or 0)
    planned = next((copy for copy in copies if copy["change"]), newest)
    seconds = max(copies, key=lambda copy: len(copy["seconds"]))["seconds"]
    return {**newest, "change": planned["change"], "began": planned["began"], "seconds": seconds}
