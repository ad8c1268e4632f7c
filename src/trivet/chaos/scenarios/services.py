# SPDX-License-Identifier: GPL-3.0-or-later
"""One service of one node is killed, stops answering, is stopped, or is stopped for good.

Nobody but the node itself and its agents starts it again: the suite only waits, and enables what it has disabled.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from trivet.chaos.scenario import Act, Aim, Goal, Ground, Scenario, Where, possible
from trivet.services.files.collect import RUN_DIRECTORY
from trivet.services.files.contract import VOLUME

GROUP = "services"
FROZEN_SECONDS = 20.0
"""Until then every verdict has seen it: before that, a healthy one says nothing."""
STOPPED_SECONDS = 20.0
KINDS = ("kill", "freeze", "stop", "disable")
NO_FAILURE = Goal(failed=0)


@dataclass(frozen=True, slots=True)
class Service:
    """A service as systemd knows it.

    :param name: as scenarios are called after it.
    :param units: patterns of its unit, of which the first that the node has is meant.
    :param goal: of a kill or a stop; a process that hangs has no goal beside the orders.
    :param whole: whether all processes of the unit are its own, and are frozen with it.
    :param limit: seconds that it may take until the verdict is healthy.
    """

    name: str
    title: str
    units: str
    where: Where = Where.QUIET
    goal: Goal = field(default_factory=Goal)
    whole: bool = True
    limit: float = 120.0


SERVICES = (
    Service("nginx", "nginx", "nginx.service", goal=NO_FAILURE),
    Service("php-fpm", "PHP-FPM", "php*-fpm.service", goal=NO_FAILURE),
    Service("haproxy", "HAProxy", "haproxy.service"),
    Service("keepalived", "keepalived", "keepalived.service"),
    Service("mariadb-reader", "MariaDB", "mariadb.service", Where.READER, NO_FAILURE, limit=240),
    Service("mariadb-writer", "MariaDB", "mariadb.service", Where.WRITER, Goal(gap=1), limit=240),
    Service("redis-cache", "Redis cache", "redis-cache.service", Where.CACHE_PRIMARY, Goal(gap=3)),
    Service("redis-session", "Redis session", "redis-session.service", Where.SESSION_PRIMARY, Goal(gap=3)),
    Service("sentinel", "Redis Sentinel", "redis-sentinel.service"),
    Service(
        "search", "the search engine", "opensearch.service elasticsearch.service", goal=NO_FAILURE, limit=300
    ),
    # The bricks live in its control group, and live on without it.
    Service("glusterd", "GlusterFS' management daemon", "glusterd.service", whole=False),
    Service("mount", "the mount of the shared files", "trivet-shared.service"),
    Service("agent", "the agent", "trivet-agent.service"),
)  # fmt: skip


def _brick_pids(ground: Ground) -> str:
    return f"{RUN_DIRECTORY}/vols/{ground.terms[VOLUME]}/*.pid"


def scenarios() -> Iterator[Scenario]:
    """Every kind for every service; a brick has no unit, and so has acts of its own."""
    for service in SERVICES:
        yield from _of_service(service)
    yield from _of_brick()


def _of_service(service: Service) -> Iterator[Scenario]:
    def scenario(
        kind: str, words: str, inject: Act, undo: Act | None = None, lasts: float = 0.0, goal: Goal = service.goal
    ) -> Scenario:
        sentence = f"{words} {service.title} on {service.where}"
        return Scenario(
            name=f"{kind}-{service.name}", group=GROUP, sentence=sentence, where=service.where, inject=inject,
            undo=undo, lasts=lasts, limit=service.limit, mend=_mend(service), goal=goal,
        )  # fmt: skip

    yield scenario("kill", "kill -9 of", _unit(service, "systemctl kill --signal=KILL --kill-whom=main $unit"))
    whom = "all" if service.whole else "main"
    yield scenario(
        "freeze",
        "SIGSTOP of",
        _unit(service, f"systemctl kill --signal=STOP --kill-whom={whom} $unit"),
        lasts=FROZEN_SECONDS,
        goal=Goal(),
    )
    yield scenario("stop", "stop of", _unit(service, "systemctl stop $unit"), lasts=STOPPED_SECONDS)
    yield scenario(
        "disable",
        "stop and disable of",
        _unit(service, "systemctl disable --quiet --now $unit"),
        _unit(service, "systemctl enable --quiet $unit"),
        STOPPED_SECONDS,
    )


def _unit(service: Service, command: str) -> Act:
    """A command about the service's unit, as ``$unit``."""
    patterns = " ".join(f"'{pattern}'" for pattern in service.units.split())
    script = (
        f"unit=$(systemctl list-unit-files --plain --no-legend {patterns} | sed -n '1s/ .*//p')\n"
        f'[ -n "$unit" ] || {{ echo "no unit {service.units}" >&2; exit 3; }}\n'
        f"{command}"
    )

    def act(ground: Ground, aim: Aim) -> None:
        ground.on(aim.victim, script, seconds=service.limit)

    return act


def _mend(service: Service) -> Act:
    return _unit(
        service,
        "systemctl kill --signal=CONT --kill-whom=all $unit 2>/dev/null; systemctl reset-failed $unit 2>/dev/null\n"
        "systemctl enable --quiet $unit && systemctl restart $unit",
    )


def _of_brick() -> Iterator[Scenario]:
    def scenario(kind: str, words: str, inject: Act, lasts: float = 0.0) -> Scenario:
        sentence = f"{words} the brick of {Where.QUIET}"
        return Scenario(
            name=f"{kind}-brick", group=GROUP, sentence=sentence, where=Where.QUIET, inject=inject,
            lasts=lasts, mend=_brick_starts, obstacle=_no_unit if kind == "disable" else possible,
        )  # fmt: skip

    yield scenario("kill", "kill -9 of", _brick("KILL"))
    yield scenario("freeze", "SIGSTOP of", _brick("STOP"), FROZEN_SECONDS)
    yield scenario("stop", "stop of", _brick("TERM"), STOPPED_SECONDS)
    yield scenario("disable", "stop and disable of", _brick("TERM"))


def _brick(signal: str) -> Act:
    def act(ground: Ground, aim: Aim) -> None:
        # By its pid file: other system containers of the machine have bricks of the same name.
        ground.on(aim.victim, f"for file in {_brick_pids(ground)}; do kill -{signal} $(cat $file) || true; done")

    return act


def _brick_starts(ground: Ground, aim: Aim) -> None:
    ground.on(aim.victim, f"for file in {_brick_pids(ground)}; do kill -CONT $(cat $file) 2>/dev/null; done; true")
    ground.on(aim.victim, f"gluster volume start {ground.terms[VOLUME]} force")


def _no_unit(_ground: Ground) -> str | None:
    return "a brick has no unit that could be disabled: glusterd starts it"
