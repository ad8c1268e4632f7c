# SPDX-License-Identifier: GPL-3.0-or-later
"""A change as its journal tells it. Pure, and tolerant: the journal of a killed runner ends anywhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from trivet.health.findings import State

Line = Mapping[str, Any]

# What a reader must see beside the steps, and how it is called.
EVENTS: Mapping[str, str] = {
    "failed": "failed",
    "halted": "halted",
    "resumed": "resumed",
    "replanned": "replanned",
    "stop requested": "stop requested",
    "aborted": "aborted",
    "rolled back": "rolled back",
    "note": "note",
}
# Above every time and size that a journal can hold; NaN is not below it either.
_BEYOND_ALL_NUMBERS = 1e15
# Lines that are told otherwise: as steps, verdicts or the head of the report.
_TOLD_ELSEWHERE = frozenset({"plan", "snapshot", "begin", "end", "done"})


class Outcome(StrEnum):
    """How a change ended, as far as its journal says."""

    DONE = "done"
    HALTED = "halted"
    STOPPED = "stopped"
    ABORTED = "aborted"
    ROLLED_BACK = "rolled back"
    UNFINISHED = "unfinished"
    """The journal ends in the middle: the runner was killed, or is still at work."""


class Ending(StrEnum):
    """How one attempt at a step ended."""

    DONE = "done"
    FAILED = "failed"
    CUT_OFF = "cut off"
    """Begun and neither ended nor failed: nobody was there to say."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A step of a node, once. Times are epoch seconds; `seconds` is None where the journal knows no end."""

    node: str
    step: str
    began: float
    ended: float | None
    seconds: float | None
    ending: Ending
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """Something out of the ordinary (a halt, a resumption, a note), at epoch seconds."""

    at: float
    kind: str
    node: str | None
    text: str


@dataclass(frozen=True, slots=True)
class PlannedNode:
    """A node in the order of the plan; seconds as learnt from earlier changes, None when unknown."""

    name: str
    reason: str
    expected_seconds: float | None


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """A step of every node, what happens in it, and how long it is expected to take in seconds."""

    step: str
    what: str
    expected_seconds: float | None


@dataclass(frozen=True, slots=True)
class FoundState:
    """A finding of a verdict, as it was written down."""

    service: str
    node: str | None
    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What a node was: memory in MiB; None where it was not written down."""

    vcpus: float | None
    memory_mib: float | None
    address: str | None
    versions: dict[str, str]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The verdict and the nodes at a moment (epoch seconds)."""

    at: float
    state: str
    findings: tuple[FoundState, ...]
    nodes: dict[str, NodeFacts]

    @property
    def healthy(self) -> bool:
        """Whether the verdict said so; a verdict without a state did not."""
        return self.state == State.HEALTHY


@dataclass(frozen=True, slots=True)
class Change:
    """All that a journal says. Times are epoch seconds, None when the journal has no line.

    `owners` are those who ran it, in order: more than one after a resumption. `seconds` is the whole time; pauses
    between two runners count. `web_nodes_before` and `web_nodes_after` are how many web nodes customers have: None for
    a change that adds none and takes none away.
    """

    environment: str
    kind: str
    size_before: str | None
    size_after: str | None
    summary: str
    owners: tuple[str, ...]
    nodes: tuple[PlannedNode, ...]
    steps: tuple[PlannedStep, ...]
    attempts: tuple[Attempt, ...]
    events: tuple[Event, ...]
    before: Snapshot | None
    after: Snapshot | None
    outcome: Outcome
    began: float | None
    ended: float | None
    seconds: float | None
    web_nodes_before: int | None = None
    web_nodes_after: int | None = None

    @property
    def runs(self) -> int:
        """How many runners it took: one more than there were resumptions."""
        return 1 + sum(event.kind == "resumed" for event in self.events)

    @property
    def node_names(self) -> tuple[str, ...]:
        """The nodes of the plan in its order, then those that only the steps name."""
        return tuple(dict.fromkeys((*(node.name for node in self.nodes), *(item.node for item in self.attempts))))

    @property
    def step_names(self) -> tuple[str, ...]:
        """The steps of the plan in its order, then those that only the journal names."""
        return tuple(dict.fromkeys((*(step.step for step in self.steps), *(item.step for item in self.attempts))))

    @property
    def finished_nodes(self) -> tuple[str, ...]:
        """The nodes that went through every step of the plan."""
        if self.outcome is Outcome.DONE:
            return self.node_names
        ended = {(item.node, item.step) for item in self.attempts if item.ending is Ending.DONE}
        names = [planned.step for planned in self.steps]
        return tuple(name for name in self.node_names if names and all((name, step) in ended for step in names))

    @property
    def window(self) -> tuple[float, float] | None:
        """From the first step to the end of the last (epoch seconds): when customers could have noticed."""
        if not self.attempts:
            return None
        return self.attempts[0].began, max(item.ended or item.began for item in self.attempts)

    def of(self, node: str, step: str | None = None) -> tuple[Attempt, ...]:
        """The attempts of a node, at one step or (without `step`) at all."""
        return tuple(item for item in self.attempts if item.node == node and step in (None, item.step))


def read_change(lines: Sequence[Line]) -> Change:
    """Read a journal's lines, in their order. Unknown kinds become events, missing keys stay unknown; never raises."""
    timed = list(_timed(lines))
    plan = _latest_plan(lines)
    change = _mapping(plan.get("change"))
    first, last = (timed[0][0], timed[-1][0]) if timed else (None, None)
    return Change(
        environment=_text(plan.get("environment")),
        kind=_text(change.get("kind")),
        size_before=_optional_text(change.get("size_before") or None),
        size_after=_optional_text(change.get("size_after") or change.get("size") or None),
        summary=_text(change.get("summary")),
        owners=tuple(dict.fromkeys(_text(line["owner"]) for line in lines if line.get("owner"))),
        nodes=tuple(
            PlannedNode(_text(node.get("name")), _text(node.get("reason")), _number(node.get("expected_seconds")))
            for node in _mappings(plan.get("nodes"))
        ),
        steps=tuple(
            PlannedStep(_text(step.get("step")), _text(step.get("what")), _number(step.get("expected_seconds")))
            for step in _mappings(plan.get("steps"))
        ),
        attempts=_attempts(timed),
        events=tuple(_events(timed)),
        before=next(_snapshots(timed, "before"), None),
        after=next(_snapshots(timed[::-1], "after"), None),
        outcome=_outcome(lines),
        began=first,
        ended=last,
        seconds=_seconds(timed),
        web_nodes_before=_whole_number(change.get("web_nodes_before")),
        web_nodes_after=_whole_number(change.get("web_nodes_after")),
    )


def _timed(lines: Sequence[Line]) -> Iterator[tuple[float, Line]]:
    """Each line with its time; one without a time happened when the line before it did."""
    known = next((at for line in lines if (at := _number(line.get("at"))) is not None), 0.0)
    for line in lines:
        at = _number(line.get("at"))
        known = known if at is None else at
        yield known, line


def _latest_plan(lines: Sequence[Line]) -> Line:
    plans = [line["plan"] for line in lines if isinstance(line.get("plan"), Mapping)]
    return plans[-1] if plans else {}


def _attempts(timed: Sequence[tuple[float, Line]]) -> tuple[Attempt, ...]:
    found: list[Attempt] = []
    open_steps: dict[tuple[str, str], int] = {}
    for at, line in timed:
        for key in _subjects(line):
            match line.get("kind"):
                case "begin":
                    open_steps[key] = len(found)
                    found.append(Attempt(*key, began=at, ended=None, seconds=None, ending=Ending.CUT_OFF))
                case "end" | "failed" if key[1]:
                    position = open_steps.pop(key, None)
                    # An end without its beginning: what is left when the journal's head is lost.
                    began = None if position is None else found[position].began
                    attempt = _ended(key, at, line, began)
                    if position is None:
                        found.append(attempt)
                    else:
                        found[position] = attempt
    return tuple(found)


def _subjects(line: Line) -> list[tuple[str, str]]:
    """Node and step of a line; of a step that was done for several nodes at once, each node with it."""
    names = [_text(name) for name in _list(line.get("nodes"))] or [_text(line.get("node"))]
    return [(name, _text(line.get("step"))) for name in names]


def _ended(key: tuple[str, str], at: float, line: Line, began: float | None) -> Attempt:
    """The attempt that a line ends; without its beginning, that is told by how long it took."""
    seconds = _number(line.get("seconds"))
    since = at - (seconds or 0.0) if began is None else began
    failed = line.get("kind") == "failed"
    return Attempt(
        *key,
        began=since,
        ended=at,
        seconds=at - since if seconds is None else seconds,
        ending=Ending.FAILED if failed else Ending.DONE,
        error=_optional_text(line.get("error")) if failed else None,
    )


def _events(timed: Sequence[tuple[float, Line]]) -> Iterator[Event]:
    for at, line in timed:
        kind = _text(line.get("kind"))
        if kind in _TOLD_ELSEWHERE:
            continue
        yield Event(at, EVENTS.get(kind, kind or "line without a kind"), _optional_text(line.get("node")), _told(line))


def _told(line: Line) -> str:
    """What an event says, in one line of text; of an unknown kind every plain value."""
    remaining = ", ".join(_text(name) for name in _list(line.get("remaining")))
    match line.get("kind"):
        case "failed":
            return f"{_text(line.get('step'))}: {_text(line.get('error')) or 'no reason was written'}"
        case "halted":
            return _text(line.get("error")) + (f" (left to do: {remaining})" if remaining else "")
        case "resumed":
            return f"by {_text(line['owner'])}" if line.get("owner") else ""
        case "stop requested" | "aborted":
            return f"by {_text(line['by'])}" if line.get("by") else ""
        case "replanned":
            return _text(line.get("reason"))
        case "note":
            return _text(line.get("text"))
    told = {name: value for name, value in line.items() if name not in ("seq", "at", "kind", "node")}
    return ", ".join(f"{name}: {value}" for name, value in told.items() if isinstance(value, str | int | float))


def _snapshots(timed: Sequence[tuple[float, Line]], when: str) -> Iterator[Snapshot]:
    for at, line in timed:
        if line.get("kind") == "snapshot" and line.get("when") == when:
            findings = tuple(
                FoundState(
                    _text(item.get("service")),
                    _optional_text(item.get("node")),
                    _text(item.get("state")),
                    _text(item.get("reason")),
                )
                for item in _mappings(line.get("findings"))
            )
            nodes = {str(name): _node(_mapping(facts)) for name, facts in _mapping(line.get("nodes")).items()}
            yield Snapshot(at, _text(line.get("state")), findings, nodes)


def _node(facts: Line) -> NodeFacts:
    versions = {str(name): str(value) for name, value in _mapping(facts.get("versions")).items() if value is not None}
    address = _optional_text(facts.get("address"))
    return NodeFacts(_number(facts.get("vcpus")), _number(facts.get("memory_mib")), address, versions)


def _outcome(lines: Sequence[Line]) -> Outcome:
    """What the last line that decides says: a resumption takes back every end before it."""
    decided = Outcome.UNFINISHED
    for line in lines:
        match line.get("kind"):
            case "resumed":
                decided = Outcome.UNFINISHED
            case "rolled back":
                decided = Outcome.ROLLED_BACK
            case "aborted":
                decided = Outcome.ABORTED
            case _ if decided in (Outcome.ABORTED, Outcome.ROLLED_BACK):
                continue
            case "stop requested":
                decided = Outcome.STOPPED
            case "halted" if decided is not Outcome.STOPPED:  # a stop that was asked for ends in a halt too
                decided = Outcome.HALTED
            case "failed":
                decided = Outcome.HALTED
            case "done":
                decided = Outcome.DONE
    return decided


def _seconds(timed: Sequence[tuple[float, Line]]) -> float | None:
    """The engine's own measure where one runner did it all; else from the first line to the last."""
    if not timed:
        return None
    resumed = any(line.get("kind") == "resumed" for _, line in timed)
    measured = [_number(line.get("seconds")) for _, line in timed if line.get("kind") == "done"]
    if measured and measured[-1] is not None and not resumed:
        return measured[-1]
    return max(0.0, timed[-1][0] - timed[0][0])


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


def _mappings(value: object) -> list[Mapping[str, Any]]:
    return [item for item in _list(value) if isinstance(item, Mapping)]


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _optional_text(value: object) -> str | None:
    return None if value is None else str(value)


def _whole_number(value: object) -> int | None:
    number = _number(value)
    return None if number is None else int(number)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _BEYOND_ALL_NUMBERS:
        return None
    return float(value)
