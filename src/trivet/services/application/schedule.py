# SPDX-License-Identifier: GPL-3.0-or-later
"""When a cron is due. Pure."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Cron:
    """A command that runs at times, on one node.

    Attributes:
        times: minutes, hours, days of the month, months, days of the week (0 is Sunday) at which it is due.
        any_day: a day that fits one of both day fields is enough (crontab(5)).
        timeout_seconds: the longest that it runs.
        shutdown_seconds: from the order to end to being killed.
    """

    name: str
    command: str
    times: tuple[tuple[int, ...], ...]
    any_day: bool
    timeout_seconds: int
    shutdown_seconds: int

    def due(self, moment: time.struct_time) -> bool:
        """Whether it is due in the minute of a moment."""
        minutes, hours, days, months, weekdays = self.times
        day = moment.tm_mday in days
        weekday = (moment.tm_wday + 1) % 7 in weekdays
        fits = day or weekday if self.any_day else day and weekday
        return moment.tm_min in minutes and moment.tm_hour in hours and moment.tm_mon in months and fits
