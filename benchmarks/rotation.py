#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Seconds per node of the last rotation, beside the time that its services and its machine take by themselves.

    .venv/bin/python benchmarks/rotation.py ENV

Reads the newest journal of ENV; from each node's systemd journal, when the units stopped and started during the node's
turn; and from the logs of the search engine, when the last copy was in step. ``services_seconds`` is the sum of their
stops, starts (of MariaDB with its catch-up: systemd learns of the start when it is in step) and of the search engine's
catch-up, counted from the gate's begin, when copies may be placed again. ``machine_seconds`` is the provider's step.
``ratio`` is the node's seconds ÷ the sum of both. Services overlap where the rotation has several stop or start at
once: ``floor_seconds`` counts no second twice. Prints JSON; touches nothing.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from trivet.agent.journal import parse
from trivet.ansible import load_environment
from trivet.model import Node
from trivet.remote import Nodes
from trivet.results import Kind, leave
from trivet.run.directories import journals_directory

UNITS = (
    "elasticsearch",
    "glusterd",
    "haproxy",
    "keepalived",
    "mariadb",
    "nginx",
    "opensearch",
    "php8.2-fpm",
    "redis-cache",
    "redis-sentinel",
    "redis-session",
    "trivet-glusterfs-bricks",
    "trivet-shared",
)
MACHINE_STEPS = ("resize", "reboot")
IN_STEP = r"health status changed from .* to \[\?GREEN"
# systemd's catalogue: SD_MESSAGE_UNIT_STARTING, _STARTED, _STOPPING, _STOPPED.
BEGINS = {"7d4958e842da4a758f6c1cdc7b36dcc5": "start", "de5b426a63be47a7b6ac3eaac82e2f6f": "stop"}
ENDS = {"39f53479d3a045ac8e11786248231fbf": "start", "9d1aaa27d60140bd96365438aad20286": "stop"}


def entries(nodes: Nodes, node: Node, since: float, until: float) -> Iterator[dict[str, str]]:
    """Lines of systemd about the units in a span of epoch seconds."""
    command = ["journalctl", "-o", "json", "--no-pager", f"--since=@{since:.0f}", f"--until=@{until + 1:.0f}", "_PID=1"]
    for line in nodes.run(node, command, timeout=60).output.splitlines():
        yield json.loads(line)


class Span(NamedTuple):
    """When something began and ended, in epoch seconds."""

    begin: float
    end: float


def unit_spans(lines: Iterator[dict[str, str]]) -> dict[str, dict[str, list[Span]]]:
    """When each unit stopped and started."""
    began: dict[tuple[str, str], float] = {}
    spans: dict[str, dict[str, list[Span]]] = {}
    for line in lines:
        unit = line.get("UNIT", "").removesuffix(".service")
        message, at = line.get("MESSAGE_ID", ""), int(line["__REALTIME_TIMESTAMP"]) / 1e6
        if unit not in UNITS:
            continue
        if message in BEGINS:
            began[unit, BEGINS[message]] = at
        elif message in ENDS and (start := began.pop((unit, ENDS[message]), None)) is not None:
            spans.setdefault(unit, {}).setdefault(ENDS[message], []).append(Span(start, at))
    return spans


def in_step_times(nodes: Nodes) -> list[float]:
    """When the search cluster had every copy in step, in epoch seconds; the node that led it then wrote it down."""
    script = f"date +%z; grep -h '{IN_STEP}' /var/log/opensearch/*.log /var/log/elasticsearch/*.log 2>/dev/null || true"
    times = []
    for answer in nodes.run_on(nodes.environment.nodes, ["sh", "-c", script]):
        zone, *lines = answer.output.splitlines()
        times += [datetime.strptime(f"{line[1:24]} {zone}", "%Y-%m-%dT%H:%M:%S,%f %z").timestamp() for line in lines]
    return times


def catch_up_spans(lines: list[dict[str, Any]], in_step: list[float]) -> list[Span]:
    """From the begin of a gate to the last copy that was in step before the gate was passed."""
    spans, began = [], None
    for line in lines:
        if line.get("step") != "gate":
            continue
        if line["kind"] == "begin":
            began = line["at"]
        elif line["kind"] == "end" and began is not None:
            passed = [at for at in in_step if began < at < line["at"]]
            spans += [Span(began, max(passed))] if passed else []
            began = None
    return spans


def machine_spans(lines: list[dict[str, Any]]) -> list[Span]:
    """When the provider stopped, resized and started the machine, from a node's lines of the journal."""
    spans, began = [], None
    for line in lines:
        if line.get("step") not in MACHINE_STEPS:
            continue
        if line["kind"] == "begin":
            # One that was broken off has no end; its repetition begins anew.
            began = line["at"]
        elif line["kind"] == "end" and began is not None:
            spans.append(Span(began, line["at"]))
            began = None
    return spans


def covered(spans: list[Span]) -> float:
    """Seconds during which at least one of them lasted."""
    seconds, until = 0.0, 0.0
    for begin, end in sorted(spans):
        seconds += max(0.0, end - max(begin, until))
        until = max(until, end)
    return seconds


def figures(own: list[dict[str, Any]], units: dict[str, dict[str, list[Span]]], in_step: list[float]) -> dict[str, Any]:
    """A node's figures, from its lines of the journal, its units' times and those of the search cluster."""
    seconds = own[-1]["at"] - own[0]["at"]
    catch_up, machine = catch_up_spans(own, in_step), machine_spans(own)
    services = [span for kinds in units.values() for spans in kinds.values() for span in spans] + catch_up
    whole, floor = total(services + machine), covered(services + machine)
    return {
        "seconds": round(seconds, 1),
        "services_seconds": round(total(services), 1),
        "machine_seconds": round(total(machine), 1),
        "ratio": round(seconds / whole, 2) if whole else None,
        "floor_seconds": round(floor, 1),
        "ratio_to_floor": round(seconds / floor, 2) if floor else None,
        "steps": {line["step"]: line["seconds"] for line in own if line["kind"] == "end"},
        "units": {
            unit: {kind: round(total(spans), 1) for kind, spans in kinds.items()} for unit, kinds in units.items()
        },
        "search_catch_up": round(total(catch_up), 1),
    }


def total(spans: list[Span]) -> float:
    """The sum of their seconds."""
    return sum(end - begin for begin, end in spans)


def main() -> None:
    """Measure and print."""
    environment = load_environment(sys.argv[1])
    lines = parse(max(journals_directory(environment.label).glob("*.jsonl")).read_text(encoding="utf-8"))
    result = {}
    with Nodes(environment) as nodes:
        in_step = in_step_times(nodes)
        for node in environment.nodes:
            own = [line for line in lines if line.get("node") == node.name]
            since, until = own[0]["at"], own[-1]["at"]
            result[node.name] = figures(own, unit_spans(entries(nodes, node, since, until)), in_step)
    leave(Kind.OVERHEAD, {"nodes": result})
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
