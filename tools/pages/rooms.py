# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/internals/rooms/: a page for each room of ``src/trivet``, from its docstrings and its imports."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

from pages.places import ROOT

SOURCE = ROOT / "src" / "trivet"
FOLDER = "docs/internals/rooms"
WRITTEN = "<!-- Written by bin/docs from docstrings and imports of src/trivet/{room}/: changes made here are lost. -->"
HOW: dict[str, tuple[str, ...]] = {
    "agent": ("agent", "healing", "hold", "gateway"),
    "ansible": ("ansible", "roles"),
    "chaos": ("failure-suite",),
    "grid": ("lab",),
    "health": ("verdict",),
    "lab": ("lab",),
    "remote": ("reaching-nodes",),
    "rotation": ("rotation", "hold", "gateway"),
    "run": ("journal-and-lease",),
    "scaling": ("web-nodes",),
    "services": ("contracts", "clusters"),
    "verdict": ("verdict",),
}
"""Pages of docs/internals/ that tell how a room does its work."""


def floors() -> list[list[str]]:
    """The rooms from the top to the bottom; those of one floor do not import one another."""
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    layers = next(one["layers"] for one in tools["importlinter"]["contracts"] if one["type"] == "layers")
    return [re.findall(r"trivet\.(\w+)", layer) for layer in layers]


def pages() -> dict[str, str]:
    """A page for each room, and the list of them."""
    order = [room for floor in floors() for room in floor if (SOURCE / room).is_dir()]
    imports = {room: imported(SOURCE / room) for room in order}
    texts = {room: page(room, imports) for room in order}
    lines = [WRITTEN.format(room="*"), "", "# Rooms", "", table(""), ""]
    return {f"{FOLDER}/README.md": "\n".join(lines), **{f"{FOLDER}/{room}.md": text for room, text in texts.items()}}


def table(prefix: str = "internals/rooms/") -> str:
    """The rooms from the top to the bottom, each with what it is."""
    rows = [
        f"| [{room}]({prefix}{room}.md) | {first_line(SOURCE / room / '__init__.py')} |"
        for floor in floors()
        for room in floor
        if (SOURCE / room).is_dir()
    ]
    return "\n".join(["| room | what it is |", "|---|---|", *rows])


def page(room: str, imports: dict[str, set[str]]) -> str:
    """The page of one room."""
    lines = [WRITTEN.format(room=room), "", f"# Room `trivet.{room}`", ""]
    lines += [*paragraphs(docstring(SOURCE / room / "__init__.py")), ""]
    above = [other for other, theirs in imports.items() if room in theirs]
    lines += [f"- **Imports** {links(sorted(imports[room]))}.", f"- **Is imported by** {links(above)}."]
    if how := [name for name in HOW.get(room, ()) if (ROOT / "docs" / "internals" / f"{name}.md").is_file()]:
        lines.append(f"- **How it works**: {' · '.join(f'[{name}](../{name}.md)' for name in how)}.")
    lines += ["", "| module | what it is |", "|---|---|"]
    for path in modules(SOURCE / room):
        lines.append(f"| `{path.relative_to(SOURCE / room).as_posix()}` | {first_line(path)} |")
    return "\n".join([*lines, ""])


def modules(folder: Path) -> list[Path]:
    """Its modules that say something, those of folders in it after its own; a folder by its ``__init__``."""
    found = [path for path in folder.rglob("*.py") if path.parent != folder or path.name != "__init__.py"]
    return sorted(
        (path for path in found if docstring(path)), key=lambda path: (path.parent != folder, path.as_posix())
    )


def links(rooms: list[str]) -> str:
    """Rooms as links."""
    return ", ".join(f"[{room}]({room}.md)" for room in rooms) or "none"


def imported(folder: Path) -> set[str]:
    """The other rooms that a room imports from."""
    found: set[str] = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if names == ["trivet"] and isinstance(node, ast.ImportFrom):
                names = [f"trivet.{name.name}" for name in node.names]
            if isinstance(node, ast.Import):
                names = [name.name for name in node.names]
            found |= {name.split(".")[1] for name in names if name.startswith("trivet.")}
    return {room for room in found - {folder.name} if (SOURCE / room).is_dir()}


def docstring(path: Path) -> str:
    """The docstring of a module."""
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def first_line(path: Path) -> str:
    """The first sentence of a module's docstring, as one cell."""
    return " ".join(paragraphs(docstring(path))[0:1]).replace("|", "\\|")


def paragraphs(text: str) -> list[str]:
    """A docstring as Markdown: roles and double backticks as code, examples as blocks."""
    lines: list[str] = []
    for block in text.split("\n\n"):
        if block.lstrip().startswith(">>>"):
            lines += ["```python", *block.splitlines(), "```", ""]
        elif block.startswith("- "):
            lines += [re.sub(r"\n +", " ", marked(block)), ""]
        else:
            lines += [" ".join(marked(block).split()), ""]
    return lines[:-1]


def marked(text: str) -> str:
    """Roles of Sphinx and double backticks as Markdown's code."""
    return re.sub(r":\w+:`~?([^`]*)`", r"`\1`", text).replace("``", "`")
