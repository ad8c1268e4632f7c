# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables and tiles of a report, as rows of text. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from trivet.health.findings import State
from trivet.probe.report import Figures
from trivet.report.change import Attempt, Change, Ending, FoundState, NodeFacts, Outcome, Snapshot
from trivet.report.measured import Measured, answered
from trivet.report.wording import (
    BAD,
    GOOD,
    UNKNOWN,
    WARNING,
    clock,
    count,
    coverage,
    duration,
    in_seconds,
    latency,
    orders,
)
from trivet.services.registry import SERVICES

# A step is marked as slow when it took this much longer than expected, and so many seconds at least.
_SLOW_FACTOR = 1.5
_SLOW_SECONDS = 5.0
_SLOWER_P99 = 3.0


@dataclass(frozen=True, slots=True)
class Tile:
    """A key figure; `tone` is empty when it is neither good nor bad."""

    label: str
    value: str
    told: str
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """Text of a table, with a tone and a second line."""

    text: str
    tone: str = ""
    told: str = ""


@dataclass(frozen=True, slots=True)
class StepRow:
    """A step: expected seconds, then a cell for each node."""

    step: str
    what: str
    expected: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """Something of a node before and after."""

    before: str
    after: str

    @property
    def changed(self) -> bool:
        """Whether both are known and differ."""
        return UNKNOWN not in (self.before, self.after) and self.before != self.after

    @property
    def text(self) -> str:
        """The one that is known, where only one is; both when they differ."""
        if self.changed:
            return f"{self.before} → {self.after}"
        return self.after if self.before == UNKNOWN else self.before


@dataclass(frozen=True, slots=True)
class DifferenceRow:
    """One property of every node."""

    name: str
    cells: tuple[Difference, ...]


def tiles(change: Change, measured: Measured | None) -> tuple[Tile, ...]:
    """The key figures, those of the probe only where there was one."""
    counted = (*_web_nodes(change), *_times(change))
    if measured is None:
        return (Tile("Availability", "not measured", "no probe ran beside this change", WARNING), *counted)
    return (*_probe_tiles(measured), *counted)


def _web_nodes(change: Change) -> tuple[Tile, ...]:
    if change.web_nodes_before is None or change.web_nodes_after is None:
        return ()
    told = "before → after" if change.outcome is Outcome.DONE else "before → planned"
    return (Tile("Web nodes", f"{change.web_nodes_before} → {change.web_nodes_after}", told),)


def _probe_tiles(measured: Measured) -> tuple[Tile, ...]:
    report, during = measured.report, measured.during
    gap = report.longest_gap
    failures = report.total.failures
    failed_told = f"of {count(report.total.requests)} requests" if failures else "none of all requests"
    return (
        Tile("Requests", count(report.total.requests), f"{count(during.requests)} of them while the change ran"),
        Tile("Failed", count(failures), failed_told, BAD if failures else GOOD if report.total.requests else WARNING),
        Tile(
            "Longest gap",
            duration_of_gap(gap.seconds),
            f"without an answer, at {clock(measured.began + gap.since)} UTC",
        ),
        *_latency_tiles(measured),
        *_order_tiles(measured),
    )


def _order_tiles(measured: Measured) -> tuple[Tile, ...]:
    """Nothing where the contract has nothing that is looked up afterwards."""
    found, name = measured.report.orders, measured.report.contract.orders
    if found is None or name is None:
        return ()
    tone, told = orders(found)
    value = f"{count(found.found)} of {count(found.acknowledged)}" if found.acknowledged else UNKNOWN
    return (Tile(f"{name.capitalize()} found", value, told, tone),)


def _latency_tiles(measured: Measured) -> tuple[Tile, ...]:
    before, during = measured.before, measured.during
    if before is None or before is during or not answered(before):
        values = [_percentile(during, name) for name in ("p50", "p99")]
        return tuple(Tile(name, latency(value), "") for name, value in zip(("p50", "p99"), values, strict=True))
    found = []
    for name in ("p50", "p99"):
        earlier, later = _percentile(before, name), _percentile(during, name)
        factor = later / earlier if earlier and later else None
        slower = name == "p99" and factor is not None and factor > _SLOWER_P99
        told = "before → during" + (f", {factor:.1f} times" if factor is not None else "")
        found.append(Tile(name, f"{latency(earlier)} → {latency(later)}", told, WARNING if slower else ""))
    return tuple(found)


def _percentile(figures: Figures, name: str) -> float | None:
    return getattr(figures.latency_ms, name) if answered(figures) else None


def _times(change: Change) -> tuple[Tile, ...]:
    seconds = {name: total for name in change.node_names if (total := node_seconds(change, name)) is not None}
    told = " · ".join(f"{name} {in_seconds(total)}" for name, total in seconds.items())
    # Web nodes go through each step together: none has a time of its own.
    if not seconds or change.web_nodes_after is not None:
        return (Tile("In all", duration(change.seconds), ""),)
    low, high = min(seconds.values()), max(seconds.values())
    spread = in_seconds(high) if in_seconds(low) == in_seconds(high) else f"{in_seconds(low)[:-2]} – {in_seconds(high)}"
    return Tile("In all", duration(change.seconds), "from plan to end"), Tile("Each node", spread, told)


def duration_of_gap(seconds: float) -> str:
    """Seconds of a gap: most are far below one."""
    return f"{seconds * 1000:.0f} ms" if seconds < 0.9995 else duration(seconds)


def node_seconds(change: Change, node: str, step: str | None = None) -> float | None:
    """Seconds that a node's attempts took, at one step or in all; None when none has an end."""
    taken = [item.seconds for item in change.of(node, step) if item.seconds is not None]
    return sum(taken) if taken else None


def step_rows(change: Change) -> tuple[StepRow, ...]:
    """Seconds of each step on each node, and their sums in the last row."""
    planned = {step.step: step for step in change.steps}
    rows = []
    for step in change.step_names:
        expected = planned[step].expected_seconds if step in planned else None
        cells = tuple(_step_cell(change.of(name, step), expected) for name in change.node_names)
        what = planned[step].what if step in planned else ""
        rows.append(StepRow(step, what, "" if expected is None else in_seconds(expected), cells))
    expected_nodes = {node.name: node.expected_seconds for node in change.nodes}
    sums = []
    for name in change.node_names:
        total, expected = node_seconds(change, name), expected_nodes.get(name)
        told = "" if expected is None else f"expected {in_seconds(expected)}"
        sums.append(Cell(in_seconds(total), WARNING if _slow(total, expected) else "", told))
    return (*rows, StepRow("node", "", "", tuple(sums)))


def _step_cell(attempts: tuple[Attempt, ...], expected: float | None) -> Cell:
    if not attempts:
        return Cell(UNKNOWN)
    taken = [item.seconds for item in attempts if item.seconds is not None]
    text = in_seconds(sum(taken)) if taken else ""
    told = [f"{len(attempts)} attempts"] if len(attempts) > 1 else []
    told += [item.ending.value for item in attempts if item.ending is not Ending.DONE]
    last = attempts[-1].ending
    tone = BAD if last is Ending.FAILED else WARNING if last is Ending.CUT_OFF else ""
    if not tone and (len(told) > 1 or _slow(sum(taken) if taken else None, expected)):
        tone = WARNING
    return Cell(text, tone, ", ".join(told))


def _slow(seconds: float | None, expected: float | None) -> bool:
    if seconds is None or expected is None:
        return False
    return seconds > expected * _SLOW_FACTOR and seconds > expected + _SLOW_SECONDS


def differences(change: Change) -> tuple[tuple[str, ...], tuple[DifferenceRow, ...]]:
    """The names of the nodes, and every property of them before and after; no rows without a snapshot."""
    before = change.before.nodes if change.before else {}
    after = change.after.nodes if change.after else {}
    names = tuple(dict.fromkeys((*before, *after)))
    versions = sorted({name for facts in (*before.values(), *after.values()) for name in facts.versions})
    properties: dict[str, Callable[[NodeFacts], str | None]] = {
        "CPUs": lambda facts: None if facts.vcpus is None else f"{facts.vcpus:g}",
        "memory": lambda facts: None if facts.memory_mib is None else f"{count(facts.memory_mib)} MiB",
        "address": lambda facts: facts.address,
        **{name: _version(name) for name in versions},
    }
    rows = tuple(
        DifferenceRow(title, tuple(_difference(before.get(name), after.get(name), of) for name in names))
        for title, of in properties.items()
    )
    if change.before and change.after and change.web_nodes_after is not None:
        rows = (DifferenceRow("member", tuple(_member(name in before, name in after) for name in names)), *rows)
    return names, rows if names else ()


def _member(before: bool, after: bool) -> Difference:
    """Whether a node was there: web nodes come and go, and what is known of one that went must not look present."""
    return Difference("yes" if before else "no", "yes" if after else "no")


def _version(name: str) -> Callable[[NodeFacts], str | None]:
    return lambda facts: facts.versions.get(name)


def _difference(before: NodeFacts | None, after: NodeFacts | None, of: Callable[[NodeFacts], str | None]) -> Difference:
    known = [UNKNOWN if facts is None else of(facts) or UNKNOWN for facts in (before, after)]
    return Difference(*known)


@dataclass(frozen=True, slots=True)
class VerdictTable:
    """A verdict: its state, a row of states for each service (by column), and what was found wrong."""

    state: str
    at: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    problems: tuple[FoundState, ...]
    notes: tuple[FoundState, ...]


def verdict_table(snapshot: Snapshot | None) -> VerdictTable | None:
    """The verdict of a snapshot as a grid of services by nodes."""
    if snapshot is None:
        return None
    findings = snapshot.findings
    found = {item.service for item in findings}
    services = [*(name for name in SERVICES if name in found), *sorted(found - set(SERVICES))]
    named = dict.fromkeys(item.node for item in findings if item.node is not None)
    nodes = tuple(dict.fromkeys((*snapshot.nodes, *named)))
    cluster = any(item.node is None for item in findings)
    columns: tuple[str | None, ...] = (*nodes, None) if cluster else nodes
    rows = tuple((service, tuple(_state_of(findings, service, node) for node in columns)) for service in services)
    return VerdictTable(
        state=snapshot.state or "unknown",
        at=clock(snapshot.at),
        columns=tuple("cluster" if node is None else node for node in columns),
        rows=rows,
        problems=tuple(item for item in findings if item.state != State.HEALTHY),
        notes=tuple(item for item in findings if item.state == State.HEALTHY),
    )


def _state_of(findings: tuple[FoundState, ...], service: str, node: str | None) -> str:
    """The worst state that was found; nothing where nothing was written down."""
    states = [item.state for item in findings if item.service == service and item.node == node]
    return max(states, key=_severity, default="")


def _severity(state: str) -> int:
    known = {str(item): item.severity for item in State}
    return known.get(state, State.UNKNOWN.severity)


def figures_rows(groups: Mapping[str, Figures]) -> tuple[tuple[str, ...], ...]:
    """Requests, failures and latencies by group."""
    rows = []
    for name, figures in groups.items():
        times = figures.latency_ms
        values = (times.p50, times.p90, times.p99, times.maximum)
        shown = [latency(value if answered(figures) else None) for value in values]
        rows.append((name, count(figures.requests), count(figures.failures), *shown))
    return tuple(rows)


def reservations(change: Change, measured: Measured | None) -> tuple[str, ...]:
    """What the reader must not conclude, most important first."""
    if measured is None:
        return (
            "No probe ran beside this change. Nothing here says whether customers saw errors or waited: "
            "the verdicts tell how the services stood before and after, not in between.",
        )
    report = measured.report
    told = [coverage(measured)]
    if report.unfinished:
        told.append(f"The run was interrupted: {count(report.unfinished)} requests were in flight and are not counted.")
    found, name = report.orders, report.contract.orders
    if found and found.acknowledged and not found.verified:
        told.append(f"Not every node could be asked for the acknowledged {name}.")
    if found and found.unacknowledged:
        told.append(
            f"{count(found.unacknowledged)} {name} were sent and never acknowledged: "
            "the application may or may not have them."
        )
    if not report.contract.writes:
        told.append(
            f"The contract {report.contract.name} reads only: whether anything could be written, or was lost, "
            "was not tried."
        )
    told.append(
        f"The probe itself began a request up to {latency(report.own_lag_ms)} late: "
        "latencies below that say more about its own machine than about the application."
    )
    told.append(
        f"At {report.rate:g} requests per second an interruption shorter than {latency(1000 / report.rate)} can fall "
        "between two requests."
    )
    told.append(
        "The probe asked from one place in the network, with its own mix of requests; paths through other networks, "
        "other pages and other software of the application were not tried."
    )
    return tuple(item for item in told if item)
