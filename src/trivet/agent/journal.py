# SPDX-License-Identifier: GPL-3.0-or-later
"""This node's copy of the journals: what each run did to the environment, one JSON line per event.

A journal lives with the environment and not on the machine that runs the change: every node keeps a copy, so that any
operator can read and continue a change whose runner is gone. A line has a number (``seq``) that the runner gives it;
appending a line that is there is harmless, and a node that was away has gaps that a reader fills from the others.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from trivet.node.errors import AgentError
from trivet.services.host import contract as host

JOURNAL_DIRECTORY = host.JOURNAL_DIRECTORY.default
KEPT_JOURNALS = 50
"""Of changes, and as many of other runs: a hundred converges push no rotation out."""
FINAL_KINDS = {
    "done": "done",
    "aborted": "aborted",
    "rolled back": "rolled back",
    "refused": "refused",
    "run failed": "failed",
}
"""Kinds of line after which a run is over, and the state that each means. A step that failed does not end a change."""
OPEN_STATES = ("running", "halted")
"""States of a run that is not over. Whether its runner lives is the lease's to say."""

Line = Mapping[str, Any]


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``journal …`` to the agent's command line."""
    commands = subparsers.add_parser("journal", help="this node's copy of the journals").add_subparsers(required=True)
    append = commands.add_parser("append", help="write lines to the disk; those that are there are left alone")
    append.add_argument("id", type=journal_id)
    append.add_argument("lines", nargs="+", metavar="JSON", help="one object with a seq each")
    append.set_defaults(run=run_append)
    read = commands.add_parser("read", help="the lines of a journal")
    read.add_argument("id", type=journal_id)
    read.set_defaults(run=run_read)
    commands.add_parser("list", help="all journals, the newest last").set_defaults(run=run_list)
    stop = commands.add_parser("stop", help="ask the runner of a change to stop at its next safe point")
    stop.add_argument("id", type=journal_id)
    stop.add_argument("--by", required=True, help="who asks")
    stop.set_defaults(run=run_stop)


def journal_id(text: str) -> str:
    """Refuse what could leave the directory.

    Raises:
        argparse.ArgumentTypeError: the text is no name of a journal.
    """
    if not re.fullmatch(r"[0-9A-Za-z][0-9A-Za-z@:._-]{0,120}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no name of a journal")
    return text


def run_append(args: argparse.Namespace, _config: Mapping[str, Any]) -> dict[str, Any]:
    """Append lines; answers only when they are on the disk, and says whether somebody asked the runner to stop."""
    lines = [json.loads(line) for line in args.lines]
    if not all(isinstance(line, dict) and isinstance(line.get("seq"), int) for line in lines):
        raise AgentError("every line of a journal is an object with a number seq")
    path = _path(args.id)
    fresh = not path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        stream.seek(0)
        text = stream.read()
        present = {line["seq"]: line for line in parse(text)}
        # A power cut may have left half a line: what follows begins on a line of its own.
        torn = "\n" if text and not text.endswith("\n") else ""
        # A runner that lost the lease without knowing must not take another's line for its own. An earlier line may be
        # that of a runner that was killed, while this node did not answer the one that went on: it stays.
        newest = lines[-1]
        if present.get(newest["seq"], newest) != newest:
            raise AgentError(f"line {newest['seq']} of {args.id} is there already, written by another runner")
        missing = [line for line in lines if line["seq"] not in present]
        if missing:
            stream.write(torn + "".join(json.dumps(line) + "\n" for line in missing))
            stream.flush()
            os.fsync(stream.fileno())
    if any(line.get("kind") == "resumed" for line in missing):
        _stop_request(args.id).unlink(missing_ok=True)
    if fresh:
        _forget_old()
    return {"id": args.id, "appended": len(missing), "stop_requested_by": _who_stops(args.id)}


def run_read(args: argparse.Namespace, _config: Mapping[str, Any]) -> dict[str, Any]:
    """The lines that this node has."""
    return {"id": args.id, "lines": _lines(args.id)}


def run_stop(args: argparse.Namespace, _config: Mapping[str, Any]) -> dict[str, Any]:
    """Leave a request that the runner finds with its next line; a resume takes it away."""
    if not _path(args.id).exists():
        raise AgentError(f"there is no journal {args.id} on this node")
    _stop_request(args.id).write_text(args.by, encoding="utf-8")
    return {"id": args.id, "stop_requested_by": args.by}


def run_list(_args: argparse.Namespace, _config: Mapping[str, Any]) -> dict[str, Any]:
    """What each journal is about, and how it stands."""
    return {"journals": [summary(name, _lines(name)) for name in _names()]}


def parse(text: str) -> list[dict[str, Any]]:
    """The whole lines of a journal's text, by number; a torn line is left out."""
    found: dict[int, dict[str, Any]] = {}
    for row in text.splitlines():
        try:
            line = json.loads(row)
        except ValueError:
            continue
        if isinstance(line, dict) and isinstance(line.get("seq"), int):
            found.setdefault(line["seq"], line)
    return [found[number] for number in sorted(found)]


def merge(copies: Iterable[Sequence[Line]]) -> list[dict[str, Any]]:
    """One journal from the copies of several nodes."""
    found: dict[int, dict[str, Any]] = {}
    for copy in copies:
        for line in copy:
            found.setdefault(line["seq"], dict(line))
    return [found[number] for number in sorted(found)]


def is_change(what: Mapping[str, Any]) -> bool:
    """Whether a run leaves something half-done when it is broken off, so that others wait until it was gone on with.

    A converge, a recovery, a cleaning and a program of the operator's do not: they are begun anew.

    Args:
        what: ``change`` of a summary; empty where a copy has the end of a journal only, which is then kept for one.
    """
    return bool(what.get("resumable", True))


def state_of(lines: Sequence[Line]) -> str:
    """How a run stands: ``running`` (its runner may be dead), ``halted``, or how it ended."""
    state = "running"
    for line in lines:
        kind = line.get("kind")
        if kind in FINAL_KINDS:
            return FINAL_KINDS[kind]
        if kind == "halted":
            state = "halted"
        elif kind in ("plan", "resumed", "begin"):
            state = "running"
    return state


def summary(name: str, lines: Sequence[Line]) -> dict[str, Any]:
    """A journal in a few words, and the median seconds of its steps (a plan's expectations come from these)."""
    plan = next((line for line in lines if line.get("kind") == "plan"), {})
    owners = [line["owner"] for line in lines if "owner" in line]
    seconds: dict[str, list[float]] = {}
    for line in lines:
        if line.get("kind") == "end":
            seconds.setdefault(str(line.get("step")), []).append(float(line.get("seconds", 0.0)))
    return {
        "id": name,
        "owner": owners[-1] if owners else "unknown",
        "state": state_of(lines),
        "change": plan.get("plan", {}).get("change", {}),
        "began": lines[0].get("at") if lines else None,
        "last": lines[-1].get("at") if lines else None,
        "seconds": {step: round(statistics.median(values), 1) for step, values in seconds.items()},
        "result": lines[-1].get("result") if lines else None,
        "error": lines[-1].get("error") if lines else None,
    }


def _path(name: str) -> Path:
    return JOURNAL_DIRECTORY / f"{name}.jsonl"


def _stop_request(name: str) -> Path:
    return JOURNAL_DIRECTORY / f"{name}.stop"


def _who_stops(name: str) -> str | None:
    try:
        return _stop_request(name).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def _names() -> list[str]:
    # Names begin with the time.
    return sorted(path.stem for path in JOURNAL_DIRECTORY.glob("*.jsonl"))


def _lines(name: str) -> list[dict[str, Any]]:
    path = _path(name)
    return parse(path.read_text(encoding="utf-8")) if path.exists() else []


def _forget_old() -> None:
    """Keep the newest journals of changes and of other runs, and those of changes that are not over."""
    found = [summary(name, _lines(name)) for name in _names()]
    changes = [item for item in found if is_change(item["change"])]
    others = [item for item in found if not is_change(item["change"])]
    over = [item for item in changes[:-KEPT_JOURNALS] if item["state"] not in OPEN_STATES]
    for item in (*over, *others[:-KEPT_JOURNALS]):
        _path(item["id"]).unlink(missing_ok=True)
        _stop_request(item["id"]).unlink(missing_ok=True)
