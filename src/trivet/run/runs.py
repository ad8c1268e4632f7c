# SPDX-License-Identifier: GPL-3.0-or-later
"""The runs of an environment: changes, converges, recoveries, cleanings, programs of the operator's. Read, not written.

What the nodes remember and what only this machine knows: a run that began before a majority had an agent, or that lost
its network before its end.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from trivet.agent.journal import merge, parse, summary
from trivet.errors import InputError
from trivet.remote import Nodes
from trivet.run.copies import Line, NodeJournals
from trivet.run.directories import journals_directory
from trivet.run.journal import newest_first
from trivet.run.lease import asked_votes

BROKEN_OFF = "broken off"
UNKNOWN = "unknown"
OVER_STATES = ("done", "failed", "aborted", "rolled back", "refused")
THIS_MACHINE = ""
"""Stands for a node where this machine's own copies are among the nodes'."""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A run in a few words.

    :param kind: what it is, in one word.
    :param what: what for, in words.
    :param owner: who ran it last.
    :param began: epoch seconds; None where no copy has its first line.
    :param seconds: from its begin to its end, or until now while it runs.
    :param state: ``running``, ``halted`` (it waits to be gone on with), ``broken off`` (its runner is gone without a
        word), ``unknown`` (no end, and not enough nodes say who has the lease), or how it ended.
    :param error: why it failed or halted.
    :param result: what it did, as its kind has it.
    """

    id: str
    kind: str
    what: str
    owner: str
    began: float | None
    seconds: float | None
    state: str
    error: str | None
    result: Any

    @property
    def over(self) -> bool:
        """Whether it ended by itself."""
        return self.state in OVER_STATES

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class RunDetails:
    """A run with its journal."""

    summary: RunSummary
    lines: tuple[Line, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return {**self.summary.to_dict(), "lines": list(self.lines)}


def list_runs(nodes: Nodes, limit: int) -> tuple[RunSummary, ...]:
    """The newest runs, the newest first.

    :param limit: how many at most.
    """
    label = nodes.environment.label
    listed = NodeJournals(nodes).summaries()
    found = newest_first({**listed, THIS_MACHINE: _own_summaries(label, limit)})[:limit]
    lives = _Lives(nodes, found)
    return tuple(_summary(item, lives.state(item)) for item in found)


def read_run(nodes: Nodes, id: str) -> RunDetails:
    """One run with the lines of its journal.

    :raises InputError: when neither a node that answers nor this machine knows it.
    """
    label = nodes.environment.label
    copies = [*NodeJournals(nodes).read(id).values(), _own_lines(label, id)]
    lines = merge(copies)
    if not lines:
        raise InputError(f"{nodes.environment.name} has no run {id}", f"trivet runs {label}")
    item = summary(id, lines)
    return RunDetails(_summary(item, _Lives(nodes, [item]).state(item)), tuple(lines))


class _Lives:
    """Whether the runners of runs without an end live: their lease says so, or for a run without one its process."""

    def __init__(self, nodes: Nodes, found: list[dict[str, Any]]) -> None:
        self._label = nodes.environment.label
        self._owners: set[str] = set()
        self._known = False
        if any(item["state"] == "running" for item in found):
            answers = asked_votes(nodes)
            self._owners = {vote.owner for vote in answers.values() if vote is not None}
            self._known = len(answers) > len(nodes.environment.nodes) // 2

    def state(self, item: Mapping[str, Any]) -> str:
        """The state of a run, told apart where its journal has no end."""
        if item["state"] != "running" or item["owner"] in self._owners:
            return str(item["state"])
        lines = _own_lines(self._label, item["id"])
        process = next((line["process"] for line in lines if line.get("process")), None)
        if process is not None:
            return "running" if _runs_here(process) else BROKEN_OFF
        return BROKEN_OFF if self._known else UNKNOWN


def _summary(item: Mapping[str, Any], state: str) -> RunSummary:
    change = item["change"]
    ends = time.time() if state == "running" else item["last"]
    return RunSummary(
        id=item["id"],
        kind=str(change.get("kind", UNKNOWN)),
        what=str(change.get("summary", UNKNOWN)),
        owner=item["owner"],
        began=item["began"],
        seconds=round(ends - item["began"], 1) if item["began"] and ends else None,
        state=state,
        error=item.get("error"),
        result=item.get("result"),
    )


def _own_summaries(label: str, limit: int) -> list[dict[str, Any]]:
    """Summaries of the newest journals that this machine has a copy of. Their names begin with the time."""
    names = sorted((path.stem for path in journals_directory(label).glob("*.jsonl")), reverse=True)
    return [summary(name, _own_lines(label, name)) for name in names[:limit]]


def _own_lines(label: str, id: str) -> list[Line]:
    path = journals_directory(label) / f"{id}.jsonl"
    return parse(path.read_text(encoding="utf-8")) if path.exists() else []


def _runs_here(process: Mapping[str, Any]) -> bool:
    """Whether a process of this machine lives; of another machine nothing is known, and its copy would lie there."""
    if process["host"] != socket.gethostname():
        return False
    try:
        os.kill(int(process["pid"]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
