# SPDX-License-Identifier: GPL-3.0-or-later
"""What a suite works with, so that tests may give it a lab that is none."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from trivet.chaos.eyes import Eyes
from trivet.chaos.load import Load
from trivet.chaos.record import Record
from trivet.chaos.scenario import Ground


class Clock(Protocol):
    """Epoch seconds, and waiting."""

    def time(self) -> float: ...

    def sleep(self, seconds: float, /) -> None: ...


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds.

    :param before: of load before the injection.
    :param after: of load after the lab is healthy again.
    :param stable: that the verdict must be healthy until it counts.
    :param healthy: within which the lab must be healthy before a scenario.
    :param mended: within which it must be after the suite did what a human would.
    :param poll: between two looks at what is known.
    """

    before: float = 8.0
    after: float = 5.0
    stable: float = 8.0
    healthy: float = 180.0
    mended: float = 300.0
    poll: float = 0.5


@dataclass(frozen=True, slots=True)
class Parts:
    """What a suite works with.

    :param ground: the lab to break.
    :param homes: the node at which each URL of the load is at home.
    :param eyes: begins to look; a context.
    :param load: makes the customers of a scenario, by its name.
    :param record: where a killed suite leaves its note.
    :param come_home: brings gateway addresses back that an earlier failure has moved: what strikes a node must strike
        its address too.
    """

    ground: Ground
    homes: Mapping[str, str]
    eyes: Callable[[], Eyes]
    load: Callable[[str], Load]
    record: Record
    come_home: Callable[[], None] = lambda: None
    clock: Clock = time
    pace: Pace = Pace()
