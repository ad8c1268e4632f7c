# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/pictures/*.svg: each is drawn from the .yml beside it.

A source has ``title``, ``size`` (width, height), ``boxes`` and ``arrows``.

A box: ``id``, ``at`` (left, top), ``size``, ``text`` (lines; the first is bold) and ``look``: ``frame`` (text at its
top), ``box`` (default), ``accent`` or ``plain`` (no border).

An arrow: ``from`` and ``to``, each ``ID.SIDE`` or ``ID.SIDE.SHARE`` (left, right, top, bottom; share of the side, 0 to
1, by default 0.5), ``text``, ``look`` (``dashed``), ``both: true`` for two heads, ``heads: false`` for none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import yaml

from pages.places import ROOT

FOLDER = "docs/pictures"
LINE = 17
STYLE = """
  text { font: 13px system-ui, "Segoe UI", Roboto, sans-serif; fill: #1f2933; }
  .bold { font-weight: 600; }
  .small { font-size: 12px; fill: #52606d; }
  .frame { fill: #f5f7fa; stroke: #9aa5b1; }
  .box { fill: #ffffff; stroke: #9aa5b1; }
  .accent { fill: #e3f0ff; stroke: #2f6fbf; }
  .plain { fill: none; stroke: none; }
  .arrow { stroke: #52606d; stroke-width: 1.5; fill: none; }
  .dashed { stroke-dasharray: 5 4; }
  .head { fill: #52606d; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e4e7eb; }
    .small { fill: #9aa5b1; }
    .frame { fill: #1b232c; stroke: #52606d; }
    .box { fill: #27313c; stroke: #52606d; }
    .accent { fill: #17375e; stroke: #6ea8e8; }
    .arrow { stroke: #9aa5b1; }
    .head { fill: #9aa5b1; }
  }
"""


def pages() -> dict[str, str]:
    """Every picture, by its path."""
    sources = sorted((ROOT / FOLDER).glob("*.yml"))
    return {
        f"{FOLDER}/{source.stem}.svg": drawn(yaml.safe_load(source.read_text(encoding="utf-8")), source.name)
        for source in sources
    }


def drawn(source: Mapping[str, Any], name: str) -> str:
    """A picture as SVG."""
    width, height = source["size"]
    boxes = {box["id"]: box for box in source["boxes"]}
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label={quoteattr(source["title"])}>',
        f"<!-- Drawn by bin/docs from {FOLDER}/{name}: changes made here are lost. -->",
        f"<title>{escape(source['title'])}</title>",
        f"<style>{STYLE}</style>",
        '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" '
        'orient="auto-start-reverse"><path class="head" d="M0 0 10 5 0 10z"/></marker></defs>',
    ]
    for box in source["boxes"]:
        lines += box_lines(box)
    for arrow in source.get("arrows", []):
        lines += arrow_lines(arrow, boxes)
    return "\n".join([*lines, "</svg>", ""])


def box_lines(box: Mapping[str, Any]) -> Iterable[str]:
    """A box with its text: in the middle, of a frame at the top."""
    (left, top), (width, height) = box["at"], box["size"]
    look = box.get("look", "box")
    texts = box.get("text", [])
    yield f'<rect class="{look}" x="{left}" y="{top}" width="{width}" height="{height}" rx="6"/>'
    begin = top + 20 if look == "frame" else top + height / 2 - (len(texts) - 1) * LINE / 2 + 4.5
    for number, text in enumerate(texts):
        kind = "bold" if number == 0 and look != "plain" else "small"
        place = f'x="{left + width / 2:g}" y="{begin + number * LINE:g}"'
        yield f'<text class="{kind}" {place} text-anchor="middle">{escape(text)}</text>'


def arrow_lines(arrow: Mapping[str, Any], boxes: Mapping[str, Mapping[str, Any]]) -> Iterable[str]:
    """A straight line from side to side, its text beside its middle."""
    (x1, y1), (x2, y2) = end(arrow["from"], boxes), end(arrow["to"], boxes)
    heads = ' marker-end="url(#head)"' if arrow.get("heads", True) else ""
    heads += ' marker-start="url(#head)"' if arrow.get("both") else ""
    look = " ".join(["arrow", *([arrow["look"]] if "look" in arrow else [])])
    yield f'<line class="{look}" x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}"{heads}/>'
    if "text" in arrow:
        anchor, place = ("start", (x1 + x2) / 2 + 7) if abs(x2 - x1) < abs(y2 - y1) else ("middle", (x1 + x2) / 2)
        above = (y1 + y2) / 2 + (4 if anchor == "start" else -6)
        yield f'<text class="small" x="{place:g}" y="{above:g}" text-anchor="{anchor}">{escape(arrow["text"])}</text>'


def end(place: str, boxes: Mapping[str, Mapping[str, Any]]) -> tuple[float, float]:
    """A point on the side of a box.

    Raises:
        KeyError: there is no such box or side.
    """
    name, side, *rest = place.split(".", 2)
    share = float(rest[0]) if rest else 0.5
    (left, top), (width, height) = boxes[name]["at"], boxes[name]["size"]
    return {
        "left": (left, top + share * height),
        "right": (left + width, top + share * height),
        "top": (left + share * width, top),
        "bottom": (left + share * width, top + height),
    }[side]
