# SPDX-License-Identifier: GPL-3.0-or-later
"""A node's copy of the journals, on this machine's disk."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from trivet.agent import journal
from trivet.node.errors import AgentError

FIRST = {"seq": 1, "at": 1.5, "kind": "plan"}
SECOND = {"seq": 2, "at": 2.25, "kind": "begin", "node": "n1"}


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(journal, "JOURNAL_DIRECTORY", tmp_path / "journals")
    return tmp_path / "journals"


def append(*lines: dict[str, Any]) -> dict[str, Any]:
    return journal.run_append(argparse.Namespace(id="one", lines=[json.dumps(line) for line in lines]), {})


def kept() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = journal.run_read(argparse.Namespace(id="one"), {})["lines"]
    return found


def test_a_line_that_is_there_is_appended_once() -> None:
    assert append(FIRST)["appended"] == 1
    assert append(FIRST, SECOND)["appended"] == 1
    assert kept() == [FIRST, SECOND]


def test_half_a_line_is_none_and_spoils_no_other(directory: Path) -> None:
    append(FIRST)
    with (directory / "one.jsonl").open("a", encoding="utf-8") as stream:
        stream.write('{"seq": 2, "at"')
    append(SECOND)
    assert kept() == [FIRST, SECOND]


def test_another_runners_line_is_not_taken_for_ones_own() -> None:
    append(FIRST, SECOND)
    with pytest.raises(AgentError, match="line 2 of one is there already"):
        append({"seq": 3, "at": 2.0, "kind": "end"}, {**SECOND, "node": "n2"})
    assert kept() == [FIRST, SECOND]


def test_a_killed_runners_line_does_not_keep_the_next_ones_lines_away() -> None:
    append(FIRST, SECOND)
    third = {"seq": 3, "at": 3.0, "kind": "end"}
    assert append({**SECOND, "node": "n2"}, third)["appended"] == 1
    assert kept() == [FIRST, SECOND, third]


def test_a_line_without_a_number_is_refused() -> None:
    with pytest.raises(AgentError, match="number seq"):
        append({"kind": "plan"})
    assert kept() == []
