# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that bin/docs writes. A new generator is a function here."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pages import blocks, commands, contracts, keys, pictures, results, roles, rooms
from pages.places import ROOT

WHOLE_PAGES: tuple[Callable[[], dict[str, str]], ...] = (
    roles.pages,
    commands.pages,
    results.pages,
    pictures.pages,
    rooms.pages,
)
"""Each gives whole pages: path from the root → text."""
BLOCKS: dict[str, blocks.Block] = {**results.BLOCKS, **contracts.BLOCKS, **keys.BLOCKS, "rooms": rooms.table}
"""What stands between two marks, by the first word of the mark."""
FOLDERS_OF_PAGES = ("docs/roles", "docs/internals/rooms")
"""Folders in which every page is written by bin/docs: one that is written no more is removed."""


def wanted() -> dict[str, str]:
    """Every page that bin/docs writes, wholly or in part, as it should be."""
    whole = {path: text for make in WHOLE_PAGES for path, text in make().items()}
    return {**whole, **dict(_filled(set(whole)))}


def _filled(whole: set[str]) -> Iterator[tuple[str, str]]:
    for page in sorted([*ROOT.glob("docs/**/*.md"), ROOT / "README.md"]):
        path = page.relative_to(ROOT).as_posix()
        text = page.read_text(encoding="utf-8")
        if path not in whole and blocks.MARK.search(text):
            yield path, blocks.filled(text, path, BLOCKS)
