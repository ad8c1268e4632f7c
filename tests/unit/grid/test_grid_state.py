# SPDX-License-Identifier: GPL-3.0-or-later
"""What a grid computes without touching the machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trivet.errors import GridError, InputError
from trivet.grid import GridNode, GridState
from trivet.grid.state import check_name, free_index, taken_indices


def state(index: int = 3) -> GridState:
    return GridState("grid", index, "6", [GridNode("grid-1", 1, f"10.86.{index}.11")], [])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRIVET_LABS", str(tmp_path))
    return tmp_path


def test_addresses_come_from_the_index() -> None:
    assert state(7).subnet == "10.86.7.0/24"
    assert state(7).host_address == "10.86.7.1"
    assert len(state(199).bridge) <= 15


def test_state_survives_a_save(folder: Path) -> None:
    state().save()
    assert GridState.load("grid") == state()


def test_an_unknown_grid_names_the_next_command(folder: Path) -> None:
    with pytest.raises(GridError) as raised:
        GridState.load("nowhere")
    assert raised.value.next_command == "trivet lab up nowhere"


@pytest.mark.parametrize("name", ["Lab", "1lab", "lab-", "a" * 21, "la b", "lab/x"])
def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(InputError):
        check_name(name)


def test_the_first_free_index_is_taken() -> None:
    assert free_index({1, 2, 4}) == 3
    with pytest.raises(GridError):
        free_index(set(range(1, 300)))


def test_a_grid_keeps_its_index_whatever_else_its_file_says(folder: Path) -> None:
    for name, text in (("a", json.dumps({"name": "a", "index": 4, "more": 1})), ("b", "{"), ("c", "[]")):
        (folder / name).mkdir()
        (folder / name / "lab.json").write_text(text, encoding="utf-8")
    assert taken_indices() == {"a": 4}
