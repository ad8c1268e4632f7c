# SPDX-License-Identifier: GPL-3.0-or-later
"""Ten deploys in a row, and half an hour of crons: what one of them leaves behind would pile up."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import pytest

from tests.failures.commands import Run, healthy, incus, measure, on, record
from tests.failures.projects import change_page, change_schema, leaves_nothing, serving
from trivet.api import Environment
from trivet.api.deploy import PATIENCE_SECONDS
from trivet.lab import LabState

DEPLOYS = 10
KEPT = 6
"""Releases on a node: the one that serves, and five for the way back."""
ROUNDING_SECONDS = 2.0
LONGEST_UNHELD_MS = 2000.0
CRON_MINUTES = 30
KILLED_AFTER_MINUTES, BACK_AFTER_MINUTES = 10, 15
MISSED_AT_MOST = 2


@pytest.mark.parametrize("schema", [False, True], ids=["without-a-schema-change", "with-a-schema-change"])
def test_ten_deploys_in_a_row_fail_nobody(environment: Environment, lab: LabState, shop: Path, schema: bool) -> None:
    change_page(shop, f"first {time.time()}")
    first = Run("deploy", lab.name, str(shop), "--yes")
    assert first.ended() == 0, first.error
    held: list[float] = []

    def work() -> None:
        for number in range(DEPLOYS):
            change_page(shop, f"release {number} of {time.time()}")
            if schema:
                change_schema(shop)
            run = Run("deploy", lab.name, str(shop), "--yes")
            assert run.ended() == 0, run.error
            done = next(event for event in run.events if event["event"] == "done")
            assert (done["held_seconds"] is not None) == schema
            held.append(done["held_seconds"] or 0.0)
            assert serving(lab) == {done["instance"]}

    report = measure(environment, work, PATIENCE_SECONDS)
    record(f"{DEPLOYS} deploys in a row {'with' if schema else 'without'} a schema change", report)
    assert report.total.failures == 0, report.failures
    assert report.orders is not None and report.orders.found == report.orders.acknowledged > 0
    longest = report.phases["during"].latency_ms.maximum
    assert longest <= (max(held) + ROUNDING_SECONDS) * 1000 if schema else longest <= LONGEST_UNHELD_MS
    leaves_nothing(lab)
    for node in lab.nodes:
        assert int(on(node.name, "ls /srv/releases | wc -l")) <= KEPT
    assert healthy(lab.name)


def test_a_cron_runs_every_minute_though_its_node_dies(environment: Environment, lab: LabState, shop: Path) -> None:
    first = Run("deploy", lab.name, str(shop), "--yes")
    assert first.ended() == 0, first.error
    began = int(time.time()) // 60 + 1
    _sleep_until(began + KILLED_AFTER_MINUTES)
    killed = on(lab.nodes[0].name, "cat /srv/shared/.trivet/cron-node").strip()
    other = next(node.name for node in lab.nodes if node.name != killed)
    incus("stop", "--force", killed)
    try:
        _sleep_until(began + BACK_AFTER_MINUTES)
    finally:
        incus("start", killed)
    _sleep_until(began + CRON_MINUTES)
    query = (
        "SELECT FLOOR(UNIX_TIMESTAMP(CONVERT_TZ(ran_at, '+00:00', @@session.time_zone)) / 60), node "
        f"FROM store_cron_run WHERE ran_at >= FROM_UNIXTIME({began * 60})"
    )
    rows = [line.split("\t") for line in on(other, f'mariadb -N -B store -e "{query}"').splitlines()]
    runs = Counter(int(minute) for minute, _node in rows if began <= int(minute) < began + CRON_MINUTES)
    assert max(runs.values()) == 1, runs
    missed = sorted(set(range(began, began + CRON_MINUTES)) - set(runs))
    assert len(missed) <= MISSED_AT_MOST, missed
    assert len({node for _minute, node in rows}) == 2
    deadline = time.monotonic() + 300
    while not healthy(lab.name):
        assert time.monotonic() < deadline
        time.sleep(3)


def _sleep_until(minute: int) -> None:
    time.sleep(max(0.0, minute * 60 - time.time()))
