# SPDX-License-Identifier: GPL-3.0-or-later
"""How MariaDB is broken, and its state."""

from __future__ import annotations

from collections.abc import Iterator

from trivet.chaos.faults import DATA, NO_FAILURE, Daemon, Faults, script
from trivet.chaos.scenario import Aim, Goal, Ground, Scenario, Where
from trivet.services.database.contract import DATA_DIRECTORY

REJOIN_SECONDS = 300.0
DATABASE = DATA_DIRECTORY.default
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


def damages() -> Iterator[Scenario]:
    """Galera's state file, and a stale mark of a transfer."""
    yield Scenario(
        "galera-state-corrupted",
        DATA,
        f"MariaDB of {Where.READER} killed, its grastate.dat overwritten with noise",
        Where.READER,
        script(KILL_DATABASE + f"head -c 512 /dev/urandom >{DATABASE}/grastate.dat"),
        limit=REJOIN_SECONDS,
        mend=_mend_database,
    )
    yield Scenario(
        "galera-stale-transfer",
        DATA,
        f"MariaDB of {Where.READER} killed, its position lost, the marks of a dead state transfer left",
        Where.READER,
        script(KILL_DATABASE + NO_POSITION + STALE_TRANSFER),
        limit=REJOIN_SECONDS,
        mend=_mend_database,
    )


def _mend_database(ground: Ground, aim: Aim) -> None:
    marks = f"rm -f {DATABASE}/sst_in_progress {DATABASE}/wsrep_sst.pid {DATABASE}/grastate.dat"
    ground.on(aim.victim, f"systemctl stop mariadb; {marks}; systemctl start mariadb", seconds=REJOIN_SECONDS)


FAULTS = Faults(
    daemons=(
        Daemon("mariadb-reader", "MariaDB", "mariadb.service", Where.READER, NO_FAILURE, limit=240),
        Daemon("mariadb-writer", "MariaDB", "mariadb.service", Where.WRITER, Goal(gap=1), limit=240),
    ),
    damages=damages,
)
