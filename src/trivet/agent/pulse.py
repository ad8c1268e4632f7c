# SPDX-License-Identifier: GPL-3.0-or-later
"""A cheap look: is there anything that a thorough look should see?

A whole collection starts a dozen programs, of which GlusterFS' heal report connects to every brick. A node that is well
should not pay for that every few seconds. This starts nothing, and has no service asked once more: HAProxy checks them
all every second, in their own protocols, and says in one answer what it found. What this finds may be nothing (a
primary that is handed over just now); what it does not see is left to the next thorough look.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from trivet.agent.symptoms import REPAIRS
from trivet.health.config import HAPROXY_SOCKET, NodeConfig
from trivet.health.external import Deadline, NoAnswer, unix_dialogue
from trivet.health.parallel import together
from trivet.node.repair import Question, Up
from trivet.services.proxy.haproxy import Server, parse_stat, stat_command

SECONDS = 2.0
SYSTEM_SLICES = (Path("/sys/fs/cgroup/system.slice"), Path("/sys/fs/cgroup/systemd/system.slice"))
"""Where systemd keeps the control groups of services; the second where the kernel has hierarchies of version 1, too."""
PHP_FPM = "php-fpm"


STARTED = tuple(path for repair in REPAIRS.values() for path in repair.written_at_start)


def silent(config: NodeConfig) -> tuple[str, ...]:
    """What is not as it should be; empty on a node that is well. Takes at most 2 s."""
    deadline = Deadline(SECONDS)
    answers = together(questions(config, deadline), deadline.left())
    found = ((name,) if isinstance(answer, NoAnswer) else answer for name, answer in answers.items())
    return tuple(sorted(thing for things in found for thing in things))


def questions(config: NodeConfig, deadline: Deadline) -> dict[str, Question]:
    """The questions, by a name that nobody else gives a question of this process."""
    asked: dict[str, Question] = {
        "pulse of the units": lambda: without_processes(config.units),
        "pulse of the proxies": lambda: unserved(config, servers(deadline)),
    }
    for repair in REPAIRS.values():
        asked |= repair.pulse(config, deadline)
    return asked


def without_processes(units: tuple[str, ...], slices: tuple[Path, ...] = SYSTEM_SLICES) -> tuple[str, ...]:
    """Units whose control group has no process; systemd removes the group of a unit that ends."""
    return tuple(unit for unit in units if not any(_has_process(folder, unit) for folder in slices))


def runs(units: tuple[str, ...], slices: tuple[Path, ...] = SYSTEM_SLICES) -> dict[str, int]:
    """What changes with every start of a unit, by the path that it was read from: systemd makes a control group for it.

    Where a unit's group outlives it, it is a file that the unit writes anew.
    """
    seen: dict[str, int] = {}
    for path in (*STARTED, *(group for folder in slices for unit in units for group in _groups(folder, unit))):
        with contextlib.suppress(OSError):
            status = path.stat()
            seen[str(path)] = status.st_mtime_ns if path in STARTED else status.st_ino
    return seen


def _groups(folder: Path, unit: str) -> Iterable[Path]:
    if unit != PHP_FPM:
        return (folder / f"{unit}.service",)
    return (path for pattern in ("php*-fpm.service", "trivet-app@*.service") for path in folder.glob(pattern))


def _has_process(folder: Path, unit: str) -> bool:
    for group in _groups(folder, unit):
        try:
            if (group / "cgroup.procs").read_bytes():
                return True
        except OSError:
            continue
    return False


def servers(deadline: Deadline) -> list[Server]:
    """All servers of this node's HAProxy.

    Raises:
        NoAnswer: HAProxy does not say.
    """
    return parse_stat(unix_dialogue(HAPROXY_SOCKET, f"{stat_command()}\n", deadline))


def unserved(config: NodeConfig, found: list[Server]) -> tuple[str, ...]:
    """What HAProxy does not find on this node, or finds to be primary on two."""
    up = Up(
        {
            backend: frozenset(item.name for item in found if item.backend == backend and _answers(item))
            for backend in {item.backend for item in found}
        }
    )
    return tuple(thing for repair in REPAIRS.values() for thing in repair.unserved(config, up))


def _answers(server: Server) -> bool:
    return server.up or server.state == "DRAIN"
