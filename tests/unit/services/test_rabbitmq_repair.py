# SPDX-License-Identifier: GPL-3.0-or-later
"""When the healer takes a broker in hand, and how."""

from __future__ import annotations

from dataclasses import replace

import pytest

from trivet.health.config import Member as NodeMember
from trivet.health.config import NodeConfig
from trivet.health.facts import HostFacts, NodeFacts, by_name
from trivet.node.symptom import KILL, START, View
from trivet.services.rabbitmq.facts import Queues, RabbitmqFacts
from trivet.services.rabbitmq.repair import GROW, JOIN, REPAIR, TAKE_PART

NODES = ("node-1", "node-2", "node-3")
BROKERS = tuple(f"rabbit@{name}" for name in NODES)
GOOD = RabbitmqFacts(unit="active", up=True, members=BROKERS, running=BROKERS)
SILENT = RabbitmqFacts(unit="active", error="no answer in 3.0 s from rabbit@node-1")


def facts(name: str, broker: RabbitmqFacts) -> NodeFacts:
    return NodeFacts(node=name, services=by_name(broker), host=HostFacts(units={"rabbitmq-server": broker.unit}))


def found(own: RabbitmqFacts, *peers: RabbitmqFacts) -> list[tuple[str, str | None, bool]]:
    """Problem, act and whether one node at a time, of each symptom of the first node."""
    members = tuple(NodeMember(name, number, f"192.0.2.{number}") for number, name in enumerate(NODES, 1))
    config = NodeConfig("test", NODES[0], 1, "192.0.2.1", "eth0", members)
    heard = {name: facts(name, broker) for name, broker in zip(NODES[1:], peers, strict=False)}
    symptoms = REPAIR.symptoms(View(config, facts(NODES[0], own), heard))
    return [(item.problem, item.remedy.kind if item.remedy else None, item.alone) for item in symptoms]


def test_a_broker_that_is_well_is_left_alone() -> None:
    assert found(GOOD, GOOD, GOOD) == []


@pytest.mark.parametrize("unit", ["inactive", "failed"])
def test_one_that_is_down_is_started(unit: str) -> None:
    down = RabbitmqFacts(unit=unit, error="failed to connect to node", down=True)
    assert found(down, GOOD, GOOD) == [("down", START, False)]


def test_one_that_waits_for_its_cluster_is_left_to_do_so() -> None:
    waiting = RabbitmqFacts(unit="activating", members=BROKERS)
    assert found(waiting, waiting, waiting) == []
    paused = RabbitmqFacts(unit="active", members=BROKERS)
    assert found(paused, GOOD) == []
    assert found(paused, paused, GOOD) == []


def test_one_that_stays_paused_beside_a_majority_is_restarted() -> None:
    assert found(RabbitmqFacts(unit="active", members=BROKERS), GOOD, GOOD) == [("paused", KILL, True)]


def test_one_that_hangs_is_killed_while_another_serves() -> None:
    assert found(SILENT, GOOD, GOOD) == [("hangs", KILL, True)]
    assert found(SILENT, SILENT, SILENT) == [("hangs", None, True)]


def test_one_in_a_cluster_of_its_own_joins_the_others() -> None:
    alone = replace(GOOD, members=BROKERS[:1], running=BROKERS[:1])
    assert found(alone, GOOD, GOOD) == [("not joined", JOIN, True)]
    assert found(alone, GOOD) == []


def test_one_that_was_cut_off_is_restarted() -> None:
    assert found(replace(GOOD, partitions=(BROKERS[2],)), GOOD, GOOD) == [("cut off", KILL, True)]


def test_one_that_was_left_aside_takes_clients_again() -> None:
    assert found(replace(GOOD, maintenance=True), GOOD, GOOD) == [("aside", TAKE_PART, False)]


def test_one_without_a_copy_of_a_queue_takes_one() -> None:
    assert found(replace(GOOD, not_member=Queues(count=2)), GOOD, GOOD) == [("no copy", GROW, False)]
