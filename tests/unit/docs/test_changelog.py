# SPDX-License-Identifier: GPL-3.0-or-later
"""Fragments have the form that antsibull-changelog takes; every release of changelog.yaml is in CHANGELOG.md."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
CONFIG = yaml.safe_load((ROOT / "changelogs" / "config.yaml").read_text())
SECTIONS = {name for name, _title in CONFIG["sections"]} | {CONFIG["trivial_section_name"]}
FRAGMENTS = sorted((ROOT / "changelogs" / "fragments").glob("*.yml"))


@pytest.mark.parametrize("path", FRAGMENTS, ids=lambda path: path.name)
def test_a_fragment_has_sections_with_lists_of_sentences(path: Path) -> None:
    fragment = yaml.safe_load(path.read_text())
    summary = fragment.pop(CONFIG["prelude_section_name"], "")
    assert isinstance(summary, str)
    assert set(fragment) <= SECTIONS
    for entries in fragment.values():
        assert isinstance(entries, list) and entries
        assert all(isinstance(entry, str) and entry.strip() for entry in entries)


def test_every_release_is_in_the_changelog() -> None:
    releases = yaml.safe_load((ROOT / "changelogs" / CONFIG["changes_file"]).read_text())["releases"]
    text = (ROOT / "CHANGELOG.md").read_text()
    assert [version for version in releases if f"## v{version.replace('.', chr(92) + '.')}" not in text] == []
