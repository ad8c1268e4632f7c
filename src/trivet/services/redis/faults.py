# SPDX-License-Identifier: GPL-3.0-or-later
"""How Redis and Sentinel are broken, and who is primary."""

from __future__ import annotations

from collections.abc import Iterator

from trivet.chaos.faults import DATA, Daemon, Faults, script
from trivet.chaos.scenario import Act, Aim, Goal, Ground, Scenario, Where
from trivet.services.host.contract import NODE_FILE
from trivet.services.redis.contract import DATA_DIRECTORY, INSTANCES

# systemd waits for some seconds before it starts it again.
SESSION_LOG = DATA_DIRECTORY.default / "session/appendonlydir"
DAMAGE_SESSION = f"""\
systemctl kill --signal=KILL redis-session
for file in {SESSION_LOG}/*.incr.aof; do
    for line in 1 2 3 4 5 6 7 8; do echo "noise that is no command"; done >"$file"
done
"""
MEND_SESSION = f"""\
systemctl stop redis-session
rm -rf {SESSION_LOG}
systemctl start redis-session
"""


def damages() -> Iterator[Scenario]:
    """Two primaries of each instance, and a damaged copy."""
    for instance, where in (("cache", Where.CACHE_REPLICA), ("session", Where.SESSION_REPLICA)):
        yield Scenario(
            f"redis-{instance}-two-primaries",
            DATA,
            f"{where} made a second primary behind Sentinel's back, with writes of its own",
            where,
            _second_primary(instance),
            mend=script(f"systemctl restart redis-{instance}"),
        )
    yield Scenario(
        "redis-session-damaged",
        DATA,
        f"{Where.SESSION_REPLICA} killed, its append-only file overwritten with noise",
        Where.SESSION_REPLICA,
        script(DAMAGE_SESSION),
        # A whole copy of what the primary holds.
        mend=script(MEND_SESSION),
    )


def _second_primary(instance: str) -> Act:
    password = f"""python3 -c 'import json; print(json.load(open("{NODE_FILE.default}"))["redis_password"])'"""

    def act(ground: Ground, aim: Aim) -> None:
        port = ground.terms[INSTANCES[instance]]
        writes = (
            f"export REDISCLI_AUTH=$({password})\n"
            f"redis-cli -p {port} REPLICAOF NO ONE\n"
            f"for number in 1 2 3 4 5; do redis-cli -p {port} SET trivet:chaos:$number x EX 600; done"
        )
        ground.on(aim.victim, writes)

    return act


FAULTS = Faults(
    daemons=(
        Daemon("redis-cache", "Redis cache", "redis-cache.service", Where.CACHE_PRIMARY, Goal(gap=3)),
        Daemon("redis-session", "Redis session", "redis-session.service", Where.SESSION_PRIMARY, Goal(gap=3)),
        Daemon("sentinel", "Redis Sentinel", "redis-sentinel.service"),
    ),
    damages=damages,
)
