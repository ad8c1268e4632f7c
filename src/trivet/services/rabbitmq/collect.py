# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster as this node's broker sees it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trivet.health.collector import Collect
from trivet.health.config import NodeConfig
from trivet.health.external import Deadline, NoAnswer, NotRunning, unit_state
from trivet.services.rabbitmq import questions
from trivet.services.rabbitmq.broker import Broker, Refused
from trivet.services.rabbitmq.cluster import UNIT, broker_name
from trivet.services.rabbitmq.facts import Queues, RabbitmqFacts


def collect(config: NodeConfig, deadline: Deadline) -> RabbitmqFacts:
    """Gather the facts of the broker on this node."""
    unit = unit_state(f"{UNIT}.service", deadline)
    try:
        return parse(Broker(broker_name(config.name)).evaluate(questions.LOOK, deadline.call()), unit)
    except (NoAnswer, Refused) as problem:
        return RabbitmqFacts(error=str(problem), down=isinstance(problem, NotRunning), unit=unit)


def parse(said: Mapping[str, Any], unit: str) -> RabbitmqFacts:
    """Facts from the broker's answer; one that does not serve says little."""
    return RabbitmqFacts(
        unit=unit,
        up=said["up"] is True,
        members=tuple(sorted(said["members"])),
        running=tuple(sorted(said.get("running", ()))),
        partitions=tuple(sorted(said.get("partitions", ()))),
        alarms=tuple(sorted(set(said.get("alarms", ())))),
        maintenance=said.get("maintenance") is True,
        queues=int(said.get("queues", 0)),
        leaders=int(said.get("leaders", 0)),
        not_member=_queues(said, "not_member"),
        stopped=_queues(said, "stopped"),
        leaderless=_queues(said, "leaderless"),
        unsynchronised=_queues(said, "unsynchronised"),
    )


def _queues(said: Mapping[str, Any], name: str) -> Queues:
    told = said.get(name) or {}
    return Queues(count=int(told.get("count", 0)), names=tuple(sorted(told.get("names", ()))))


COLLECT = Collect(facts=RabbitmqFacts, full=collect, members_only=True)
