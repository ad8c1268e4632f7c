# SPDX-License-Identifier: GPL-3.0-or-later
"""A mapping of one of the files while it is read: takes values out by key, and tells what does not fit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from trivet.project.findings import Report, near
from trivet.project.keys import Key, Use
from trivet.project.reader import Leaf, Listing, Pair, Table, Value


class Section:
    """A mapping with its place.

    Args:
        table: the mapping.
        file: path of the file within the project.
        path: keys that lead to it.
        report: takes what does not fit.
    """

    def __init__(self, table: Table, file: str, path: tuple[str, ...], report: Report) -> None:
        self.table = table
        self.file = file
        self.path = path
        self.report = report

    def __iter__(self) -> Iterator[Pair]:
        """The pairs whose keys count: those that start with a dot are ignored everywhere, as on the platform."""
        return (pair for pair in self.table if not pair.key.startswith("."))

    def has(self, key: str) -> bool:
        """Whether the key is given, with whatever value."""
        return self.table.get(key) is not None

    def line(self, key: str | None = None) -> int:
        """The line of a key; the section's own without one."""
        pair = self.table.get(key) if key is not None else None
        return pair.line if pair is not None else self.table.line

    def name(self, *keys: str) -> str:
        """The path of a key, for messages."""
        return ".".join((*self.path, *keys))

    def error(self, key: str, message: str) -> None:
        """Add an error about a key."""
        self.report.error(self.file, self.line(key), self.name(key), message)

    def warning(self, key: str, message: str) -> None:
        """Add a warning about a key."""
        self.report.warning(self.file, self.line(key), self.name(key), message)

    def note(self, key: str, message: str) -> None:
        """Add a note about a key."""
        self.report.note(self.file, self.line(key), self.name(key), message)

    def only(self, keys: Iterable[Key]) -> None:
        """Warn about keys that nobody reads, and by name about those that are documented and not served here."""
        known = {key.name: key for key in keys}
        for pair in self:
            if pair.key not in known:
                self.warning(pair.key, f"nobody reads this key{near(pair.key, known)}")
            elif known[pair.key].use is Use.IGNORED:
                self.warning(pair.key, "is documented by the platform and not served here; it is ignored")

    def text(self, key: str, default: str = "") -> str:
        """A text; a number or truth value is taken as it would be written."""
        pair = self.table.get(key)
        if pair is None or (isinstance(pair.value, Leaf) and pair.value.value is None):
            return default
        if isinstance(pair.value, Leaf):
            return as_text(pair.value)
        self.error(key, f"must be text, not {_article(pair.value)}")
        return default

    def number(self, key: str, default: int | None = None) -> int | None:
        """A whole number."""
        pair = self.table.get(key)
        if pair is None:
            return default
        if (
            isinstance(pair.value, Leaf)
            and isinstance(pair.value.value, int)
            and not isinstance(pair.value.value, bool)
        ):
            return pair.value.value
        self.error(key, f"must be a whole number, not {_article(pair.value)}")
        return default

    def truth(self, key: str, default: bool) -> bool:
        """True or false."""
        pair = self.table.get(key)
        if pair is None:
            return default
        if isinstance(pair.value, Leaf) and isinstance(pair.value.value, bool):
            return pair.value.value
        self.error(key, f"must be true or false, not {_article(pair.value)}")
        return default

    def texts(self, key: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        """A list of texts."""
        pair = self.table.get(key)
        if pair is None or (isinstance(pair.value, Leaf) and pair.value.value is None):
            return default
        if isinstance(pair.value, Listing):
            items = [item for item in pair.value.items if isinstance(item, Leaf)]
            if len(items) == len(pair.value.items):
                return tuple(as_text(item) for item in items)
        self.error(key, f"must be a list of texts, not {_article(pair.value)}")
        return default

    def section(self, key: str) -> Section:
        """The mapping behind a key; an empty one when it is not given or is none."""
        pair = self.table.get(key)
        path = (*self.path, key)
        if pair is not None and isinstance(pair.value, Table):
            return Section(pair.value, self.file, path, self.report)
        if pair is not None and not (isinstance(pair.value, Leaf) and pair.value.value is None):
            self.error(key, f"must be a mapping of keys to values, not {_article(pair.value)}")
        return Section(Table((), self.line(key)), self.file, path, self.report)


def as_text(leaf: Leaf) -> str:
    """A scalar as a process would get it: ``true``, never ``True``."""
    if isinstance(leaf.value, bool):
        return "true" if leaf.value else "false"
    if isinstance(leaf.value, float) and leaf.value.is_integer():
        return str(int(leaf.value))
    return "" if leaf.value is None else str(leaf.value)


def _article(value: Value) -> str:
    if isinstance(value, Leaf):
        return f"`{as_text(value)}`" if value.value is not None else "nothing"
    return "a list" if isinstance(value, Listing) else "a mapping"
