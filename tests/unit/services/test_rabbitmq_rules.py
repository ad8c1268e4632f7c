# SPDX-License-Identifier: GPL-3.0-or-later
"""What the verdict and the healer make of what brokers say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from trivet.health.cluster import Cluster
from trivet.health.expectation import Expectation, NodeExpectation
from trivet.health.facts import Drain, HostFacts, NodeFacts, by_name
from trivet.health.findings import State
from trivet.services.proxy.facts import ProxiesFacts, ProxyServer
from trivet.services.rabbitmq.collect import parse
from trivet.services.rabbitmq.facts import Queues, RabbitmqFacts
from trivet.services.rabbitmq.rules import findings

NODES = ("node-1", "node-2", "node-3")
BROKERS = tuple(f"rabbit@{name}" for name in NODES)
GOOD = RabbitmqFacts(unit="active", up=True, members=BROKERS, running=BROKERS, queues=3, leaders=1)
SERVERS = tuple(
    ProxyServer(backend="rabbitmq", server=name, server_id=number, status="UP") for number, name in enumerate(NODES, 1)
)
SOME = Queues(count=7, names=("shop/orders",))


def judged(drains: tuple[str, ...] = (), **brokers: RabbitmqFacts) -> list[tuple[str | None, State, str]]:
    """Node, state and reason of each finding; nodes that are not named are well."""
    facts = {}
    for name in NODES:
        broker = brokers.get(name.replace("-", "_"), GOOD)
        host = HostFacts(drains={"rabbitmq": Drain(owner="run")} if name in drains else {})
        facts[name] = NodeFacts(node=name, services=by_name(broker, ProxiesFacts(servers=SERVERS)), host=host)
    nodes = tuple(NodeExpectation(name, f"192.0.2.{number}") for number, name in enumerate(NODES, 1))
    cluster = Cluster(Expectation("test", nodes), facts)
    return [(item.node, item.state, item.reason) for item in findings(cluster)]


def test_nothing_is_wrong_with_three_brokers_in_one_cluster() -> None:
    assert judged() == []


@pytest.mark.parametrize(
    ("broker", "state", "words"),
    [
        (RabbitmqFacts(unit="inactive", error="failed to connect", down=True), State.BROKEN, "does not run"),
        (RabbitmqFacts(unit="active", error="no answer in 3.0 s"), State.UNKNOWN, "no answer"),
        (RabbitmqFacts(unit="activating", error="failed to connect", down=True), State.BUSY, "activating"),
        (RabbitmqFacts(unit="active", members=BROKERS), State.BROKEN, "no majority"),
        (replace(GOOD, maintenance=True), State.BROKEN, "stepped aside"),
        (replace(GOOD, partitions=(BROKERS[1],)), State.BROKEN, "cut off"),
        (replace(GOOD, alarms=("memory",)), State.BROKEN, "alarm of memory"),
        (replace(GOOD, stopped=SOME), State.BROKEN, "7 queues (shop/orders, …)"),
        (replace(GOOD, not_member=SOME), State.BUSY, "no copy yet"),
        (replace(GOOD, unsynchronised=SOME), State.BUSY, "only one"),
    ],
)
def test_what_is_wrong_with_a_broker_is_told_of_its_node(broker: RabbitmqFacts, state: State, words: str) -> None:
    found = judged(node_1=broker)
    assert [item[1] for item in found if item[0] == "node-1"] == [state]
    assert words in found[0][2]


def test_a_broker_in_a_cluster_of_its_own_is_told() -> None:
    alone = replace(GOOD, members=BROKERS[:1], running=BROKERS[:1])
    found = judged(node_1=alone)
    assert ("node-1", State.BROKEN) in [(node, state) for node, state, _ in found]


def test_an_absent_broker_is_busy_where_it_is_drained() -> None:
    stopped = RabbitmqFacts(unit="inactive", error="failed to connect", down=True)
    without = replace(GOOD, running=BROKERS[:2])
    others = {"node_1": without, "node_2": without, "node_3": stopped}
    assert [state for node, state, _ in judged(**others) if node is None] == [State.BROKEN]
    assert [state for node, state, _ in judged(drains=("node-3",), **others) if node is None] == [State.BUSY]


def test_a_queue_without_a_leader_is_nobody_s_but_the_cluster_s() -> None:
    found = judged(node_2=replace(GOOD, leaderless=SOME))
    assert [(node, state) for node, state, _ in found] == [(None, State.BROKEN)]


def test_facts_are_read_from_the_broker_s_answer() -> None:
    said: dict[str, Any] = {
        "up": True,
        "members": list(BROKERS),
        "running": list(BROKERS),
        "partitions": [],
        "alarms": ["memory", "memory"],
        "maintenance": False,
        "queues": 4,
        "leaders": 2,
        "stopped": {"count": 1, "names": ["shop/orders"]},
    }
    facts = parse(said, "active")
    assert (facts.alarms, facts.queues, facts.leaders) == (("memory",), 4, 2)
    assert facts.stopped == Queues(count=1, names=("shop/orders",))
    assert facts.not_member == Queues()
    assert parse({"up": False, "members": list(BROKERS)}, "active") == RabbitmqFacts(unit="active", members=BROKERS)
