# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab like production with a grid machine, and clones of the demo shop that are pushed to it: `pytest tests/push`.

The lab is the one that TRIVET_PUSH_LAB names, by default ``push``; it is made when missing, and left standing.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.failures.commands import trivet
from tests.push.clones import Clone
from trivet.lab import LabState
from trivet.paths import collection_root


@pytest.fixture(scope="session")
def lab() -> LabState:
    """The lab, converged."""
    name = os.environ.get("TRIVET_PUSH_LAB", "push")
    trivet("lab", "up", name, "--like", "production", "--grid", timeout=1800)
    trivet("converge", name, timeout=1800)
    return LabState.load(name)


def _cloned(lab: LabState, folder: Path) -> Clone:
    made = Clone(lab, folder)
    shutil.copytree(collection_root() / "demo" / "store", folder)
    made.git("init", "--quiet", "-b", "production")
    made.commit()
    return made


@pytest.fixture(scope="session")
def live(lab: LabState, tmp_path_factory: pytest.TempPathFactory) -> LabState:
    """The lab with the demo shop pushed to it."""
    code, told = _cloned(lab, tmp_path_factory.mktemp("first") / "shop").push()
    assert code == 0, told
    return lab


@pytest.fixture
def clone(live: LabState, tmp_path: Path) -> Clone:
    """The demo shop as it was pushed first, in a work tree of its own."""
    return _cloned(live, tmp_path / "shop")
