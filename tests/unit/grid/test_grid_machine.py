# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether lxcfs serves, read from its own file."""

from __future__ import annotations

from pathlib import Path

import pytest

from trivet.grid import machine


def test_lxcfs_serves_when_its_file_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "LXCFS_MOUNT", tmp_path)
    assert "proc/meminfo" in machine._lxcfs_problem()
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "meminfo").write_text("MemTotal: 1 kB\n")
    assert machine._lxcfs_problem() == ""
