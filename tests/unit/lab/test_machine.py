# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab computes without touching the machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from trivet.errors import InputError, LabError
from trivet.lab import machine
from trivet.lab.lab import fitting_scale
from trivet.lab.state import LabNode, LabState, check_name, free_index


def state(index: int = 3) -> LabState:
    return LabState("lab", "production", index, 0.5, "6", [LabNode("lab-1", 1, f"10.86.{index}.11")], [])


def test_addresses_come_from_the_index() -> None:
    assert state(7).subnet == "10.86.7.0/24"
    assert state(7).host_address == "10.86.7.1"
    assert len(state(199).bridge) <= 15


def test_state_survives_a_save(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("TRIVET_LABS", str(tmp_path))
    state().save()
    assert LabState.load("lab") == state()


def test_an_unknown_lab_names_the_next_command(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("TRIVET_LABS", str(tmp_path))
    with pytest.raises(LabError) as raised:
        LabState.load("nowhere")
    assert raised.value.next_command == "trivet lab up nowhere"


@pytest.mark.parametrize("name", ["Lab", "1lab", "lab-", "a" * 21, "la b", "lab/x"])
def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(InputError):
        check_name(name)


def test_the_first_free_index_is_taken() -> None:
    assert free_index({1, 2, 4}) == 3
    with pytest.raises(LabError):
        free_index(set(range(1, 300)))


def test_scale_is_a_fraction() -> None:
    assert 0 < fitting_scale() <= 1


def test_lxcfs_serves_when_its_file_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "LXCFS_MOUNT", tmp_path)
    assert "proc/meminfo" in machine._lxcfs_problem()
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "meminfo").write_text("MemTotal: 1 kB\n")
    assert machine._lxcfs_problem() == ""
