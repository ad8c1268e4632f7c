# SPDX-License-Identifier: GPL-3.0-or-later
"""A node runs out of disk or memory, or of the right time."""

from __future__ import annotations

from collections.abc import Iterator

from trivet.chaos.scenario import Aim, Ground, Scenario, Where
from trivet.errors import NotBroken

GROUP = "resources"
LASTS_SECONDS = 30.0
LIMIT_SECONDS = 240.0
ROOM_MIB = 50
MOST_MIB = 4 * ROOM_MIB
BALLAST = "/var/tmp/trivet-chaos-ballast"
EATER = "trivet-chaos-memory"
EATER_SECONDS = 60
FULL = ("Disk quota exceeded", "No space left on device")
KILLED = ("result: oom-kill", "result: signal", "code=killed/status=KILL")
"""What systemd-run says of a program that the kernel has killed, and not of one that ended or ran out of its time."""

NO_OWN_CLOCK = (
    "containers have the machine's clock: time namespaces cover CLOCK_MONOTONIC and CLOCK_BOOTTIME and not "
    "CLOCK_REALTIME, and a preloaded library would turn the clock of single programs and not of the node"
)


def scenarios() -> Iterator[Scenario]:
    """Disk full on a reader and on the writer; memory exhausted; a clock that is off."""
    for name, where in (("disk-full-reader", Where.READER), ("disk-full-writer", Where.WRITER)):
        sentence = f"disk of {where} full for {LASTS_SECONDS:g} s"
        yield Scenario(name, GROUP, sentence, where, _fill, _room, LASTS_SECONDS, LIMIT_SECONDS, mend=_restart_failed)
    yield Scenario(
        "memory-exhausted",
        GROUP,
        f"memory of {Where.READER} exhausted until the kernel kills the largest process",
        Where.READER,
        _eat,
        _full_up,
        LASTS_SECONDS,
        LIMIT_SECONDS,
        mend=_restart_failed,
    )
    yield Scenario(
        "clock-off",
        GROUP,
        "the clock of a node 10 minutes off",
        Where.QUIET,
        _nothing,
        obstacle=lambda _ground: NO_OWN_CLOCK,
    )


def _fill(ground: Ground, aim: Aim) -> None:
    ground.limit_disk(aim.victim, ROOM_MIB)
    said = ground.on(aim.victim, f"LC_ALL=C dd if=/dev/zero of={BALLAST} bs=1M count={MOST_MIB} 2>&1; true")
    if not any(words in said for words in FULL):
        raise NotBroken(
            f"{aim.victim} has {ROOM_MIB} MiB left and was given {MOST_MIB}, but its disk is not full: {said}"
        )


def _room(ground: Ground, aim: Aim) -> None:
    ground.limit_disk(aim.victim, None)
    ground.on(aim.victim, f"rm -f {BALLAST}")


def _eat(ground: Ground, aim: Aim) -> None:
    most_mib = 2 * ground.memory_mib(aim.victim)
    program = f"eaten = [b'x' * 2**24 for _ in range({most_mib // 16})]"
    command = (
        f"systemd-run --collect --wait --unit={EATER} --property=RuntimeMaxSec={EATER_SECONDS} "
        f'python3 -c "{program}" 2>&1; true'
    )
    # The kernel kills the eater at last, whomever it killed before.
    said = ground.on(aim.victim, command, seconds=2 * EATER_SECONDS)
    if not any(words in said for words in KILLED):
        raise NotBroken(f"{aim.victim} was asked for {most_mib} MiB, but its memory was not exhausted: {said}")


def _full_up(ground: Ground, aim: Aim) -> None:
    ground.on(aim.victim, f"systemctl stop {EATER} 2>/dev/null; systemctl reset-failed {EATER} 2>/dev/null; true")


def _restart_failed(ground: Ground, aim: Aim) -> None:
    failed = "failed=$(systemctl list-units --failed --plain --no-legend --type=service | sed 's/ .*//')"
    ground.on(aim.victim, f"{failed}; systemctl reset-failed; systemctl restart mariadb $failed", seconds=LIMIT_SECONDS)


def _nothing(_ground: Ground, _aim: Aim) -> None:
    pass
