# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture of the house and the pages of its rooms are true: every room, on its floor, with what it imports."""

from __future__ import annotations

import re

import yaml
from pages import pictures, rooms
from pages.places import ROOT


def test_every_room_is_on_a_floor() -> None:
    there = {path.parent.name for path in rooms.SOURCE.glob("*/__init__.py")}
    assert {room for floor in rooms.floors() for room in floor if (rooms.SOURCE / room).is_dir()} == there


def test_the_picture_has_every_room_on_its_floor() -> None:
    source = yaml.safe_load((ROOT / pictures.FOLDER / "house.yml").read_text())
    heights = {box["id"]: box["at"][1] for box in source["boxes"]}
    floors = [[room for room in floor if (rooms.SOURCE / room).is_dir()] for floor in rooms.floors()]
    drawn = [{heights.get(room) for room in floor} for floor in floors if floor]
    assert all(len(floor) == 1 for floor in drawn), drawn
    tops = [top for floor in drawn for top in floor]
    assert None not in tops and tops == sorted(top for top in tops if top is not None)


def test_a_room_tells_what_it_imports_and_who_imports_it() -> None:
    page = rooms.pages()[f"{rooms.FOLDER}/rotation.md"]
    assert re.search(r"\*\*Imports\*\* .*\[run\]\(run\.md\)", page)
    assert re.search(r"\*\*Is imported by\*\* .*\[api\]\(api\.md\)", page)
    assert "| `engine.py` | " in page


def test_docstrings_become_markdown() -> None:
    assert rooms.paragraphs("See :mod:`trivet.run`, ``x``.\nMore.\n\n- a\n  b\n- c") == [
        "See `trivet.run`, `x`. More.",
        "",
        "- a b\n- c",
    ]
