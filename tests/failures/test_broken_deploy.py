# SPDX-License-Identifier: GPL-3.0-or-later
"""The runner of a deploy is killed in one step after the other; one command goes on each time, and no request fails."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.failures.commands import Run, healthy, measure, on, record
from trivet.api import Environment
from trivet.lab import LabState
from trivet.paths import shop_directory

TAKEN_BACK_IN = ("ship", "prepare")
"""Nothing can be seen of it there, and what it runs with is known to its runner alone."""
GONE_ON_WITH_IN = ("hold", "hook", "warm", "record", "switch", "retire")
PAGE = "templates/home.phtml"
SCHEMA = "src/Setup/Schema.php"
FIRST_STEP = "        4 => 'CREATE INDEX"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """The shop's project, to be changed from release to release."""
    return Path(shutil.copytree(shop_directory(), tmp_path / "shop"))


def change(shop: Path, step: str) -> None:
    """Another release, whose schema is newer than that of the one before, so that requests are held."""
    page = shop / PAGE
    page.write_text(page.read_text(encoding="utf-8") + f"<!-- {step} -->\n", encoding="utf-8")
    schema = shop / SCHEMA
    text = schema.read_text(encoding="utf-8")
    number = 100 + text.count("ADD COLUMN")
    column = f"        {number} => 'ALTER TABLE store_order ADD COLUMN IF NOT EXISTS note{number} INT NULL',\n"
    schema.write_text(text.replace(FIRST_STEP, column + FIRST_STEP), encoding="utf-8")


def serving(lab: LabState) -> set[str]:
    return {on(node.name, "readlink /etc/trivet/application/current || true").strip() for node in lab.nodes}


def leaves_nothing(lab: LabState) -> None:
    for node in lab.nodes:
        assert json.loads(on(node.name, "trivet-agent flags list"))["flags"] == []
        units = on(node.name, "systemctl list-units --plain --no-legend 'trivet-app@*' 'trivet-hook-*'")
        assert len(units.splitlines()) == 1, units
        assert on(node.name, "ls /etc/nginx/trivet").split() == ["serving.conf"]


def test_a_killed_runner_of_a_deploy_loses_nothing(environment: Environment, lab: LabState, shop: Path) -> None:
    first = Run("deploy", lab.name, str(shop), "--yes")
    assert first.ended() == 0, first.error

    def work() -> None:
        for step in (*TAKEN_BACK_IN, *GONE_ON_WITH_IN):
            before = serving(lab)
            change(shop, step)
            run = Run("deploy", lab.name, str(shop), "--yes")
            run.until("step begins", step=step)
            run.kill()
            again = Run("deploy", lab.name, "--resume")
            if step in TAKEN_BACK_IN:
                assert again.ended() == 2 and "was taken back" in again.error, again.error
                assert serving(lab) == before
            else:
                assert again.ended() == 0, again.error
                assert len(serving(lab)) == 1 and serving(lab) != before
            leaves_nothing(lab)

    report = measure(environment, work)
    record(f"runner of a deploy killed in {len(TAKEN_BACK_IN) + len(GONE_ON_WITH_IN)} steps", report)
    assert report.total.failures == 0, report.failures
    assert report.orders is not None and report.orders.found == report.orders.acknowledged
    assert healthy(lab.name)
