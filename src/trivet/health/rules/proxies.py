# SPDX-License-Identifier: GPL-3.0-or-later
"""What the HAProxies think of the servers behind them, for the services whose checks they make."""

from __future__ import annotations

import re
from collections.abc import Iterator

from trivet.health.cluster import Cluster, listed
from trivet.health.findings import Finding, State

_COMING = re.compile(r"DOWN \d+/\d+")
"""Down, with some of the checks passed that make it up."""
_PROBLEMS = {
    "missing": (State.BROKEN, "does not know it"),
    "maintenance": (State.BROKEN, "has it in maintenance"),
    "down": (State.BROKEN, "sees it down"),
    "coming": (State.BUSY, "sees it come up"),
    "drained": (State.BUSY, "drains it"),
}


def server_findings(cluster: Cluster, service: str, backends: tuple[str, ...]) -> Iterator[Finding]:
    """What is wrong with the servers of these backends: one finding per server and problem, of all proxies."""
    proxies = {node: facts.proxies for node, facts in cluster.members() if facts.proxies.error is None}
    for node, _ in cluster.members():
        for backend in backends:
            problems: dict[str, list[str]] = {}
            for proxy, facts in proxies.items():
                statuses = {item.server: item.status for item in facts.backend(backend)}
                problem = _problem(statuses.get(node))
                if problem is not None:
                    problems.setdefault(problem, []).append(proxy)
            for problem, seen_by in problems.items():
                yield _finding(cluster, service, backend, node, problem, seen_by)


def _problem(status: str | None) -> str | None:
    if status is None:
        return "missing"
    if status.startswith("MAINT"):
        return "maintenance"
    if status.startswith("DRAIN"):
        return "drained"
    if _COMING.match(status):
        return "coming"
    if status.startswith(("DOWN", "NOLB")):
        return "down"
    return None


def _finding(
    cluster: Cluster, service: str, backend: str, node: str, problem: str, seen_by: list[str]
) -> Finding:
    state, words = _PROBLEMS[problem]
    by_drain = problem in ("drained", "maintenance") and cluster.drain(service, node) is not None
    reason = f"HAProxy on {listed(seen_by)} {words} in {backend}"
    command = cluster.on(seen_by[0], "trivet-agent proxy states")
    return Finding(service, node, State.BUSY if by_drain else state, reason, command, by_drain=by_drain)
