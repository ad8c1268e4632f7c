# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is the primary of an instance of Redis. Pure."""

from __future__ import annotations

from trivet.health.facts import ClusterFacts, answering
from trivet.services.redis.facts import RedisFacts

SESSIONS_FIRST = ("session", "cache")
"""The order in which instances are handed over."""


def redis_primaries(facts: ClusterFacts, instance: str) -> tuple[str, ...]:
    """The nodes whose instance calls itself primary."""
    return tuple(
        name
        for name, node in answering(facts).items()
        if (redis := node.of(RedisFacts).instances.get(instance)) is not None
        and redis.error is None
        and redis.role == "master"
    )


def redis_primary(facts: ClusterFacts, instance: str) -> str | None:
    """The one primary of an instance, when no Sentinel that answers names another; else None."""
    primaries = redis_primaries(facts, instance)
    if len(primaries) != 1:
        return None
    node = answering(facts)[primaries[0]]
    believed = {
        view.address
        for other in answering(facts).values()
        if (view := other.of(RedisFacts).sentinels.get(instance)) is not None and view.error is None
    }
    return primaries[0] if believed <= {node.address} else None
