# SPDX-License-Identifier: GPL-3.0-or-later
"""An instance or a Sentinel that does not run or does not answer, and a second primary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from trivet.health.config import NodeConfig
from trivet.health.external import Deadline, NoAnswer
from trivet.health.facts import NodeFacts
from trivet.node.errors import AgentError
from trivet.node.repair import Question, Repair, Up
from trivet.node.symptom import OUTAGE_LOOKS, Remedy, Symptom, View, hung, stopped
from trivet.services.redis import fresh_copy
from trivet.services.redis.collect import RedisClient, RedisRefusal, parse_instance
from trivet.services.redis.contract import INSTANCES, SENTINEL_PORT
from trivet.services.redis.facts import RedisFacts, RedisInstance, SentinelView

FOLLOW = "follow"
"""Make an instance a replica."""
FRESH_COPY = "fresh copy"
"""Set the damaged files of a replica aside, and have it take a whole copy from its primary."""
CALL_SECONDS = 3.0


def symptoms(view: View) -> Iterator[Symptom]:
    """What is wrong with this node's instances and its Sentinel."""
    units = tuple(f"redis-{name}" for name in INSTANCES)
    yield from stopped(view, "redis", units)
    for name, unit in zip(INSTANCES, units, strict=True):
        instance = _instance(view.own, name)
        yield from hung(view, "redis", (unit,), instance.error, partial(_serves_redis, name=name))
        if primary := _other_primary(view, name):
            yield Symptom(
                service="redis",
                subject=name,
                problem="second primary",
                reason=f"{name} calls itself primary here, and most Sentinels name {primary}",
                looks=OUTAGE_LOOKS,
                remedy=Remedy(FOLLOW, (name, primary)),
            )
    if "redis-sentinel" in view.config.units:
        yield from stopped(view, "redis", ("redis-sentinel",))
        errors = [_sentinel(view.own, name).error for name in INSTANCES]
        if all(errors):
            yield from hung(view, "redis", ("redis-sentinel",), errors[0], _serves_sentinel)


def _instance(facts: NodeFacts, name: str) -> RedisInstance:
    missing = RedisInstance(error=facts.of(RedisFacts).error or "its facts are missing")
    return facts.of(RedisFacts).instances.get(name, missing) if facts.of(RedisFacts).error is None else missing


def _sentinel(facts: NodeFacts, name: str) -> SentinelView:
    missing = SentinelView(error=facts.of(RedisFacts).error or "its facts are missing")
    return facts.of(RedisFacts).sentinels.get(name, missing) if facts.of(RedisFacts).error is None else missing


def _serves_redis(facts: NodeFacts, name: str) -> bool:
    instance = _instance(facts, name)
    return instance.error is None and not instance.loading


def _serves_sentinel(facts: NodeFacts) -> bool:
    return any(_sentinel(facts, name).error is None for name in INSTANCES)


def _other_primary(view: View, name: str) -> str | None:
    """The address that this node's instance must follow: a majority of all Sentinels names it, and it is a primary.

    None while a failover is under way, or the Sentinels do not say.
    """
    own = _instance(view.own, name)
    if own.error is not None or own.role != "master" or own.loading:
        return None
    return _named_primary(view, name)


def _named_primary(view: View, name: str) -> str | None:
    """The address of another node that a majority of all Sentinels names as primary, and that is one."""
    views = [said for facts in view.heard.values() if (said := _sentinel(facts, name)).error is None]
    failing_over = any(said.tilt or said.failover_state not in ("none", "no-failover", "") for said in views)
    failing_over |= any("failover_in_progress" in said.flags for said in views)
    failing_over |= any(_instance(facts, name).failover_state != "no-failover" for facts in view.heard.values())
    if failing_over:
        return None
    for member in view.config.members:
        votes = sum(said.address == member.address for said in views)
        peer = view.peers.get(member.name)
        if peer is not None and votes * 2 > len(view.config.members) and _is_primary(peer, name):
            return member.address
    return None


def _is_primary(facts: NodeFacts, name: str) -> bool:
    instance = _instance(facts, name)
    return instance.error is None and instance.role == "master" and not instance.loading


def _follow(arguments: Sequence[str], config: NodeConfig, _data: Mapping[str, Any]) -> str:
    name, primary = arguments
    port = config.terms[INSTANCES[name]]
    deadline = Deadline(CALL_SECONDS)
    try:
        with RedisClient(primary, port, config.redis_password, deadline) as client:
            if parse_instance(client.text("INFO")).role != "master":
                raise AgentError(f"{primary} is no primary of {name} any more")
        with RedisClient(config.address, port, config.redis_password, deadline) as client:
            client.ask("REPLICAOF", primary, str(port))
            client.ask("CONFIG", "REWRITE")
    except (NoAnswer, RedisRefusal) as problem:
        raise AgentError(f"{name}: {problem}") from problem
    return f"{name} follows {primary}"


def _fresh_copy(arguments: Sequence[str], config: NodeConfig, _data: Mapping[str, Any]) -> str:
    name, primary = arguments
    return fresh_copy.take_anew(name, primary, config)


def _unserved(config: NodeConfig, up: Up) -> tuple[str, ...]:
    """Instances that are neither primary nor replica here, and those of which not exactly one is primary."""
    missing = []
    for name in INSTANCES:
        primary, replica = f"redis_{name}_primary", f"redis_{name}_replica"
        primaries = [member.name for member in config.members if up.has(primary, member.name)]
        alone = not up.has(primary, config.name) and not up.has(replica, config.name)
        if alone or len(primaries) != 1:
            missing.append(f"redis-{name}")
    return tuple(missing)


def _after_falls(view: View, unit: str) -> Remedy | None:
    """A replica whose files are damaged has all it needs on its primary; nothing else that falls can be helped."""
    name = unit.removeprefix("redis-")
    primary = _named_primary(view, name) if name in INSTANCES else None
    return None if primary is None else Remedy(FRESH_COPY, (name, primary))


def _pulse(config: NodeConfig, deadline: Deadline) -> Mapping[str, Question]:
    if "redis-sentinel" not in config.units:
        return {}
    return {"pulse of the Sentinel": lambda: () if sentinel_answers(config, deadline) else ("redis-sentinel",)}


def sentinel_answers(config: NodeConfig, deadline: Deadline) -> bool:
    """Whether this node's Sentinel reacts; nobody else asks it all the time.

    Raises:
        NoAnswer: nobody listens, or there is no answer in time.
    """
    try:
        with RedisClient(config.address, config.terms[SENTINEL_PORT], config.redis_password, deadline) as client:
            return client.ask("PING") == "PONG"
    except RedisRefusal:
        return False


REPAIR = Repair(
    symptoms=symptoms,
    acts={FOLLOW: _follow, FRESH_COPY: _fresh_copy},
    pulse=_pulse,
    unserved=_unserved,
    after_falls=_after_falls,
)
