# SPDX-License-Identifier: GPL-3.0-or-later
"""When a cron is due."""

from __future__ import annotations

import time

import pytest

from trivet.project.cron import any_day, times
from trivet.services.application.crons import waiting
from trivet.services.application.schedule import Cron


def cron(spec: str) -> Cron:
    return Cron("job", "true", times(spec, "shop/job"), any_day(spec), 60, 10)


def at(text: str) -> time.struct_time:
    return time.strptime(text, "%Y-%m-%d %H:%M")


@pytest.mark.parametrize(
    ("spec", "moment", "due"),
    [
        ("* * * * *", "2026-11-30 12:34", True),
        ("*/5 * * * *", "2026-11-30 12:35", True),
        ("*/5 * * * *", "2026-11-30 12:34", False),
        ("0/5 * * * *", "2026-11-30 12:55", True),
        ("7-16 3 * * *", "2026-11-30 03:16", True),
        ("7-16 3 * * *", "2026-11-30 03:17", False),
        ("1,15 * * * *", "2026-11-30 03:15", True),
        ("0 4 * * Mon", "2026-11-30 04:00", True),
        ("0 4 * * 7", "2026-11-29 04:00", True),
        ("0 4 * * 0", "2026-11-29 04:00", True),
        ("0 4 * * Sat", "2026-11-30 04:00", False),
        ("0 0 1 jan *", "2027-01-01 00:00", True),
        ("0 0 1 jan *", "2027-02-01 00:00", False),
        # Both days are restricted: one of them is enough (crontab(5)).
        ("0 0 13 * Fri", "2026-11-13 00:00", True),
        ("0 0 13 * Fri", "2026-11-27 00:00", True),
        ("0 0 13 * Fri", "2026-11-30 00:00", False),
    ],
)
def test_a_cron_is_due(spec: str, moment: str, due: bool) -> None:
    assert cron(spec).due(at(moment)) is due


def test_h_is_the_same_each_time_and_within_its_bounds() -> None:
    assert times("H * * * *", "one") == times("H * * * *", "one")
    assert len({times("H * * * *", f"shop/{number}")[0] for number in range(50)}) > 10
    (minute,) = times("H(10-19) * * * *", "one")[0]
    assert 10 <= minute <= 19
    minutes = times("H/15 * * * *", "one")[0]
    assert len(minutes) == 4 and minutes[1] - minutes[0] == 15


def test_what_becomes_due_while_another_runs_waits_and_runs_once() -> None:
    minute = int(time.mktime(time.strptime("2026-11-30 04:00", "%Y-%m-%d %H:%M"))) // 60
    every, daily, later = cron("* * * * *"), cron("0 4 * * *"), cron("30 4 * * *")
    assert waiting([every, daily, later], minute - 3, minute + 2) == [(every, minute + 2), (daily, minute)]
    assert waiting([every, daily], minute, minute + 1) == [(every, minute + 1)]
    assert waiting([every, daily], minute, minute) == []
