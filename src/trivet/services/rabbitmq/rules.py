# SPDX-License-Identifier: GPL-3.0-or-later
"""RabbitMQ: all brokers in one cluster, none paused or blocked, and each with a running copy of every queue."""

from __future__ import annotations

from collections.abc import Iterator

from trivet.health.cluster import COMING_OR_GOING, Cluster, Rules, listed, times
from trivet.health.findings import Finding, State
from trivet.services.proxy.findings import server_findings
from trivet.services.rabbitmq.cluster import UNIT, broker_name
from trivet.services.rabbitmq.facts import Queues, RabbitmqFacts

SERVICE = "rabbitmq"


def findings(cluster: Cluster) -> Iterator[Finding]:
    """Judge the brokers of all nodes."""
    own: list[Finding] = []
    for node, facts in cluster.members():
        own += _of_node(cluster, node, facts.of(RabbitmqFacts))
    yield from own
    yield from _of_members(cluster)
    yield from _of_leaders(cluster)
    yield from server_findings(cluster, SERVICE, (SERVICE,), own)


def _of_node(cluster: Cluster, node: str, broker: RabbitmqFacts) -> Iterator[Finding]:
    if silent := cluster.silent(SERVICE, node, broker, UNIT, broker.unit):
        yield silent
    elif not broker.up:
        # While it starts, its unit is activating.
        state = State.BUSY if broker.unit in COMING_OR_GOING else State.BROKEN
        reason = "does not serve: it waits for its cluster, or sees no majority of it"
        yield Finding(SERVICE, node, state, reason, cluster.logs(node, UNIT))
    else:
        yield from _of_serving(cluster, node, broker)


def _of_serving(cluster: Cluster, node: str, broker: RabbitmqFacts) -> Iterator[Finding]:
    command = cluster.on(node, "trivet-agent rabbitmq state")
    if broker.maintenance:
        again = cluster.on(node, "trivet-agent rabbitmq take-part")
        yield Finding(SERVICE, node, State.BROKEN, "has stepped aside: it takes no clients", again)
        return
    if broker.partitions:
        reason = f"was cut off from {listed(broker.partitions)}, and has not been restarted since"
        yield Finding(SERVICE, node, State.BROKEN, reason, cluster.on(node, f"systemctl restart {UNIT}"))
    if broker.alarms:
        reason = f"publishers wait: alarm of {listed(broker.alarms)}"
        yield Finding(SERVICE, node, State.BROKEN, reason, cluster.on(node, "rabbitmq-diagnostics alarms"))
    for state, queues, words in (
        (State.BROKEN, broker.stopped, "does not run its copy of"),
        (State.BUSY, broker.not_member, "has no copy yet of"),
        (State.BUSY, broker.unsynchronised, "is the only one with all messages of"),
    ):
        if queues.count:
            yield Finding(SERVICE, node, state, f"{words} {_counted(queues)}", command)


def _counted(queues: Queues) -> str:
    return f"{times(queues.count, 'queue')} ({queues})"


def _of_members(cluster: Cluster) -> Iterator[Finding]:
    """All have the same members, which are those that there should be, and each sees all serve."""
    expected = {broker_name(node.name) for node in cluster.expectation.nodes}
    views = {node: facts.of(RabbitmqFacts) for node, facts in cluster.members() if _serves(facts.of(RabbitmqFacts))}
    for node, broker in views.items():
        if set(broker.members) != expected:
            reason = f"its cluster has {listed(broker.members)}; it should have {listed(frozenset(expected))}"
            command = cluster.on(node, "trivet-agent rabbitmq state")
            yield Finding(SERVICE, node, State.BROKEN, reason, command)
    unseen = {node: expected - set(broker.running) for node, broker in views.items()}
    if not any(unseen.values()):
        return
    absent = frozenset(
        node.name
        for node in cluster.expectation.nodes
        if any(broker_name(node.name) in names for names in unseen.values())
    )
    passing = frozenset(node for node, facts in cluster.members() if facts.of(RabbitmqFacts).unit in COMING_OR_GOING)
    seen_by = [node for node, names in unseen.items() if names]
    reason = f"{listed(absent)} does not serve as {listed(seen_by)} sees it"
    yield Finding(SERVICE, None, cluster.absence(SERVICE, absent, passing), reason, cluster.logs(min(absent), UNIT))


def _serves(broker: RabbitmqFacts) -> bool:
    return broker.error is None and broker.up


def _of_leaders(cluster: Cluster) -> Iterator[Finding]:
    """One look is enough: the one that misses most."""
    views = {node: facts.of(RabbitmqFacts) for node, facts in cluster.members() if _serves(facts.of(RabbitmqFacts))}
    taking_part = {node: broker for node, broker in views.items() if not broker.maintenance}
    if not taking_part:
        return
    node = max(taking_part, key=lambda name: taking_part[name].leaderless.count)
    if (queues := taking_part[node].leaderless).count:
        reason = f"{_counted(queues)} without a leader: nobody can publish to them or read them"
        yield Finding(SERVICE, None, State.BROKEN, reason, cluster.on(node, "trivet-agent rabbitmq state"))


RULES = Rules(findings)
