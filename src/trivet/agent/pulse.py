# SPDX-License-Identifier: GPL-3.0-or-later
"""A cheap look: is there anything that a thorough look should see?

A whole collection starts a dozen programs, of which GlusterFS' heal report connects to every brick. A node that is well
should not pay for that every few seconds. This starts nothing, and has no service asked once more: HAProxy checks them
all every second, in their own protocols, and says in one answer what it found. What this finds may be nothing (a
primary that is handed over just now); what it does not see is left to the next thorough look.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from trivet.agent.haproxy import Server, parse_stat, stat_command
from trivet.health.config import HAPROXY_SOCKET, KEEPALIVED_ALIVE, NodeConfig
from trivet.health.external import Deadline, NoAnswer, unix_dialogue
from trivet.health.parallel import together
from trivet.services.files.collect import RUN_DIRECTORY, brick_pids, bricks_unheard, process_alive
from trivet.services.files.contract import BRICK, MOUNT, VOLUME
from trivet.services.gateway.collect import age
from trivet.services.gateway.facts import KEEPALIVED_SILENCE_SECONDS
from trivet.services.proxy.facts import WRITER_BACKEND
from trivet.services.redis.collect import RedisClient, RedisRefusal
from trivet.services.redis.contract import INSTANCES, SENTINEL_PORT

SECONDS = 2.0
SYSTEM_SLICES = (Path("/sys/fs/cgroup/system.slice"), Path("/sys/fs/cgroup/systemd/system.slice"))
"""Where systemd keeps the control groups of services; the second where the kernel has hierarchies of version 1, too."""
PHP_FPM = "php-fpm"
GLUSTERD_PID = Path("/run/glusterd.pid")
"""Its control group says nothing of it: the bricks live there too."""
HEAL_INDEX = ".glusterfs/indices/xattrop"
"""Where a brick keeps a name for every file that another brick misses something of (also one in split-brain)."""
_INDEX_BASE = "xattrop-"
"""The file that all names in it are links to."""
Question = Callable[[], tuple[str, ...]]
"""Says what is not as it should be."""


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
        "pulse of the files": lambda: missing_files(config),
        "pulse of the bricks": lambda: unhealed(config),
    }
    if config.gateways:
        asked["pulse of keepalived"] = lambda: silent_file("keepalived", KEEPALIVED_ALIVE, KEEPALIVED_SILENCE_SECONDS)
    if "redis-sentinel" in config.units:
        asked["pulse of the Sentinel"] = lambda: () if sentinel_answers(config, deadline) else ("redis-sentinel",)
    return asked


def without_processes(units: tuple[str, ...], slices: tuple[Path, ...] = SYSTEM_SLICES) -> tuple[str, ...]:
    """Units whose control group has no process; systemd removes the group of a unit that ends."""
    return tuple(unit for unit in units if not any(_has_process(folder, unit) for folder in slices))


def runs(units: tuple[str, ...], slices: tuple[Path, ...] = SYSTEM_SLICES) -> dict[str, int]:
    """What changes with every start of a unit, by the path that it was read from: systemd makes a control group for it.

    Not for the management daemon of GlusterFS, whose group stays while its bricks are in it: it writes a new pid file.
    """
    seen: dict[str, int] = {}
    for path in (GLUSTERD_PID, *(group for folder in slices for unit in units for group in _groups(folder, unit))):
        with contextlib.suppress(OSError):
            status = path.stat()
            seen[str(path)] = status.st_mtime_ns if path == GLUSTERD_PID else status.st_ino
    return seen


def _groups(folder: Path, unit: str) -> Iterable[Path]:
    return folder.glob("php*-fpm.service") if unit == PHP_FPM else (folder / f"{unit}.service",)


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
    up = {(server.backend, server.name) for server in found if server.up or server.state == "DRAIN"}
    backends = {server.backend for server in found}
    missing = [
        backend
        for backend in ("web", WRITER_BACKEND, "search")
        if backend in backends and (backend, config.name) not in up
    ]
    for name in INSTANCES:
        primary, replica = f"redis_{name}_primary", f"redis_{name}_replica"
        primaries = [member.name for member in config.members if (primary, member.name) in up]
        alone = (primary, config.name) not in up and (replica, config.name) not in up
        if alone or len(primaries) != 1:
            missing.append(f"redis-{name}")
    return tuple(missing)


def missing_files(config: NodeConfig) -> tuple[str, ...]:
    """The processes and the mount of the shared files that are not there."""
    mount = config.terms[MOUNT]
    there = {
        "glusterd": process_alive((GLUSTERD_PID,), b"glusterd"),
        "brick": process_alive(brick_pids(config.terms[VOLUME]), b"glusterfsd"),
        "self-heal": len(config.members) == 1 or process_alive(RUN_DIRECTORY.glob("**/*shd.pid"), b"glusterfs"),
        "mount": mount.is_mount() and os.statvfs(mount).f_blocks > 0,
    }
    return tuple(name for name, is_there in there.items() if not is_there)


def unhealed(config: NodeConfig) -> tuple[str, ...]:
    """Bricks that this node's mount does not hear, and whether its own brick knows of files to heal."""
    unheard = bricks_unheard(config.terms[MOUNT], config.terms[VOLUME])
    return (*unheard, *(("heal",) if heal_waits(config.terms[BRICK] / HEAL_INDEX) else ()))


def silent_file(name: str, path: Path, seconds: float) -> tuple[str, ...]:
    """The name, when nobody has touched the file for so long; one that never was there says nothing."""
    silence = age(path)
    return (name,) if silence is not None and silence > seconds else ()


def heal_waits(index: Path) -> bool:
    """Whether this node's brick knows of a file that another one misses something of; a node without a brick: no."""
    try:
        return any(not path.name.startswith(_INDEX_BASE) for path in index.iterdir())
    except FileNotFoundError:
        return False


def sentinel_answers(config: NodeConfig, deadline: Deadline) -> bool:
    """Whether this node's Sentinel reacts; nobody else asks it all the time.

    Raises:
        NoAnswer: nobody listens, or there is no answer in time.
    """
    try:
        with RedisClient(config.address, config.terms[SENTINEL_PORT], config.redis_password, deadline) as client:
            return client.ask("PING") == "PONG"
    except RedisRefusal:
        return False
