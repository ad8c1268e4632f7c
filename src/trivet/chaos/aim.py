# SPDX-License-Identifier: GPL-3.0-or-later
"""Which nodes a scenario strikes, by who holds what. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from trivet.chaos.scenario import Aim, Where
from trivet.errors import ChaosHalted
from trivet.health.facts import ClusterFacts
from trivet.services.database.roles import writer
from trivet.services.redis.roles import redis_primary


def aim_at(where: Where, nodes: Sequence[str], facts: ClusterFacts) -> Aim:
    """The nodes to strike. Where several would do, the one that holds fewest roles, and of these the last.

    :param nodes: the service nodes, by their ids.
    :raises ChaosHalted: nobody is known to hold the role that is meant.
    """
    if where is Where.ALL:
        return Aim(tuple(nodes), ())
    holders = {
        "writer": writer(facts),
        "cache": redis_primary(facts, "cache"),
        "session": redis_primary(facts, "session"),
    }
    victim = _victim(where, nodes, holders)
    if victim is None:
        raise ChaosHalted(f"it is not known which node is {where}")
    return Aim((victim,), tuple(node for node in nodes if node != victim))


def _victim(where: Where, nodes: Sequence[str], holders: dict[str, str | None]) -> str | None:
    meant = {Where.WRITER: "writer", Where.CACHE_PRIMARY: "cache", Where.SESSION_PRIMARY: "session"}
    if where in meant:
        return holders[meant[where]]
    spared = {Where.READER: "writer", Where.CACHE_REPLICA: "cache", Where.SESSION_REPLICA: "session"}
    if where in spared and holders[spared[where]] is None:
        return None
    left = [node for node in nodes if where not in spared or node != holders[spared[where]]]
    roles = list(holders.values())
    return min(reversed(left), key=roles.count)
