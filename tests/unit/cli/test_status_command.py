# SPDX-License-Identifier: GPL-3.0-or-later
"""``trivet status``: what an operator reads, and what a monitor gets."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console
from typer.testing import CliRunner

from trivet.cli.main import app
from trivet.cli.status import shown
from trivet.errors import InputError
from trivet.health.findings import AS_IT_SHOULD_BE, Finding, State
from trivet.model import Environment, Node
from trivet.verdict.assess import Verdict

ENVIRONMENT = Environment(
    name="shop",
    inventory=Path("inventories/shop"),
    nodes=(Node("shop-1", 1, "192.0.2.11"),),
    gateways=("192.0.2.21",),
    size="6",
    domains=("shop.example",),
)
WELL = Finding("web", "shop-1", State.HEALTHY, AS_IT_SHOULD_BE)
WAITS = Finding("host", "shop-1", State.HEALTHY, "mariadb waits for a restart by the next rotation")
HELD = Finding("gateway", None, State.HEALTHY, "192.0.2.21 of shop-1 is held by shop-2")
PAUSED = Finding("host", "shop-1", State.HEALTHY, "its agent repairs nothing: paused", "trivet agent resume shop")
BROKEN = Finding("search", "shop-1", State.BROKEN, "opensearch does not run", "journalctl -u opensearch")


def lines_of(*findings: Finding, colours: bool = False) -> list[str]:
    """What stands below the table."""
    console = Console(file=io.StringIO(), width=200, color_system="standard" if colours else None)
    console.print(shown(ENVIRONMENT, Verdict("shop", ("shop-1",), (), findings)))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    return [line.rstrip() for line in text.splitlines()][text[: text.rindex("\u2518")].count("\n") + 1 :]


def test_what_is_as_it_should_be_needs_no_line() -> None:
    assert lines_of(WELL) == []


def test_notes_are_shown_below_what_is_wrong() -> None:
    assert lines_of(HELD, WAITS, PAUSED, BROKEN, WELL) == [
        "broken: shop-1: search: opensearch does not run",
        "  next: journalctl -u opensearch",
        "note: cluster: gateway: 192.0.2.21 of shop-1 is held by shop-2",
        "note: shop-1: host: mariadb waits for a restart by the next rotation",
        "note: shop-1: host: its agent repairs nothing: paused",
        "  next: trivet agent resume shop",
    ]


def test_a_note_is_dimmed_and_a_fault_is_not() -> None:
    dim = "\x1b[2m"
    assert [line.startswith(dim) for line in lines_of(BROKEN, PAUSED, colours=True)] == [False, False, True, True]


def test_notes_keep_an_environment_healthy() -> None:
    assert Verdict("shop", ("shop-1",), (), (WELL, WAITS)).state is State.HEALTHY


def test_an_environment_that_nobody_knows_is_unknown_to_a_monitor() -> None:
    result = CliRunner().invoke(app, ["status", "no-such-environment"])
    assert isinstance(result.exception, InputError)
    assert result.exception.exit_code == 3
