# SPDX-License-Identifier: GPL-3.0-or-later
"""No fact of a contract stands a second time in roles, playbooks, plugins or the package: it is asked for.

Documented defaults (``meta/argument_specs.yml``) are held to the contracts by ``test_argument_specs``.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from trivet.services.contract import Name, Place, Port, Term
from trivet.services.registry import CONTRACTS

ROOT = Path(__file__).resolve().parents[3]
PORTS = [port for contract in CONTRACTS for port in contract.all_ports]
PLACES = [place for contract in CONTRACTS for place in contract.places]
VERSIONS = [name for contract in CONTRACTS for name in contract.names if name.default[0].isdigit()]
SEARCHED = ("roles", "playbooks", "plugins", "src/trivet")
# Prose: documented defaults and pages.
NOT_SEARCHED = ("argument_specs.yml", "README.md")
COMMON_BELOW = 1024
"""Numbers below this, and round ones, mean other things as well: they count only where they stand as a port."""
ROUND = 10000
NOT_IN_ROLES = tuple(place for place in PLACES if place.setting or place.name.startswith("haproxy_s"))
"""Places whose fixed value a role may not have either. Of the others roles lay the folders out that the agent uses."""


def files() -> Iterator[tuple[Path, str]]:
    for folder in SEARCHED:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and path.suffix != ".pyc" and path.name not in NOT_SEARCHED:
                if path.name == "contract.py" and path.parents[1].name == "services":
                    continue
                text = path.read_text(encoding="utf-8", errors="replace")
                yield path, python_code(text) if path.suffix == ".py" else without_comments(text)


def python_code(text: str) -> str:
    """The source without comments and docstrings, which explain."""
    lines = text.splitlines()
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines[node.lineno - 1 : node.end_lineno] = [""] * ((node.end_lineno or node.lineno) - node.lineno + 1)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    # The documentation of a plugin is prose too.
    return re.sub(r'(DOCUMENTATION|EXAMPLES|RETURN) = r"""', "", "\n".join(lines))


def without_comments(text: str) -> str:
    return re.sub(r"(?m)^\s*(#|//|;).*$|\{#.*?#\}", "", text)


SOURCES = dict(files())


def pattern(term: Term[int] | Term[Path] | Term[str]) -> re.Pattern[str]:
    if isinstance(term, Port):
        number = str(term.default)
        if term.default < COMMON_BELOW or term.default == ROUND:
            return re.compile(rf"(?i)((?<!\[):{number}\b|\bports?\W{{1,4}}{number}\b)")
        return re.compile(rf"(?<![\w.]){number}(?![\w.])")
    return re.compile(rf"(?<![\w/.]){re.escape(str(term.default))}(?![\w-])")


def found(expression: re.Pattern[str], folders: tuple[str, ...]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path, text in SOURCES.items()
        if str(path.relative_to(ROOT)).startswith(folders)
        for line in text.splitlines()
        if expression.search(line)
    ]


@pytest.mark.parametrize("port", PORTS, ids=lambda port: port.name)
def test_a_port_is_nowhere_else(port: Port) -> None:
    assert found(pattern(port), SEARCHED) == []


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name)
def test_a_path_is_nowhere_else(place: Place) -> None:
    everywhere = place in NOT_IN_ROLES
    assert found(pattern(place), SEARCHED if everywhere else ("src/trivet",)) == []


@pytest.mark.parametrize("name", VERSIONS, ids=lambda name: name.name)
def test_a_version_is_nowhere_else(name: Name) -> None:
    assert found(re.compile(rf"(?<![\w.:]){re.escape(name.default)}(?![\w.])"), SEARCHED) == []


def test_a_second_literal_would_be_found() -> None:
    port = next(port for contract in CONTRACTS for port in contract.all_ports if port.name == "redis_cache_port")
    assert pattern(port).search("redis-cli -p 6380 INFO")
    assert not pattern(port).search("max_age 16380")
    assert python_code('"""On port 6380."""\nPORT = 1  # not 6380\n').strip() == "PORT = 1"
