# SPDX-License-Identifier: GPL-3.0-or-later
"""What the HAProxies do with the servers behind them: which they use, and what they hold back."""

from __future__ import annotations

import re
from collections.abc import Iterator

from trivet.health.cluster import Cluster, listed
from trivet.health.findings import Finding, State
from trivet.services.proxy.facts import HOLD_SWITCHES, ProxiesFacts

_COMING = re.compile(r"DOWN \d+/\d+")
"""Down, with some of the checks passed that make it up."""
_EXPLAINED = ("down", "coming")
_PROBLEMS = {
    "missing": (State.BROKEN, "does not know it"),
    "maintenance": (State.BROKEN, "has it in maintenance"),
    "down": (State.BROKEN, "sees it down"),
    "coming": (State.BUSY, "sees it come up"),
    "drained": (State.BUSY, "drains it"),
}


def server_findings(
    cluster: Cluster, service: str, backends: tuple[str, ...], known: list[Finding]
) -> Iterator[Finding]:
    """What is wrong with the servers of these backends, one finding per server and problem.

    Args:
        known: what is known of the service already; a server whose node has such a finding is rightly down.
    """
    excused = {finding.node for finding in known if finding.state is not State.HEALTHY}
    # Behind the public frontend are all nodes, and only members have it; the clusters are asked from everywhere.
    public = service == "web"
    asking = cluster.members() if public else cluster.machines()
    proxies = {node: facts.of(ProxiesFacts) for node, facts in asking if facts.of(ProxiesFacts).error is None}
    absent = {item.name for item in cluster.expectation.machines if not item.in_service}
    for node, _ in cluster.machines() if public else cluster.members():
        if node in absent:
            continue
        for backend in backends:
            problems: dict[str, list[str]] = {}
            for proxy, facts in proxies.items():
                statuses = {item.server: item.status for item in facts.backend(backend)}
                problem = _problem(statuses.get(node))
                if problem is not None and not (problem in _EXPLAINED and node in excused):
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


def _finding(cluster: Cluster, service: str, backend: str, node: str, problem: str, seen_by: list[str]) -> Finding:
    state, words = _PROBLEMS[problem]
    by_drain = problem in ("drained", "maintenance") and cluster.drain(service, node) is not None
    reason = f"HAProxy on {listed(seen_by)} {words} in {backend}"
    command = cluster.on(seen_by[0], "trivet-agent proxy states")
    return Finding(service, node, State.BUSY if by_drain else state, reason, command, by_drain=by_drain)


def hold_findings(cluster: Cluster, service: str, backends: tuple[str, ...]) -> Iterator[Finding]:
    """Backends whose new connections a HAProxy holds back, which is meant for the moments of a hand-over."""
    for node, facts in cluster.machines():
        for switch in facts.of(ProxiesFacts).backend(HOLD_SWITCHES):
            if switch.server in backends and switch.status.startswith("MAINT"):
                reason = f"its HAProxy holds back new connections of {switch.server}"
                yield Finding(service, node, State.BUSY, reason, f"if no rotation runs: {cluster.clean_command}")
