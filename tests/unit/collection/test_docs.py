# SPDX-License-Identifier: GPL-3.0-or-later
"""The generated pages of the roles are what bin/docs would write now."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_the_pages_of_the_roles_are_up_to_date() -> None:
    completed = subprocess.run(
        [sys.executable, str(ROOT / "bin" / "docs"), "--check"], capture_output=True, text=True, check=False
    )
    assert completed.returncode == 0, completed.stderr


def test_every_role_has_a_page() -> None:
    roles = {path.name for path in (ROOT / "roles").iterdir() if path.is_dir()}
    assert {path.stem for path in (ROOT / "docs" / "roles").glob("*.md")} - {"README"} == roles
