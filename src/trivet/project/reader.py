# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads YAML as the platform does, and keeps the line of every key.

PyYAML alone reads another language: it cannot scan ``!php/const:\\PDO::X`` (ece-tools writes it, also as a key), takes
duplicate keys without a word, and reads ``yes`` as true. ece-tools uses Symfony's parser, whose scalars these are
(symfony/yaml 5, ``Inline::evaluateScalar``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from yaml import tokens
from yaml.composer import Composer
from yaml.error import MarkedYAMLError, YAMLError
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.parser import Parser
from yaml.reader import Reader, ReaderError
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner

from trivet.project.findings import Report

CONSTANT_TAG = "!php/const"
MOST_VALUES = 100_000
"""A file has hundreds; ten lines of aliases of aliases have billions."""
CONFLICT = re.compile(r"^(<{7} |>{7} )")


@dataclass(frozen=True)
class Constant:
    """A constant of PHP, such as ``\\PDO::MYSQL_ATTR_LOCAL_INFILE``; ece-tools gives it its value."""

    name: str

    def __str__(self) -> str:
        return f"!php/const {self.name}"


@dataclass(frozen=True)
class Tagged:
    """A value behind another tag, such as ``!include``."""

    tag: str
    text: str


Plain = str | int | float | bool | None | Constant | Tagged


@dataclass(frozen=True)
class Leaf:
    """A scalar."""

    value: Plain
    line: int

    @property
    def kind(self) -> str:
        """The name of its type, as PHP (and so ece-tools) calls it."""
        if isinstance(self.value, bool):
            return "boolean"
        if isinstance(self.value, int):
            return "integer"
        if isinstance(self.value, float):
            return "double"
        return "NULL" if self.value is None else "string"


@dataclass(frozen=True)
class Listing:
    """A sequence."""

    items: tuple[Value, ...]
    line: int
    kind = "array"


@dataclass(frozen=True)
class Pair:
    """A key of a mapping with its value; ``line`` is the key's."""

    key: str
    line: int
    value: Value


@dataclass(frozen=True)
class Table:
    """A mapping, in the file's order; keys are text, as the files mean them."""

    pairs: tuple[Pair, ...]
    line: int
    kind = "array"

    def get(self, key: str) -> Pair | None:
        """The pair of a key."""
        return next((pair for pair in self.pairs if pair.key == key), None)

    def __iter__(self) -> Iterator[Pair]:
        return iter(self.pairs)


Value = Leaf | Listing | Table


def plain(value: Value) -> Any:
    """The value as data for JSON."""
    if isinstance(value, Listing):
        return [plain(item) for item in value.items]
    if isinstance(value, Table):
        return {pair.key: plain(pair.value) for pair in value}
    if isinstance(value.value, Tagged):
        return f"{value.value.tag} {value.value.text}"
    return str(value.value) if isinstance(value.value, Constant) else value.value


class _Loader(Reader, Scanner, Parser, Composer, BaseResolver):
    """PyYAML's parts, with a scanner that knows the tag of a constant; its name may follow a colon."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        BaseResolver.__init__(self)

    def scan_tag(self) -> tokens.TagToken:
        if self.prefix(len(CONSTANT_TAG)) != CONSTANT_TAG:
            token: tokens.TagToken = super().scan_tag()
            return token
        start = self.get_mark()
        self.forward(len(CONSTANT_TAG))
        if self.peek() == ":":
            self.forward()
        return tokens.TagToken(("!", CONSTANT_TAG[1:]), start, self.get_mark())


def read(content: bytes, file: str, report: Report) -> Table | None:
    """Read one file.

    Args:
        content: what the file has; a byte order mark and CR LF are no part of it.
        file: its path within the project, for messages.
        report: takes the errors.

    Returns:
        Its top-level mapping; None when the file is empty, has only comments, or could not be read.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = content[: problem.start].count(b"\n") + 1
        report.error(file, line, "", f"byte {problem.start} is not UTF-8; save the file as UTF-8")
        return None
    for number, row in enumerate(text.splitlines(), 1):
        if CONFLICT.match(row):
            report.error(file, number, "", "a merge conflict was committed; keep one side and remove the markers")
            return None
    node = _composed(text, file, report)
    if node is None:
        return None
    value = _Converter(file, report).value(node, ())
    if isinstance(value, Table):
        return value
    if not (isinstance(value, Leaf) and value.value is None):
        report.error(file, value.line, "", "the file must be a mapping of keys to values")
    return None


def _composed(text: str, file: str, report: Report) -> Node | None:
    try:
        node: Node | None = _Loader(text).get_single_node()
        return node
    except MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        line = mark.line + 1 if mark is not None else 0
        report.error(file, line, "", _words(problem, text, line))
    except ReaderError as problem:
        line = text[: problem.position].count("\n") + 1
        report.error(file, line, "", f"the character {chr(problem.character)!r} is not allowed in YAML")
    except YAMLError as problem:
        report.error(file, 0, "", f"cannot be read as YAML: {problem}")
    return None


def _words(problem: MarkedYAMLError, text: str, line: int) -> str:
    """What is wrong with the syntax, and where in the line."""
    rows = text.splitlines()
    row = rows[line - 1] if 0 < line <= len(rows) else ""
    indentation = row[: len(row) - len(row.lstrip())]
    if "\t" in indentation:
        column = indentation.index("\t") + 1
        shown = row.replace("\t", "→", indentation.count("\t"))
        return f"column {column}: a tab is used for indentation, which YAML forbids; use spaces: {shown}"
    column = problem.problem_mark.column + 1 if problem.problem_mark is not None else 0
    return f"column {column}: {problem.problem or problem.context}: {row.strip()}"


class _Converter:
    """From PyYAML's nodes to values; finds keys that are given twice."""

    def __init__(self, file: str, report: Report) -> None:
        self._file = file
        self._report = report
        self._values = 0
        self._open: set[int] = set()

    def value(self, node: Node, path: tuple[str, ...]) -> Value:
        line = node.start_mark.line + 1
        self._values += 1
        if not isinstance(node, MappingNode | SequenceNode):
            return Leaf(_scalar(node), line)
        if self._values > MOST_VALUES or id(node) in self._open:
            self._refuse(node, path)
            return Leaf(None, line)
        self._open.add(id(node))
        try:
            if isinstance(node, MappingNode):
                return Table(tuple(self._pairs(node, path).values()), line)
            return Listing(tuple(self.value(item, (*path, str(n))) for n, item in enumerate(node.value)), line)
        finally:
            self._open.discard(id(node))

    def _refuse(self, node: Node, path: tuple[str, ...]) -> None:
        """Tell an alias that never ends, or aliases that make a small file endless; only once."""
        what = "an alias contains itself" if id(node) in self._open else f"aliases make more than {MOST_VALUES} values"
        if not any(finding.message == what for finding in self._report.errors):
            self._report.error(self._file, node.start_mark.line + 1, ".".join(path), what)

    def _pairs(self, node: MappingNode, path: tuple[str, ...]) -> Mapping[str, Pair]:
        own: dict[str, Pair] = {}
        merged: dict[str, Pair] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if isinstance(key_node, ScalarNode) and key_node.style is None and key_node.value == "<<":
                merged = {**self._merge(value_node, path, line), **merged}
                continue
            key = _key(key_node)
            where = (*path, key)
            if (first := own.get(key)) is not None:
                message = f"key `{key}` is given a second time (first at line {first.line}); put both under the first"
                self._report.error(self._file, line, ".".join(where), message)
                continue
            own[key] = Pair(key, line, self.value(value_node, where))
        inherited = {key: pair for key, pair in merged.items() if key not in own}
        return {**inherited, **own}

    def _merge(self, node: Node, path: tuple[str, ...], line: int) -> dict[str, Pair]:
        """The pairs that ``<<`` brings; of several mappings the first wins."""
        sources = node.value if isinstance(node, SequenceNode) else [node]
        found: dict[str, Pair] = {}
        for source in sources:
            if not isinstance(source, MappingNode):
                self._report.error(self._file, line, ".".join((*path, "<<")), "`<<` needs a mapping to merge")
                continue
            found = {**self._pairs(source, path), **found}
        return found


def _key(node: Node) -> str:
    if isinstance(node, ScalarNode):
        return str(Constant(node.value)) if node.tag == CONSTANT_TAG else str(node.value)
    return "?"


def _scalar(node: Node) -> Plain:
    if node.tag == CONSTANT_TAG:
        return Constant(str(node.value))
    if node.tag is not None and node.tag.startswith("!") and node.tag != "!":
        return Tagged(node.tag, str(node.value))
    quoted = isinstance(node, ScalarNode) and node.style is not None
    return str(node.value) if quoted else evaluated(str(node.value))


def evaluated(text: str) -> str | int | float | bool | None:
    """What an unquoted scalar is, by Symfony's rules: ``yes`` and ``12:30`` stay text, ``010`` is octal."""
    low = text.lower()
    if text in ("", "~") or low == "null":
        return None
    if low in ("true", "false"):
        return low == "true"
    if low in (".inf", "+.inf"):
        return float("inf")
    if low == "-.inf":
        return float("-inf")
    if low == ".nan":
        return float("nan")
    return _number(text)


def _number(text: str) -> str | int | float:
    digits = text.replace("_", "") if re.fullmatch(r"[+-]?[0-9][0-9_]*", text) else text
    if re.fullmatch(r"0[0-7]+", digits):
        return int(digits, 8)
    if re.fullmatch(r"-?[0-9]+", digits):
        return int(digits) if str(int(digits)) == digits else digits
    if re.fullmatch(r"0[xX][0-9a-fA-F_]+", text):
        return int(text.replace("_", ""), 16)
    if re.fullmatch(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", digits):
        return float(digits)
    return text
