# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a file: the file, the line, the key and a sentence."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, order=True)
class Finding:
    """One error, warning or note. Orders by file and line.

    Attributes:
        file: path within the project, with slashes.
        line: from 1; 0 when the whole file is meant.
        key: path of the key, its parts joined by dots; empty when no key is meant.
        message: one sentence for whoever edits the file.
    """

    file: str
    line: int
    key: str
    message: str

    @property
    def told(self) -> str:
        """In one line."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.key}: {self.message}" if self.key else f"{place}: {self.message}"

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return asdict(self)


@dataclass
class Report:
    """Collects what is found, so that everything is told at once.

    Attributes:
        errors: the project cannot be deployed.
        warnings: it can, and something is probably not meant.
        notes: worth knowing; nothing to mend.
    """

    errors: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)
    notes: list[Finding] = field(default_factory=list)

    def error(self, file: str, line: int, key: str, message: str) -> None:
        """Add an error."""
        self.errors.append(Finding(file, line, key, message))

    def warning(self, file: str, line: int, key: str, message: str) -> None:
        """Add a warning."""
        self.warnings.append(Finding(file, line, key, message))

    def note(self, file: str, line: int, key: str, message: str) -> None:
        """Add a note."""
        self.notes.append(Finding(file, line, key, message))


def near(word: str, known: Iterable[str]) -> str:
    """``; did you mean `x`?`` when a known word is near, else nothing."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.7)
    return f"; did you mean `{close[0]}`?" if close else ""
