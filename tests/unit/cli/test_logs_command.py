# SPDX-License-Identifier: GPL-3.0-or-later
"""``trivet logs``: lines of several nodes in the order of time."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.unit.environments import environment
from trivet.cli import inside
from trivet.cli.main import app

LINES = {
    "node-1": ["2026-12-01T10:00:00+0000 first", "2026-12-01T10:00:09+0000 fourth", "  its stack trace"],
    "node-2": ["[2026-12-01T10:00:03+00:00] second", "2026/12/01 10:00:05 third"],
}


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What the nodes fail with, by their names."""
    problems: dict[str, str] = {}

    def read_log(*_given: Any, say: Callable[[str, str], None], **_options: Any) -> dict[str, str]:
        for node, lines in LINES.items():
            for line in lines:
                say(node, line)
        return problems

    monkeypatch.setattr(inside, "load_environment", lambda _name: environment())
    monkeypatch.setattr(inside, "read_log", read_log)
    return problems


def test_lines_are_in_the_order_of_time(answers: dict[str, str]) -> None:
    shown = CliRunner().invoke(app, ["logs", "test", "php"])
    words = [line.split()[-1] for line in shown.output.splitlines()]
    assert (shown.exit_code, words) == (0, ["first", "second", "third", "fourth", "trace"])


def test_a_node_that_gives_none_is_told_and_the_exit_code_says_so(answers: dict[str, str]) -> None:
    answers["node-3"] = "no route to host"
    shown = CliRunner().invoke(app, ["logs", "test", "php", "--json"])
    rows = [json.loads(line) for line in shown.output.splitlines()]
    assert shown.exit_code == 1 and "node-3: no log php: no route to host" in rows[-1]["text"]
    assert [row["node"] for row in rows[:-1]] == ["node-1", "node-2", "node-2", "node-1", "node-1"]
