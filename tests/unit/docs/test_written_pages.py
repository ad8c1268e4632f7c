# SPDX-License-Identifier: GPL-3.0-or-later
"""Pages and blocks that bin/docs writes are what it would write now."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pages import blocks, commands

ROOT = Path(__file__).resolve().parents[3]


def test_what_bin_docs_writes_is_up_to_date() -> None:
    completed = subprocess.run(
        [sys.executable, str(ROOT / "bin" / "docs"), "--check"], capture_output=True, text=True, check=False
    )
    assert completed.returncode == 0, completed.stderr


def test_every_role_has_a_page() -> None:
    roles = {path.name for path in (ROOT / "roles").iterdir() if path.is_dir()}
    assert {path.stem for path in (ROOT / "docs" / "roles").glob("*.md")} - {"README"} == roles


def test_every_command_is_on_the_page_of_commands() -> None:
    text = commands.pages()[commands.PATH]
    for command in ("trivet converge", "trivet lab up", "trivet rotation resume", "trivet chaos"):
        assert f"\n## {command}\n" in text
    assert "| `--size SIZE` | CPU total of the three nodes: 6, 12, 24, 48 or 96. Required. |" in text


def test_a_block_in_a_sentence_and_one_that_is_a_table_are_filled() -> None:
    text = "It took <!-- bin/docs: seconds x -->old<!-- end --> s.\n<!-- bin/docs: table -->\nold\n<!-- end -->\n"
    made = blocks.filled(text, "page.md", {"seconds": lambda what: f"9 {what}", "table": lambda: "a\nb"})
    assert made == (
        "It took <!-- bin/docs: seconds x -->9 x<!-- end --> s.\n<!-- bin/docs: table -->\na\nb\n<!-- end -->\n"
    )
    assert blocks.filled(made, "page.md", {"seconds": lambda what: f"9 {what}", "table": lambda: "a\nb"}) == made


def test_a_mark_that_nobody_fills_is_an_error() -> None:
    with pytest.raises(blocks.UnknownBlock, match=r"page\.md: nothing"):
        blocks.filled("<!-- bin/docs: nothing --><!-- end -->", "page.md", {})
