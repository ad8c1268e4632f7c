# SPDX-License-Identifier: GPL-3.0-or-later
"""One service of one node is killed, stops answering, is stopped, or is stopped for good.

Nobody but the node itself and its agents starts it again: the suite only waits, and enables what it has disabled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from trivet.chaos.faults import FROZEN_SECONDS, SERVICES, STOPPED_SECONDS, Daemon, Faults
from trivet.chaos.scenario import Act, Aim, Goal, Ground, Scenario, possible
from trivet.services.parts import parts

GROUP = SERVICES


KINDS = ("kill", "freeze", "stop", "disable")


ORDER = ("web", "proxy", "gateway", "database", "redis", "search", "rabbitmq", "files", "host")


def scenarios() -> Iterator[Scenario]:
    """Every kind for every unit of a service, and for the processes that have none."""
    faults = parts("faults", Faults)
    for service in ORDER:
        for daemon in faults[service].daemons:
            yield from _of_daemon(daemon)
    for service in ORDER:
        yield from faults[service].processes()


def _of_daemon(daemon: Daemon) -> Iterator[Scenario]:
    def scenario(
        kind: str, words: str, inject: Act, undo: Act | None = None, lasts: float = 0.0, goal: Goal = daemon.goal
    ) -> Scenario:
        sentence = f"{words} {daemon.title} on {daemon.where}"
        return Scenario(
            name=f"{kind}-{daemon.name}", group=GROUP, sentence=sentence, where=daemon.where, inject=inject,
            undo=undo, lasts=lasts, limit=daemon.limit, mend=_mend(daemon), goal=goal,
            obstacle=_absent(daemon),
        )  # fmt: skip

    yield scenario("kill", "kill -9 of", _unit(daemon, "systemctl kill --signal=KILL --kill-whom=main $unit"))
    whom = "all" if daemon.whole else "main"
    yield scenario(
        "freeze",
        "SIGSTOP of",
        _unit(daemon, f"systemctl kill --signal=STOP --kill-whom={whom} $unit"),
        lasts=FROZEN_SECONDS,
        goal=Goal(),
    )
    yield scenario("stop", "stop of", _unit(daemon, "systemctl stop $unit"), lasts=STOPPED_SECONDS)
    yield scenario(
        "disable",
        "stop and disable of",
        _unit(daemon, "systemctl disable --quiet --now $unit"),
        _unit(daemon, "systemctl enable --quiet $unit"),
        STOPPED_SECONDS,
    )


def _absent(daemon: Daemon) -> Callable[[Ground], str | None]:
    """Why a lab cannot have the scenario: it may do without the service."""
    patterns = " ".join(f"'{pattern}'" for pattern in daemon.units.split())
    look = f"systemctl list-unit-files --plain --no-legend {patterns} || true"

    def obstacle(ground: Ground) -> str | None:
        return None if ground.on(ground.nodes[0], look).strip() else f"the lab has no {daemon.title}"

    return obstacle if daemon.optional else possible


def _unit(daemon: Daemon, command: str) -> Act:
    """A command about the service's unit, as ``$unit``."""
    patterns = " ".join(f"'{pattern}'" for pattern in daemon.units.split())
    script = (
        f"unit=$(systemctl list-unit-files --plain --no-legend {patterns} | sed -n '1s/ .*//p')\n"
        f'[ -n "$unit" ] || {{ echo "no unit {daemon.units}" >&2; exit 3; }}\n'
        f"{command}"
    )

    def act(ground: Ground, aim: Aim) -> None:
        ground.on(aim.victim, script, seconds=daemon.limit)

    return act


def _mend(daemon: Daemon) -> Act:
    return _unit(
        daemon,
        "systemctl kill --signal=CONT --kill-whom=all $unit 2>/dev/null; systemctl reset-failed $unit 2>/dev/null\n"
        "systemctl enable --quiet $unit && systemctl restart $unit",
    )
