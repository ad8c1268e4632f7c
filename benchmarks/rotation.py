#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Seconds per node of the last rotation, beside the time that its services and its machine take by themselves.

    .venv/bin/python benchmarks/rotation.py ENV

Reads the newest journal of ENV and, from each node's systemd journal, when the units stopped and started during the
node's turn. ``services_seconds`` is the sum of their times, which overlap where the rotation has two start at once. The
floor is the time during which a unit stopped or started, or the machine stopped, was resized and booted (the step of
the provider): what a rotation would take that does nothing else. Prints JSON; touches nothing.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

from trivet.agent.journal import parse
from trivet.ansible import load_environment
from trivet.model import Node
from trivet.remote import Nodes
from trivet.rotation.journal import rotations_directory

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
    total, until = 0.0, 0.0
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, until))
        until = max(until, end)
    return total


def figures(own: list[dict[str, Any]], units: dict[str, dict[str, list[Span]]]) -> dict[str, Any]:
    """A node's figures, from its lines of the journal and its units' times."""
    seconds = own[-1]["at"] - own[0]["at"]
    sums = {
        unit: {kind: sum(end - begin for begin, end in spans) for kind, spans in kinds.items()}
        for unit, kinds in units.items()
    }
    services = sum(sum(kinds.values()) for kinds in sums.values())
    floor = covered(
        [span for kinds in units.values() for spans in kinds.values() for span in spans] + machine_spans(own)
    )
    return {
        "seconds": round(seconds, 1),
        "services_seconds": round(services, 1),
        "ratio_to_services": round(seconds / services, 2) if services else None,
        "floor_seconds": round(floor, 1),
        "ratio_to_floor": round(seconds / floor, 2) if floor else None,
        "steps": {line["step"]: line["seconds"] for line in own if line["kind"] == "end"},
        "units": {unit: {kind: round(value, 1) for kind, value in kinds.items()} for unit, kinds in sums.items()},
    }


def main() -> None:
    """Measure and print."""
    environment = load_environment(sys.argv[1])
    lines = parse(max(rotations_directory(environment.label).glob("*.jsonl")).read_text(encoding="utf-8"))
    result = {}
    with Nodes(environment) as nodes:
        for node in environment.nodes:
            own = [line for line in lines if line.get("node") == node.name]
            since, until = own[0]["at"], own[-1]["at"]
            result[node.name] = figures(own, unit_spans(entries(nodes, node, since, until)))
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
