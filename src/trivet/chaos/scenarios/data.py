# SPDX-License-Identifier: GPL-3.0-or-later
"""State on a disk or in a cluster that contradicts itself."""

from __future__ import annotations

from collections.abc import Iterator

from trivet.chaos.scenario import Act, Aim, Ground, Scenario, Where
from trivet.services.database.contract import DATA_DIRECTORY
from trivet.services.files.contract import BRICK, MOUNT, VOLUME
from trivet.services.host.contract import NODE_FILE
from trivet.services.redis.contract import DATA_DIRECTORY as REDIS_DIRECTORY
from trivet.services.redis.contract import INSTANCES

GROUP = "data"
REJOIN_SECONDS = 300.0
DATABASE = DATA_DIRECTORY.default
SESSION_LOG = REDIS_DIRECTORY.default / "session/appendonlydir"
SPLIT_FILE = "var/trivet-chaos-split-brain"
SPLIT_SECONDS = 30.0

KILL_DATABASE = """\
systemctl kill --signal=KILL --kill-whom=main mariadb
tries=0
while pidof mariadbd >/dev/null && [ $tries -lt 50 ]; do tries=$((tries + 1)); sleep 0.1; done
"""
NO_POSITION = f"rm -f {DATABASE}/grastate.dat {DATABASE}/gvwstate.dat {DATABASE}/galera.cache\n"
# What a transfer leaves that was killed with its machine: the mark, and the number of a process that is no more.
STALE_TRANSFER = f"""\
sleep 0 & dead=$!; wait $dead
for file in sst_in_progress wsrep_sst.pid; do
    echo $dead >{DATABASE}/$file && chown mysql:mysql {DATABASE}/$file
done
"""

# systemd waits for some seconds before it starts it again.
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

# On each brick another content and the claim that the two other copies are behind: no copy is innocent, no two agree.
SPLIT = """\
import os, struct, sys
volume, brick, name, number = *sys.argv[1:4], int(sys.argv[4])
path = os.path.join(brick, name)
with open(path, "r+b") as file:
    file.truncate(0)
    file.write(b"copy %d\\n" % number * (number + 1))
for other in {0, 1, 2} - {number}:
    os.setxattr(path, f"trusted.afr.{volume}-client-{other}", struct.pack(">3I", 1, 0, 0))
gfid = os.getxattr(path, "trusted.gfid").hex()
parts = gfid[:8], gfid[8:12], gfid[12:16], gfid[16:20], gfid[20:]
index = os.path.join(brick, ".glusterfs/indices/xattrop")
open(os.path.join(index, "-".join(parts)), "a").close()
"""


def scenarios() -> Iterator[Scenario]:
    """Galera's state file, a stale mark of a transfer, two primaries of each Redis, a damaged copy, a split-brain."""
    yield Scenario(
        "galera-state-corrupted",
        GROUP,
        f"MariaDB of {Where.READER} killed, its grastate.dat overwritten with noise",
        Where.READER,
        _on_the_victim(KILL_DATABASE + f"head -c 512 /dev/urandom >{DATABASE}/grastate.dat"),
        limit=REJOIN_SECONDS,
        mend=_mend_database,
    )
    yield Scenario(
        "galera-stale-transfer",
        GROUP,
        f"MariaDB of {Where.READER} killed, its position lost, the marks of a dead state transfer left",
        Where.READER,
        _on_the_victim(KILL_DATABASE + NO_POSITION + STALE_TRANSFER),
        limit=REJOIN_SECONDS,
        mend=_mend_database,
    )
    for instance, where in (("cache", Where.CACHE_REPLICA), ("session", Where.SESSION_REPLICA)):
        yield Scenario(
            f"redis-{instance}-two-primaries",
            GROUP,
            f"{where} made a second primary behind Sentinel's back, with writes of its own",
            where,
            _second_primary(instance),
            mend=_restart(f"redis-{instance}"),
        )
    yield Scenario(
        "redis-session-damaged",
        GROUP,
        f"{Where.SESSION_REPLICA} killed, its append-only file overwritten with noise",
        Where.SESSION_REPLICA,
        _on_the_victim(DAMAGE_SESSION),
        # A whole copy of what the primary holds.
        mend=_on_the_victim(MEND_SESSION),
    )
    yield Scenario(
        "files-split-brain",
        GROUP,
        "a file with another content on every brick, each of which blames the others",
        Where.ALL,
        _split,
        limit=SPLIT_SECONDS,
        mend=_choose,
        human=True,
    )


def _on_the_victim(script: str) -> Act:
    def act(ground: Ground, aim: Aim) -> None:
        ground.on(aim.victim, script)

    return act


def _mend_database(ground: Ground, aim: Aim) -> None:
    marks = f"rm -f {DATABASE}/sst_in_progress {DATABASE}/wsrep_sst.pid {DATABASE}/grastate.dat"
    ground.on(aim.victim, f"systemctl stop mariadb; {marks}; systemctl start mariadb", seconds=REJOIN_SECONDS)


def _second_primary(instance: str) -> Act:
    password = f"""python3 -c 'import json; print(json.load(open("{NODE_FILE.default}"))["redis_password"])'"""

    def act(ground: Ground, aim: Aim) -> None:
        port = ground.terms[INSTANCES[instance]]
        script = (
            f"export REDISCLI_AUTH=$({password})\n"
            f"redis-cli -p {port} REPLICAOF NO ONE\n"
            f"for number in 1 2 3 4 5; do redis-cli -p {port} SET trivet:chaos:$number x EX 600; done"
        )
        ground.on(aim.victim, script)

    return act


def _restart(unit: str) -> Act:
    def act(ground: Ground, aim: Aim) -> None:
        ground.on(aim.victim, f"systemctl restart {unit}")

    return act


def _split(ground: Ground, aim: Aim) -> None:
    ground.on(aim.victim, f"echo same >{ground.terms[MOUNT]}/{SPLIT_FILE}")
    for number, node in enumerate(aim.victims):
        words = f"{ground.terms[VOLUME]} {ground.terms[BRICK]} {SPLIT_FILE} {number}"
        ground.on(node, f"python3 - {words} <<'END'\n{SPLIT}END")


def _choose(ground: Ground, aim: Aim) -> None:
    volume = ground.terms[VOLUME]
    ground.on(
        aim.victim,
        f"brick=$(gluster volume info {volume} | sed -n 's/^Brick1: //p')\n"
        f'gluster volume heal {volume} split-brain source-brick "$brick" /{SPLIT_FILE}\n'
        f"rm -f {ground.terms[MOUNT]}/{SPLIT_FILE}",
    )
