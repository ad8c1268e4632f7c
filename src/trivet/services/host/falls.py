# SPDX-License-Identifier: GPL-3.0-or-later
"""When systemd last had to start services of this node again by itself.

A unit that falls over and over is "activating" for most of the time, or "active" for the moment of a look: its state
says nothing. systemd counts its automatic starts, and the journal of the machine knows the moment of each.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from time import monotonic

from trivet.health.external import Deadline, NoAnswer, run
from trivet.health.flaps import FEWEST_FALLS, WINDOW_SECONDS
from trivet.services.web.contract import PHP_FPM_UNIT

RESTART_SCHEDULED = "5eb03494b6584870a536b337290809b3"
"""systemd's message that it starts a unit again (``sd-messages.h``: SD_MESSAGE_UNIT_RESTART_SCHEDULED)."""
SECONDS = 2.0
"""The longest that this takes: on a machine that is overloaded every program needs seconds."""
_SPARE_SECONDS = 0.3
"""What it leaves its caller."""
_PROPERTIES = "Id,NRestarts,InactiveExitTimestampMonotonic"


def collect(units: Iterable[str], loaded: Mapping[str, str], left_seconds: float) -> dict[str, tuple[float, ...]]:
    """Moments (epoch seconds) of the automatic starts of the last minutes, by unit; only of units that had some.

    Nothing where systemd or its journal do not say in time: a host must not be unknown for that.

    Args:
        loaded: the units that systemd has loaded.
        left_seconds: how long the caller can wait at most.
    """
    deadline = Deadline(min(SECONDS, left_seconds - _SPARE_SECONDS))
    try:
        names = full_names(units, loaded)
        if fallen := fallen_lately(_shown(names, deadline), monotonic()):
            return starts({name: names[name] for name in fallen}, _scheduled(fallen, deadline))
    except NoAnswer:
        pass
    return {}


def full_names(units: Iterable[str], loaded: Mapping[str, str]) -> dict[str, str]:
    """The units by the names that systemd has for them; ``php-fpm`` is any version that is loaded."""
    versions = {name: "php-fpm" for name in loaded if PHP_FPM_UNIT.fullmatch(name)}
    return versions | {f"{unit}.service": unit for unit in units if unit != "php-fpm"}


def fallen_lately(shown: str, now: float) -> list[str]:
    """Units that systemd has started again by itself, the last time within the window.

    Args:
        shown: what ``systemctl show`` prints: blocks of properties with blank lines between them.
        now: seconds of the monotonic clock, which is systemd's.
    """
    blocks = (dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in shown.split("\n\n"))
    return [
        block["Id"]
        for block in blocks
        if int(block.get("NRestarts") or 0) >= FEWEST_FALLS
        and now - int(block.get("InactiveExitTimestampMonotonic") or 0) / 1e6 <= WINDOW_SECONDS
    ]


def starts(names: Mapping[str, str], lines: str) -> dict[str, tuple[float, ...]]:
    """The moments in lines of the journal (``--output=json``), by unit."""
    found: dict[str, list[float]] = {}
    for unit, moment in _entries(lines):
        if unit in names:
            found.setdefault(names[unit], []).append(moment)
    return {unit: tuple(sorted(moments)) for unit, moments in found.items()}


def _entries(lines: str) -> Iterator[tuple[str, float]]:
    for line in lines.splitlines():
        try:
            entry = json.loads(line)
            yield str(entry["UNIT"]), int(entry["__REALTIME_TIMESTAMP"]) / 1e6
        except (ValueError, TypeError, KeyError):
            continue


def _shown(names: Iterable[str], deadline: Deadline) -> str:
    return run(["systemctl", "show", f"--property={_PROPERTIES}", "--", *names], deadline).stdout


def _scheduled(names: Iterable[str], deadline: Deadline) -> str:
    matches = [f"MESSAGE_ID={RESTART_SCHEDULED}", *(f"UNIT={name}" for name in names)]
    since = f"--since=-{WINDOW_SECONDS:.0f}s"
    command = ["journalctl", "--quiet", "--boot", since, "--output=json", "--output-fields=UNIT", *matches]
    return run(command, deadline).stdout
