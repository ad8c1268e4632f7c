# SPDX-License-Identifier: GPL-3.0-or-later
"""Redis in a node's turn: its primaries move while new connections are held, and none is stopped."""

from __future__ import annotations

from trivet.errors import RemoteError
from trivet.rotation.turn import ClientCommands, OnTurn, Turn
from trivet.services.redis.roles import SESSIONS_FIRST


def hand_over(on: OnTurn) -> None:
    """Have another node be the primary of each instance, where this one is."""
    for instance in SESSIONS_FIRST:
        seen = on.agent("redis", "status")["instances"][instance]
        if seen["role"] == "master":
            _move(on, instance)
        elif primary := next((other for other in on.others if other.address == seen["primary_address"]), None):
            # A hand-over that was broken off may not have come to its end; at once where it has.
            _settle(on, instance, primary.name)


def hand_over_late(on: OnTurn) -> None:
    """Hand over the primaries that Sentinel gave the node while it was drained, since another one died.

    A node that says nothing of its Redis is left to the playbook, which refuses to stop a primary.
    """
    try:
        instances = on.agent("redis", "status")["instances"]
    except RemoteError:
        return
    for instance in SESSIONS_FIRST:
        if instances[instance]["role"] == "master":
            _move(on, instance)


def _move(on: OnTurn, instance: str) -> None:
    on.tell(f"handing over the Redis primary of {instance}")
    clients = ClientCommands("redis", (instance,))
    new = on.uncut(clients, lambda newest: _moved(on, instance, clients, newest))
    _settle(on, instance, new)


def _moved(on: OnTurn, instance: str, clients: ClientCommands, newest: int) -> str:
    """Hand the primary over once; the node that has it then."""
    # While nobody is held yet: Sentinel takes longer to choose than Redis to hand over.
    chosen = str(on.agent("redis", "nominate", instance, "--owner", on.owner, timeout=60)["to"])
    failover = ("redis", "failover", instance, "--to", chosen)
    return on.held(f"redis_{instance}_primary", lambda: str(on.agent(*failover, timeout=60)["to"]), clients, newest)


def _let_go(on: OnTurn) -> None:
    """Close idle connections to the replicas."""
    for instance in SESSIONS_FIRST:
        on.let_go(ClientCommands("redis", (instance,)))


def _settle(on: OnTurn, instance: str, primary: str) -> None:
    """Wait until every Sentinel and every replica have taken the primary in, and have all keep their roles."""
    on.agent("redis", "settled", instance, "--primary", primary, timeout=60)


# A replica is down as a primary and a primary down as a replica: whether a node is used follows from the role.
TURN = Turn(
    sessions=("redis",),
    hand_over=hand_over,
    drained_in=("redis_cache_replica", "redis_session_replica"),
    let_go=_let_go,
    before_stop=hand_over_late,
)
