# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine under the services, and the flags that Trivet keeps on it."""

from __future__ import annotations

import contextlib
import csv
import fcntl
import json
import os
import socket
import struct
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from trivet.health.collector import Collect
from trivet.health.config import (
    ANNOUNCED_DIRECTORY,
    ANNOUNCED_FLAG,
    DISABLED_UNITS_DIRECTORY,
    DRAIN_DIRECTORY,
    LEASE_FILE,
    PAUSE_DIRECTORY,
    PAUSE_FLAG,
    PENDING_DIRECTORIES,
    NodeConfig,
)
from trivet.health.external import Deadline, run, unit_state
from trivet.health.facts import Disk, Drain, Flag, HostFacts, LeaseMode, Pending, Vote
from trivet.health.flags import flag_of
from trivet.services.host import falls
from trivet.services.web.collect import php_fpm_state

PACKAGE_LOCKS = (
    Path("/var/lib/dpkg/lock-frontend"),
    Path("/var/lib/dpkg/lock"),
    Path("/var/lib/apt/lists/lock"),
)
_FLOCK = "hhqqi4x"
"""``struct flock`` of 64-bit Linux: type, whence, start, length, pid."""
_CHRONY_SOURCE, _CHRONY_OFFSET, _CHRONY_LEAP = 1, 4, 13
"""Columns of ``chronyc -c tracking``."""


def collect(config: NodeConfig, deadline: Deadline) -> HostFacts:
    """Gather the facts of the host."""
    memory = memory_mib(Path("/proc/meminfo").read_text(encoding="ascii"))
    clock_source, clock_offset = clock_discipline(deadline)
    now = time.time()
    return HostFacts(
        hostname=socket.gethostname(),
        clock_source=clock_source,
        clock_offset_seconds=clock_offset,
        load=os.getloadavg(),
        # What the node may use, not what the machine under a container has.
        vcpus=len(os.sched_getaffinity(0)),
        memory_mib=memory["MemTotal"],
        memory_available_mib=memory["MemAvailable"],
        disks=disks(config.written_directories),
        package_lock=any(locked(path) for path in PACKAGE_LOCKS),
        failed_units=tuple(sorted(unit for unit, state in deadline.units().items() if state == "failed")),
        uptime_seconds=float(Path("/proc/uptime").read_text(encoding="ascii").split()[0]),
        kernel=os.uname().release,
        pending=pending(PENDING_DIRECTORIES),
        drains={name: drain_of(flag) for name, flag in flags(DRAIN_DIRECTORY).items()},
        disabled_units={name: flag_of(flag) for name, flag in flags(DISABLED_UNITS_DIRECTORY).items()},
        vote=vote(_content(LEASE_FILE), now),
        pause=in_force(_content(PAUSE_DIRECTORY / PAUSE_FLAG), now),
        announced=in_force(_content(ANNOUNCED_DIRECTORY / ANNOUNCED_FLAG), now),
        units=states(config.units, deadline),
        clock=now,
        # Last, since it takes no more than what is left.
        falls=falls.collect(config.units, deadline.units(), deadline.left()),
    )


def states(units: Iterable[str], deadline: Deadline) -> dict[str, str]:
    """The states of services by name."""
    loaded = deadline.units()
    return {
        unit: php_fpm_state(loaded) if unit == "php-fpm" else unit_state(f"{unit}.service", deadline) for unit in units
    }


def memory_mib(meminfo: str) -> dict[str, int]:
    """``/proc/meminfo`` in MiB, by name."""
    pairs = (line.split(":", 1) for line in meminfo.splitlines() if line.endswith(" kB"))
    return {name: int(value.split()[0]) // 1024 for name, value in pairs}


def disks(paths: Iterable[Path]) -> dict[str, Disk]:
    """Room on the file systems of some directories, each once, by the first of its directories that is there."""
    found: dict[str, Disk] = {}
    seen: set[int] = set()
    for path in paths:
        # A broken disk must not hide the rest of the host (the healer reads its flags there): its service fails by it.
        with contextlib.suppress(OSError):
            device = path.stat().st_dev
            if device not in seen:
                found[str(path)] = disk(path)
                seen.add(device)
    return found


def disk(path: Path) -> Disk:
    """Room on the file system of ``path``; btrfs and the like count no inodes and are never short of them."""
    status = os.statvfs(path)
    usable = status.f_blocks - status.f_bfree + status.f_bavail
    return Disk(
        free_percent=round(100 * status.f_bavail / usable, 1) if usable else 0.0,
        free_mib=status.f_bavail * status.f_frsize // 2**20,
        free_inodes_percent=round(100 * status.f_favail / status.f_files, 1) if status.f_files else 100.0,
    )


def locked(path: Path) -> bool:
    """True when a process holds a lock on the file. Asked by F_GETLK: trying to lock could make apt fail."""
    try:
        with path.open("rb") as file:
            question = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
            answer = fcntl.fcntl(file.fileno(), fcntl.F_GETLK, question)
    except OSError:
        return False
    return bool(struct.unpack(_FLOCK, answer)[0] != fcntl.F_UNLCK)


def clock_discipline(deadline: Deadline) -> tuple[str | None, float | None]:
    """What chrony follows and how far the clock is off, in seconds; a container runs no chrony."""
    if unit_state("chrony.service", deadline) != "active":
        return None, None
    return parse_tracking(run(["chronyc", "-c", "tracking"], deadline).stdout)


def parse_tracking(text: str) -> tuple[str | None, float | None]:
    """``chronyc -c tracking``: one CSV line, or a complaint."""
    row = next(csv.reader([text.strip()]), [])
    if len(row) <= _CHRONY_LEAP or row[_CHRONY_LEAP] == "Not synchronised":
        return None, None
    return row[_CHRONY_SOURCE], float(row[_CHRONY_OFFSET])


def flags(directory: Path) -> dict[str, Any]:
    """The flag files of a directory by name, with their JSON content; other content is a flag too."""
    if not directory.is_dir():
        return {}
    # Hidden and temporary names are files being written.
    paths = (path for path in directory.iterdir() if "." not in path.name)
    return {path.name: content for path in sorted(paths) if (content := _content(path)) is not None}


def pending(directories: Mapping[str, Path]) -> tuple[Pending, ...]:
    """What waits for a reload or a restart, from the marks in a directory for each."""
    return tuple(
        Pending(service=service, kind=kind, reason=_reason(mark), since=flag_of(mark).since)
        for kind, directory in directories.items()
        for service, mark in flags(directory).items()
    )


def _content(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None  # Removed in this very moment.
    try:
        return json.loads(text) if text.strip() else {}
    except ValueError:
        return text.strip()


def _reason(content: Any) -> str:
    if isinstance(content, dict):
        return str(content.get("reason", ""))
    return str(content)


def drain_of(content: Any) -> Drain:
    """A drain flag from the content of its file."""
    return Drain(**asdict(flag_of(content)), reason=_reason(content))


def in_force(content: Any, now: float) -> Flag | None:
    """A flag from the content of its file; an expired one counts as none."""
    flag = flag_of(content)
    return None if flag.expires is None or flag.expires <= now else flag


def vote(content: Any, now: float) -> Vote | None:
    """The vote from the content of the lease's file; an expired one counts as none."""
    flag = in_force(content, now)
    if flag is None:
        return None
    mode = str(content.get("mode", LeaseMode.HANDS_OFF))
    return Vote(**asdict(flag), purpose=str(content.get("purpose", "")), mode=mode)


COLLECT = Collect(facts=HostFacts, full=collect)
