# SPDX-License-Identifier: GPL-3.0-or-later
"""``trivet runs``: what is listed, what of one run is shown, for people and for programs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.unit.environments import environment
from trivet import api
from trivet.api.runs import RunDetails, RunSummary
from trivet.cli.main import app

ID = "20301201-120400-alice@laptop:4211"
RUN = RunSummary(ID, "resize", "resize to size 12", "alice@laptop:4211", 1e9, 310.2, "halted", "node-2: gate", None)
LINES: tuple[dict[str, Any], ...] = (
    {"seq": 1, "at": 1e9, "kind": "plan"},
    {"seq": 2, "at": 1e9, "kind": "begin", "node": "node-2", "step": "stop"},
    {"seq": 3, "at": 1e9 + 4, "kind": "end", "node": "node-2", "step": "stop", "seconds": 4.0},
)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    limits: list[int] = []

    def runs(_environment: object, limit: int) -> tuple[RunSummary, ...]:
        limits.append(limit)
        return (RUN,)[:limit]

    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(api, "load_environment", lambda _name: environment())
    monkeypatch.setattr(api, "runs", runs)
    monkeypatch.setattr(api, "run_details", lambda _environment, id: RunDetails(RUN, LINES) if id == ID else None)
    return limits


def invoke(*words: str) -> str:
    result = CliRunner().invoke(app, ["runs", "test", *words])
    assert result.exception is None, result.exception
    return result.output


def test_a_run_is_a_row_with_who_when_how_long_and_how_it_stands(asked: list[int]) -> None:
    output = invoke("--limit", "7")
    assert asked == [7]
    for words in ("2001-09-09 01:46:40", "resize to size 12", "halted", "310", "alice@laptop:4211", ID):
        assert words in output


def test_programs_get_json(asked: list[int]) -> None:
    assert json.loads(invoke("--json")) == [RUN.to_dict()]
    assert json.loads(invoke(ID, "--json")) == {**RUN.to_dict(), "lines": list(LINES)}


def test_one_run_is_shown_with_its_steps(asked: list[int]) -> None:
    output = invoke(ID)
    for words in ("resize to size 12: halted", "failed: node-2: gate", "begin node-2 stop", "end node-2 stop in 4.0 s"):
        assert words in output
