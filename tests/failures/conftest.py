# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab like production for changes that are broken off: `bin/test failures`.

The lab is the one that TRIVET_FAILURES_LAB names, by default ``failures``; it is made when missing, and left standing.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from tests.failures.commands import healthy, trivet
from trivet.api import Environment
from trivet.lab import LabState
from trivet.paths import shop_directory

HEALTHY_SECONDS = 300


@pytest.fixture(scope="session")
def lab() -> LabState:
    """The lab, converged and healthy."""
    name = os.environ.get("TRIVET_FAILURES_LAB", "failures")
    trivet("lab", "up", name, "--like", "production", timeout=1800)
    trivet("converge", name, timeout=1800)
    return LabState.load(name)


@pytest.fixture
def environment(lab: LabState) -> Environment:
    """The environment, which must be healthy before a test and is to be so after it."""
    deadline = time.monotonic() + HEALTHY_SECONDS
    while not healthy(lab.name):
        assert time.monotonic() < deadline, f"{lab.name} is not healthy: trivet status {lab.name}"
        time.sleep(3)
    return Environment.load(lab.name)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """The demo shop's project, to be changed from release to release."""
    return Path(shutil.copytree(shop_directory(), tmp_path / "shop"))
