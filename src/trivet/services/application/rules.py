# SPDX-License-Identifier: GPL-3.0-or-later
"""The application: every node serves the release of the environment."""

from __future__ import annotations

from collections.abc import Iterator

from trivet.health.cluster import Cluster, Rules
from trivet.health.facts import LeaseMode
from trivet.health.findings import Finding, State
from trivet.services.application.facts import ApplicationFacts

SERVICE = "application"


def findings(cluster: Cluster) -> Iterator[Finding]:
    """Judge the releases of all nodes. Without any the inventory's own pool serves."""
    for node, facts in cluster.machines():
        yield from _of_node(cluster, node, facts.of(ApplicationFacts))


def _of_node(cluster: Cluster, node: str, facts: ApplicationFacts) -> Iterator[Finding]:
    command = cluster.on(node, "trivet-agent release sync")
    if facts.error is not None or not facts.asked:
        reason = f"no answer: {facts.error or 'it does not say which release it should serve'}"
        yield Finding(SERVICE, node, State.UNKNOWN, reason, command)
    elif facts.recorded is not None and facts.current != facts.recorded:
        reason = f"serves {facts.current or 'no release'}, and the environment's is {facts.recorded}"
        if (change := _change(cluster)) is not None:
            yield Finding(SERVICE, node, State.BUSY, f"{reason}; {change}", None)
        else:
            yield Finding(SERVICE, node, State.BROKEN, reason, command)


def _change(cluster: Cluster) -> str | None:
    """Who changes the environment just now, in words."""
    votes = (facts.host.vote for _, facts in cluster.members() if facts.host.vote)
    vote = next((vote for vote in votes if vote.mode == LeaseMode.HANDS_OFF), None)
    return f"{vote.owner} holds the lease for: {vote.purpose}" if vote else None


RULES = Rules(findings)
