# SPDX-License-Identifier: GPL-3.0-or-later
"""A picture is drawn from its source: whole, inside its frame, and readable by an XML parser."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from pages import pictures
from pages.places import ROOT

SOURCES = sorted((ROOT / pictures.FOLDER).glob("*.yml"))
SVG = "{http://www.w3.org/2000/svg}"


def source(**more: Any) -> dict[str, Any]:
    boxes = [
        {"id": "a", "at": [10, 10], "size": [100, 40], "text": ["One & two", "<three>"]},
        {"id": "b", "at": [210, 10], "size": [100, 40], "look": "accent"},
    ]
    return {"title": 'A "picture"', "size": [320, 60], "boxes": boxes, **more}


def test_boxes_texts_and_arrows_are_drawn() -> None:
    arrows = [{"from": "a.right", "to": "b.left.0.25", "text": "to", "look": "dashed", "both": True}]
    root = ElementTree.fromstring(pictures.drawn(source(arrows=arrows), "a.yml"))
    assert [text.text for text in root.iter(f"{SVG}text")] == ["One & two", "<three>", "to"]
    (line,) = root.iter(f"{SVG}line")
    assert [line.get(name) for name in ("x1", "y1", "x2", "y2")] == ["110", "30", "210", "20"]
    assert line.get("class") == "arrow dashed" and line.get("marker-start") and line.get("marker-end")


@pytest.mark.parametrize("place", ["c.left", "a.middle"])
def test_an_arrow_that_leads_nowhere_is_an_error(place: str) -> None:
    with pytest.raises(KeyError):
        pictures.drawn(source(arrows=[{"from": "a.right", "to": place}]), "a.yml")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_every_box_is_inside_of_its_picture(path: Any) -> None:
    found = yaml.safe_load(path.read_text())
    width, height = found["size"]
    for box in found["boxes"]:
        (left, top), (wide, high) = box["at"], box["size"]
        assert left >= 0 and left + wide <= width and top >= 0 and top + high <= height, box["id"]
    assert len({box["id"] for box in found["boxes"]}) == len(found["boxes"])
