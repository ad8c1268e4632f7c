# SPDX-License-Identifier: GPL-3.0-or-later
"""What a lab computes beside its grid."""

from __future__ import annotations

from pathlib import Path

import pytest

from trivet.grid import GridNode
from trivet.lab import LabState
from trivet.lab.lab import fitting_scale


def test_state_survives_a_save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIVET_LABS", str(tmp_path))
    nodes, web = [GridNode("lab-1", 1, "10.86.3.11")], [GridNode("lab-web-1", 4, "10.86.3.31")]
    state = LabState("lab", 3, "6", nodes, ["10.86.3.21"], web, like="production", scale=0.5, variables={"a_b": 1})
    state.save()
    assert LabState.load("lab") == state
    assert state.machines == nodes + web
    state.builder = GridNode("lab-grid", 231, "10.86.3.251")
    state.save()
    assert LabState.load("lab") == state
    assert state.machines == [*nodes, *web, state.builder]


def test_a_size_of_the_table_is_scaled() -> None:
    state = LabState("lab", 3, "6", [], [], like="production", scale=0.5)
    assert state.node_size("6").memory_mib == 1920


def test_scale_is_a_fraction() -> None:
    assert 0 < fitting_scale() <= 1
