# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract of Redis: the instances ``cache`` and ``session``, and Sentinel."""

from __future__ import annotations

from pathlib import Path

from trivet.services.contract import Backend, Contract, Listen, Machines, Peer, Place, Port, Unit

CACHE_PORT = Port(
    name="redis_cache_port",
    default=6380,
    what="Redis instance `cache`",
    setting=True,
    listens=(Listen.NODE, Listen.LOCAL),
    peers=(Peer.NODE, Peer.CLIENT),
)
SESSION_PORT = Port(
    name="redis_session_port",
    default=6390,
    what="Redis instance `session`",
    setting=True,
    listens=(Listen.NODE, Listen.LOCAL),
    peers=(Peer.NODE, Peer.CLIENT),
)
SENTINEL_PORT = Port(
    name="redis_sentinel_port",
    default=26379,
    what="Sentinel; it calls the primaries `cache` and `session`",
    setting=True,
    listens=(Listen.NODE,),
    peers=(Peer.NODE,),
)
INSTANCES = {"cache": CACHE_PORT, "session": SESSION_PORT}
"""The port of each instance."""

DATA_DIRECTORY = Place(
    name="redis_directory",
    default=Path("/var/lib/redis"),
    what="`<instance>/redis.conf` and `sentinel/sentinel.conf`: files that Redis and Sentinel own, written once; data",
)
SETTINGS_DIRECTORY = Place(
    name="redis_settings_directory", default=Path("/etc/redis/trivet"), what="settings of Ansible for each instance"
)
NOMINATION_DIRECTORY = Place(
    name="redis_nomination_directory",
    default=Path("/var/lib/trivet/nomination"),
    what="a file of an instance's name: Sentinel was told whom to promote, JSON: owner, since, expires",
)
PRIMARY_ROLE = "redis_primary"
"""What the agent check of a primary asks about: no drain is about it, there is no other to send to."""


def _primary(instance: str, servers: Port, local: int, hold: int) -> Backend:
    return Backend(
        name=f"redis_{instance}_primary",
        servers=servers,
        asks=PRIMARY_ROLE,
        chooses="the one whose `INFO replication` says `role:master` (and, with three nodes, at least one replica)",
        local=Port(
            name=f"redis_{instance}_primary_port",
            default=local,
            what=f"HAProxy → Redis {instance} primary",
            listens=(Listen.LOCAL,),
        ),
        hold=Port(
            name=f"redis_{instance}_primary_hold_port",
            default=hold,
            what=f"agent: hold port of the {instance} primary",
            listens=(Listen.LOCAL,),
        ),
    )


def _replica(instance: str, servers: Port, local: int) -> Backend:
    return Backend(
        name=f"redis_{instance}_replica",
        servers=servers,
        asks="redis",
        chooses="those with `master_link_status:up`; without any, the primary",
        local=Port(
            name=f"redis_{instance}_replica_port",
            default=local,
            what=f"HAProxy → Redis {instance} replica",
            listens=(Listen.LOCAL,),
        ),
    )


CONTRACT = Contract(
    service="redis",
    units=(Unit(name="redis-cache"), Unit(name="redis-session"), Unit(name="redis-sentinel", machines=Machines.QUORUM)),
    ports=(CACHE_PORT, SESSION_PORT, SENTINEL_PORT),
    places=(DATA_DIRECTORY, SETTINGS_DIRECTORY, NOMINATION_DIRECTORY),
    backends=(
        _primary("cache", CACHE_PORT, local=6370, hold=6369),
        _replica("cache", CACHE_PORT, local=6371),
        _primary("session", SESSION_PORT, local=6372, hold=6368),
        _replica("session", SESSION_PORT, local=6373),
    ),
    drainable=True,
)
