# SPDX-License-Identifier: GPL-3.0-or-later
"""The database is down on every node while the machines run: nobody is left whom a member could join."""

from __future__ import annotations

from collections.abc import Iterator

from trivet.chaos.scenario import Aim, Goal, Ground, Scenario, Where
from trivet.services.database.contract import DATA_DIRECTORY

GROUP = "outage"
STOP_SECONDS = 120.0
RECOVERY_SECONDS = 300.0
CLOSED_SECONDS = 60.0
WITHOUT_HUMAN = Goal(order_gap=90)

# Without the saved view the members do not find each other by themselves (pc.recovery): the agents must elect one.
KILL_AND_FORGET = f"""\
systemctl kill --signal=KILL --kill-whom=main mariadb
rm -f {DATA_DIRECTORY.default}/gvwstate.dat
"""


def scenarios() -> Iterator[Scenario]:
    """Stopped in order, killed at once, and stopped while one machine is missing."""
    yield Scenario(
        "galera-all-stopped",
        GROUP,
        "MariaDB of all three nodes stopped, one after the other",
        Where.ALL,
        _stop_all,
        limit=RECOVERY_SECONDS,
        mend=_begin_anew,
        goal=WITHOUT_HUMAN,
    )
    yield Scenario(
        "galera-all-killed",
        GROUP,
        "MariaDB of all three nodes killed, their saved view lost",
        Where.ALL,
        _kill_all,
        limit=RECOVERY_SECONDS,
        mend=_begin_anew,
        goal=WITHOUT_HUMAN,
    )
    yield Scenario(
        "galera-member-missing",
        GROUP,
        "one machine's power cut for good, then MariaDB of the two others stopped",
        Where.ALL,
        _stop_without_the_last,
        limit=CLOSED_SECONDS,
        mend=_power_on,
        human=True,
    )


def _stop_all(ground: Ground, aim: Aim) -> None:
    for node in aim.victims:
        ground.on(node, "systemctl stop mariadb", seconds=STOP_SECONDS)


def _kill_all(ground: Ground, aim: Aim) -> None:
    for node in aim.victims:
        ground.on(node, KILL_AND_FORGET)


def _stop_without_the_last(ground: Ground, aim: Aim) -> None:
    *others, last = aim.victims
    ground.power_off([last])
    for node in others:
        ground.on(node, "systemctl stop mariadb", seconds=STOP_SECONDS)


def _power_on(ground: Ground, aim: Aim) -> None:
    """With the missing member all have reported, and the agents do the rest."""
    ground.power_on(aim.victims)


def _begin_anew(ground: Ground, aim: Aim) -> None:
    """End every server that is left, however it hangs: the agents begin anew, with all positions known."""
    for node in aim.victims:
        ground.on(node, "systemctl kill --signal=KILL mariadb; systemctl stop mariadb", seconds=STOP_SECONDS)
