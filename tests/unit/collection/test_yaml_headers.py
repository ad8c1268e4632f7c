# SPDX-License-Identifier: GPL-3.0-or-later
"""Every YAML file of the roles and playbooks begins alike."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_a_file_begins_with_its_document_and_its_licence() -> None:
    files = [path for folder in ("roles", "playbooks", "meta") for path in (ROOT / folder).rglob("*.yml")]
    assert files
    header = "---\n# SPDX-License-Identifier: GPL-3.0-or-later\n"
    assert [path for path in files if not path.read_text(encoding="utf-8").startswith(header)] == []
