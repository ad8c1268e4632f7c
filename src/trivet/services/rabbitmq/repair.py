# SPDX-License-Identifier: GPL-3.0-or-later
"""A broker that does not run, does not answer or is outside of its cluster, and queues that lack a copy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from trivet.health.config import NodeConfig
from trivet.health.external import NoAnswer
from trivet.health.facts import NodeFacts
from trivet.node.errors import AgentError
from trivet.node.repair import Repair, Up
from trivet.node.symptom import DISTURBED_LOOKS, KILL, OUTAGE_LOOKS, Remedy, Symptom, View, hung, stopped
from trivet.services.rabbitmq.broker import Refused
from trivet.services.rabbitmq.cluster import UNIT, Member, broker_name
from trivet.services.rabbitmq.facts import RabbitmqFacts

JOIN = "join brokers"
GROW = "grow queues"
TAKE_PART = "take clients"
SERVICE = "rabbitmq"


def symptoms(view: View) -> Iterator[Symptom]:
    """What is wrong with this node's broker."""
    broker = view.own.of(RabbitmqFacts)
    yield from stopped(view, SERVICE, (UNIT,))
    yield from hung(view, SERVICE, (UNIT,), broker.error, serves)
    if broker.error is not None or view.state(UNIT) != "active":
        return
    peers = {broker_name(name) for name, facts in view.peers.items() if serves(facts)}
    majority = 2 * len(peers) > len(view.config.members)
    if not broker.up:
        if majority:
            yield _outside("paused", "does not serve, and the others do", DISTURBED_LOOKS, Remedy(KILL, (UNIT,)))
    elif majority and not peers & set(broker.members):
        yield _outside("not joined", "is in no cluster with the others", OUTAGE_LOOKS, Remedy(JOIN))
    elif set(broker.partitions) & peers:
        reason = f"was cut off from {', '.join(broker.partitions)}, and has not been restarted since"
        yield _outside("cut off", reason, OUTAGE_LOOKS, Remedy(KILL, (UNIT,)))
    else:
        yield from _inside(broker)


def serves(facts: NodeFacts) -> bool:
    """Whether a node's broker takes messages."""
    broker = facts.of(RabbitmqFacts)
    return broker.error is None and broker.up and not broker.maintenance


def _outside(problem: str, reason: str, looks: int, remedy: Remedy) -> Symptom:
    return Symptom(
        service=SERVICE, subject=UNIT, problem=problem, reason=f"the broker {reason}", looks=looks, remedy=remedy,
        alone=True,
    )  # fmt: skip


def _inside(broker: RabbitmqFacts) -> Iterator[Symptom]:
    """A member that is not all that it should be; what is drained is not looked at."""
    if broker.maintenance:
        reason = "the broker has stepped aside, and takes no clients"
        yield Symptom(
            service=SERVICE, subject=UNIT, problem="aside", reason=reason, looks=DISTURBED_LOOKS,
            remedy=Remedy(TAKE_PART),
        )  # fmt: skip
    elif broker.not_member.count:
        reason = f"queues without a copy here: {broker.not_member.count}"
        yield Symptom(
            service=SERVICE, subject="queues", problem="no copy", reason=reason, looks=OUTAGE_LOOKS,
            remedy=Remedy(GROW),
        )  # fmt: skip


def _member(config: NodeConfig) -> Member:
    return Member(config.name, [member.name for member in config.members if member.name != config.name])


def _join(_arguments: Sequence[str], config: NodeConfig, _data: Mapping[str, Any]) -> str:
    try:
        outcome = _member(config).start()
    except (NoAnswer, Refused) as problem:
        raise AgentError(str(problem)) from problem
    if outcome != "joined":
        raise AgentError(f"the broker has data of a cluster of its own ({outcome}): a human decides what becomes of it")
    return "joined the cluster of the other brokers"


def _grow(_arguments: Sequence[str], config: NodeConfig, _data: Mapping[str, Any]) -> str:
    try:
        grown = _member(config).grow()
    except (NoAnswer, Refused) as problem:
        raise AgentError(str(problem)) from problem
    return f"took a copy of {len(grown)} queues"


def _take_part(_arguments: Sequence[str], config: NodeConfig, _data: Mapping[str, Any]) -> str:
    try:
        _member(config).take_part()
    except (NoAnswer, Refused) as problem:
        raise AgentError(str(problem)) from problem
    return "the broker takes clients again"


def _unserved(config: NodeConfig, up: Up) -> tuple[str, ...]:
    return up.misses(config.name, SERVICE)


REPAIR = Repair(symptoms=symptoms, acts={JOIN: _join, GROW: _grow, TAKE_PART: _take_part}, unserved=_unserved)
