# SPDX-License-Identifier: GPL-3.0-or-later
"""What the failure suite tells while it goes on: one class for each kind of event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from trivet.chaos.row import Row
from trivet.run.events import Event


@dataclass(frozen=True, slots=True)
class ScenarioBegan(Event):
    """A scenario begins.

    :param place: which one of how many.
    """

    kind: ClassVar[str] = "scenario"
    scenario: str
    place: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Injecting(Event):
    """Something is broken now.

    :param struck: names of the nodes that it strikes.
    """

    kind: ClassVar[str] = "injecting"
    scenario: str
    struck: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Undone(Event):
    """What was broken is undone, so many seconds after it was."""

    kind: ClassVar[str] = "undone"
    scenario: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Mending(Event):
    """The lab did not recover in time: what a human would do is done."""

    kind: ClassVar[str] = "mending"
    scenario: str
    text: str


@dataclass(frozen=True, slots=True)
class SuiteNoted(Event):
    """Something that an operator should know.

    :param scenario: None when it is about none.
    """

    kind: ClassVar[str] = "note"
    text: str
    scenario: str | None = None


@dataclass(frozen=True, slots=True)
class RowMade(Event):
    """A scenario ended, and this is its row."""

    kind: ClassVar[str] = "row"
    row: Row

    def to_dict(self) -> dict[str, Any]:
        """As JSON data: the row's own keys."""
        return {"event": self.kind, **self.row.to_dict()}
