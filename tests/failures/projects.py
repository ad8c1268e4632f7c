# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo shop's project, changed from release to release, and what a deploy must leave on the nodes."""

from __future__ import annotations

import json
import time
from pathlib import Path

from tests.failures.commands import on
from trivet.lab import LabState

PAGE = "templates/home.phtml"
SCHEMA = "src/Setup/Schema.php"
FIRST_STEP = "        4 => 'CREATE INDEX"


def change_page(shop: Path, words: str) -> None:
    """Another release, whose database is that of the one before."""
    page = shop / PAGE
    page.write_text(page.read_text(encoding="utf-8") + f"<!-- {words} -->\n", encoding="utf-8")


def change_schema(shop: Path) -> None:
    """Another release, whose schema is newer than that of the one before, so that requests are held."""
    schema = shop / SCHEMA
    text = schema.read_text(encoding="utf-8")
    # A lab that stands has the steps of earlier tests.
    number = time.time_ns() // 10**6
    column = f"        {number} => 'ALTER TABLE store_order ADD COLUMN IF NOT EXISTS note{number} INT NULL',\n"
    schema.write_text(text.replace(FIRST_STEP, column + FIRST_STEP), encoding="utf-8")


def serving(lab: LabState) -> set[str]:
    """The instances that customers get, of all nodes."""
    return {on(node.name, "readlink /etc/trivet/application/current || true").strip() for node in lab.nodes}


def leaves_nothing(lab: LabState) -> None:
    """No flag, no hook, no second instance or worker, no candidate of nginx."""
    for node in lab.nodes:
        assert json.loads(on(node.name, "trivet-agent flags list"))["flags"] == []
        units = on(node.name, "systemctl list-units --plain --no-legend 'trivet-app@*' 'trivet-hook-*'")
        assert len(units.splitlines()) == 1, units
        workers = on(node.name, "systemctl list-units --plain --no-legend 'trivet-worker@*'")
        assert len(workers.splitlines()) == 1, workers
        assert on(node.name, "ls /etc/nginx/trivet").split() == ["serving.conf"]
