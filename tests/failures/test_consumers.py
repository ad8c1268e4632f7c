# SPDX-License-Identifier: GPL-3.0-or-later
"""Four consumers and a cron beside a rotation: nobody fails, nothing is left over, and no stop waits for them."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

from tests.failures.commands import Run, healthy, measure, on, record
from trivet.api import Environment
from trivet.lab import LabState
from trivet.paths import shop_directory

CONSUMERS = 4
WORKER = """    {name}:
        commands:
            start: "php bin/store worker"
"""
SLOWER_AT_MOST = 1.5
"""A stop with consumers ÷ one without: two stops of the same node differ by a quarter on two busy cores."""


def with_consumers(shop: Path, number: int) -> None:
    file = shop / ".magento.app.yaml"
    head, rest = (shop_directory() / file.name).read_text(encoding="utf-8").split("workers:\n")
    web = rest[rest.index("web:\n") :]
    workers = "".join(WORKER.format(name=f"consumer{one}") for one in range(number))
    file.write_text(head + (f"workers:\n{workers}" if number else "") + web, encoding="utf-8")


def rotated(environment: Environment, lab: LabState) -> tuple[Any, float]:
    """The probe's report beside a restart of every node, and the median of the seconds that a node took to stop."""
    runs: list[Run] = []

    def work() -> None:
        runs.append(Run("restart", lab.name, "--all", "--yes"))
        assert runs[0].ended(1800) == 0, runs[0].error

    report = measure(environment, work)
    assert report.total.failures == 0, report.failures
    assert report.orders is not None and report.orders.found == report.orders.acknowledged > 0
    stops = [event["seconds"] for event in runs[0].events if event["event"] == "step ends" and event["step"] == "stop"]
    assert len(stops) == len(lab.nodes)
    return report, median(stops)


def test_consumers_hold_no_rotation_up(environment: Environment, lab: LabState, shop: Path) -> None:
    seconds = {}
    for number in (0, CONSUMERS):
        with_consumers(shop, number)
        run = Run("deploy", lab.name, str(shop), "--yes")
        assert run.ended() == 0, run.error
        report, seconds[number] = rotated(environment, lab)
        record(f"restart of every node, {number} consumers on each, stop {seconds[number]:.1f} s", report)
        for node in lab.nodes:
            units = on(node.name, "systemctl list-units --plain --no-legend 'trivet-worker@*'")
            assert len(units.splitlines()) == number, units
    assert seconds[CONSUMERS] <= SLOWER_AT_MOST * seconds[0], seconds
    assert healthy(lab.name)
