# SPDX-License-Identifier: GPL-3.0-or-later
"""A Redis replica that cannot read its own files: they are set aside, and it takes a whole copy from its primary.

Only a copy is ever set aside: the instance must be down, its files damaged by Redis' own check, and another node the
primary that the Sentinels name. Nothing is deleted but what was set aside before the last time.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from trivet.health.config import REDIS_DIRECTORY, NodeConfig
from trivet.health.external import Deadline, NoAnswer
from trivet.node.command import run_command
from trivet.node.errors import AgentError
from trivet.services.redis.collect import RedisClient, RedisRefusal, parse_instance
from trivet.services.redis.contract import INSTANCES
from trivet.services.redis.facts import RedisInstance

HELPER = "/usr/local/lib/trivet/redis-node"
"""Role redis: corrects the role that the instance has saved, as before each of its starts."""
DATA = ("appendonlydir", "dump.rdb")
"""What an instance reads when it starts."""
ASIDE = "damaged"
"""The folder in the instance's own where files are set aside, by the moment; Redis does not look into it."""
KEPT = 2
"""How many sets of files are kept."""
SYSTEMD_SECONDS = 60.0
CHECK_SECONDS = 120.0
COPY_SECONDS = 100.0
CALL_SECONDS = 3.0
POLL_SECONDS = 0.5
SPARE_BYTES = 64 * 2**20


def take_anew(name: str, primary: str, config: NodeConfig, directory: Path = REDIS_DIRECTORY) -> str:
    """Set the damaged files of an instance aside, start it, and wait until it has the primary's copy.

    Args:
        name: ``cache`` or ``session``.
        primary: address of the node whose instance is the primary.

    Raises:
        AgentError: nothing was set aside, or the copy is not there in time.
    """
    if primary == config.address or primary not in {member.address for member in config.members}:
        raise AgentError(f"{primary} is no other member: a primary's files are never set aside")
    unit, home = f"redis-{name}", directory / name
    size = _primary_of(name, primary, config).used_memory
    # It falls over and over: between two falls it must not read what is being moved.
    run_command(["systemctl", "stop", unit], SYSTEMD_SECONDS)
    moved = ""
    try:
        damage = damage_of(home)
        _refuse_a_primary(name, primary, home, config)
        _refuse_without_room(home, size)
        _primary_of(name, primary, config)
        moved = set_aside(home)
    finally:
        run_command(["systemctl", "start", "--no-block", unit], SYSTEMD_SECONDS)
    seconds = _wait_for_copy(name, primary, config)
    return f"{damage}; set aside in {moved}; {name} has a whole copy of {primary} after {seconds:.0f} s"


def damage_of(home: Path) -> str:
    """What Redis' own check says of the files that the instance reads.

    Raises:
        AgentError: they are in order: what fails is something else.
    """
    for words in checks(home):
        try:
            run_command(words, CHECK_SECONDS)
        except AgentError as problem:
            if "did not" not in str(problem) and "timed out" not in str(problem):
                return f"{Path(words[-1]).name} is damaged"
            raise
    raise AgentError(f"the files in {home} are in order: see journalctl -u redis-{home.name}")


def checks(home: Path) -> Iterator[list[str]]:
    """The commands that check what is there: the append-only file, or without one the snapshot."""
    manifests = sorted((home / "appendonlydir").glob("*.manifest"))
    if manifests:
        yield ["redis-check-aof", str(manifests[0])]
    elif (home / "dump.rdb").exists():
        yield ["redis-check-rdb", str(home / "dump.rdb")]


def set_aside(home: Path, kept: int = KEPT) -> str:
    """Move the data into a folder of its own, and remove all but the last of those; returns the folder."""
    place = home / ASIDE / time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    place.mkdir(parents=True)
    for name in DATA:
        with contextlib.suppress(FileNotFoundError):
            (home / name).rename(place / name)
    for old in sorted((home / ASIDE).iterdir())[:-kept]:
        shutil.rmtree(old)
    return str(place)


def _refuse_a_primary(name: str, primary: str, home: Path, config: NodeConfig) -> None:
    """Make sure that it will start as a replica of the primary: an empty instance that starts as one loses everything.

    Raises:
        AgentError: its saved role is another.
    """
    run_command([HELPER, "role", name], SYSTEMD_SECONDS)
    wanted = f"replicaof {primary} {config.terms[INSTANCES[name]]}"
    if not is_replica((home / "redis.conf").read_text(encoding="utf-8").splitlines(), wanted):
        raise AgentError(f"{home / 'redis.conf'} does not say {wanted}: it may be a primary, nothing was set aside")


def is_replica(lines: Iterable[str], wanted: str) -> bool:
    """Whether the last word on the role in a configuration is this one."""
    roles = [line.lower().split() for line in lines if line.lower().startswith(("replicaof ", "slaveof "))]
    return bool(roles) and ["replicaof", *roles[-1][1:]] == wanted.split()


def _refuse_without_room(home: Path, size: int) -> None:
    """What is set aside stays: make sure that the new copy has room beside it.

    Raises:
        AgentError: it has not.
    """
    status = os.statvfs(home)
    free = status.f_bavail * status.f_frsize
    if free < size + SPARE_BYTES:
        raise AgentError(f"{home} has {free // 2**20} MiB free, a copy needs {(size + SPARE_BYTES) // 2**20}")


def _primary_of(name: str, primary: str, config: NodeConfig) -> RedisInstance:
    """The instance of the primary, which answers and is one.

    Raises:
        AgentError: it does not, or is none.
    """
    instance = _ask(name, primary, config)
    if instance is None or instance.role != "master" or instance.loading:
        raise AgentError(f"{primary} is no primary of {name} that serves: nothing was set aside")
    return instance


def _wait_for_copy(name: str, primary: str, config: NodeConfig) -> float:
    """Wait until the own instance has the primary's copy; returns how many seconds that took.

    Raises:
        AgentError: it has not, in time.
    """
    began = time.monotonic()
    while (seconds := time.monotonic() - began) < COPY_SECONDS:
        own = _ask(name, config.address, config)
        if own and own.primary_address == primary and own.primary_link_up and not own.primary_sync_in_progress:
            return seconds
        time.sleep(POLL_SECONDS)
    raise AgentError(f"{name} has no whole copy of {primary} after {COPY_SECONDS:.0f} s")


def _ask(name: str, address: str, config: NodeConfig) -> RedisInstance | None:
    """What an instance says of itself; None when it does not answer."""
    try:
        port = config.terms[INSTANCES[name]]
        with RedisClient(address, port, config.redis_password, Deadline(CALL_SECONDS)) as client:
            return parse_instance(client.text("INFO"))
    except (NoAnswer, RedisRefusal):
        return None
