#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Seconds per node of the last rotation, beside the sum of its services' own stop and start times.

    .venv/bin/python benchmarks/rotation.py ENV

Reads the newest journal of ENV and, from each node's systemd journal, how long the units took to stop and to start
during the node's turn. The services' sum is the floor of a rotation that does one thing after the other. Prints JSON;
touches nothing.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

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
# systemd's catalogue: SD_MESSAGE_UNIT_STARTING, _STARTED, _STOPPING, _STOPPED.
BEGINS = {"7d4958e842da4a758f6c1cdc7b36dcc5": "start", "de5b426a63be47a7b6ac3eaac82e2f6f": "stop"}
ENDS = {"39f53479d3a045ac8e11786248231fbf": "start", "9d1aaa27d60140bd96365438aad20286": "stop"}


def entries(nodes: Nodes, node: Node, since: float, until: float) -> Iterator[dict[str, str]]:
    """Lines of systemd about the units in a span of epoch seconds."""
    command = ["journalctl", "-o", "json", "--no-pager", f"--since=@{since:.0f}", f"--until=@{until + 1:.0f}", "_PID=1"]
    for line in nodes.run(node, command, timeout=60).output.splitlines():
        yield json.loads(line)


def unit_seconds(lines: Iterator[dict[str, str]]) -> dict[str, dict[str, float]]:
    """Seconds of each unit's stop and start; a later one of the same kind is added."""
    began: dict[tuple[str, str], float] = {}
    seconds: dict[str, dict[str, float]] = {}
    for line in lines:
        unit = line.get("UNIT", "").removesuffix(".service")
        message, at = line.get("MESSAGE_ID", ""), int(line["__REALTIME_TIMESTAMP"]) / 1e6
        if unit not in UNITS:
            continue
        if message in BEGINS:
            began[unit, BEGINS[message]] = at
        elif message in ENDS and (start := began.pop((unit, ENDS[message]), None)) is not None:
            times = seconds.setdefault(unit, {})
            times[ENDS[message]] = round(times.get(ENDS[message], 0.0) + at - start, 1)
    return seconds


def main() -> None:
    """Measure and print."""
    environment = load_environment(sys.argv[1])
    lines = parse(max(rotations_directory(environment.label).glob("*.jsonl")).read_text(encoding="utf-8"))
    result = {}
    with Nodes(environment) as nodes:
        for node in environment.nodes:
            own = [line for line in lines if line.get("node") == node.name]
            since, until = own[0]["at"], own[-1]["at"]
            units = unit_seconds(entries(nodes, node, since, until))
            floor = sum(sum(times.values()) for times in units.values())
            result[node.name] = {
                "seconds": round(until - since, 1),
                "services_seconds": round(floor, 1),
                "ratio": round((until - since) / floor, 2) if floor else None,
                "units": units,
            }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
