# SPDX-License-Identifier: GPL-3.0-or-later
"""What a change tells while it goes on: one class for each kind of event, and its form as JSON data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened."""

    kind: ClassVar[str]
    """Its name in JSON."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON data: ``event`` is the kind; a field that is None does not apply and is left out."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {"event": self.kind, **{name: value for name, value in values.items() if value is not None}}


@dataclass(frozen=True, slots=True)
class RunBegan(Event):
    """A change begins, or is gone on with.

    :param journal: id of the journal that it is written to.
    :param summary: what it is, in words.
    :param plan: what it will do, as JSON data.
    """

    kind: ClassVar[str] = "plan"
    journal: str
    summary: str
    plan: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As JSON data: the plan's own keys, and the journal."""
        return {"event": self.kind, **self.plan, "journal": self.journal}


@dataclass(frozen=True, slots=True)
class Replanned(Event):
    """Something will be done otherwise than the plan that was shown says."""

    kind: ClassVar[str] = "replanned"
    reason: str


@dataclass(frozen=True, slots=True)
class StepBegan(Event):
    """A step begins.

    :param node: None where it is done for all nodes of the change at once.
    """

    kind: ClassVar[str] = "step begins"
    step: str
    node: str | None = None


@dataclass(frozen=True, slots=True)
class StepEnded(Event):
    """A step was done, in seconds of wall clock."""

    kind: ClassVar[str] = "step ends"
    step: str
    seconds: float
    node: str | None = None


@dataclass(frozen=True, slots=True)
class Progressed(Event):
    """Within a step something was done, or is waited for."""

    kind: ClassVar[str] = "progress"
    node: str
    text: str


@dataclass(frozen=True, slots=True)
class LeaseTold(Event):
    """The lease of a dead runner is waited for, or was taken over."""

    kind: ClassVar[str] = "lease"
    text: str


@dataclass(frozen=True, slots=True)
class Noted(Event):
    """Something that an operator should know, and that stops nothing."""

    kind: ClassVar[str] = "note"
    text: str


@dataclass(frozen=True, slots=True)
class Reported(Event):
    """The report was written; paths of its two files."""

    kind: ClassVar[str] = "report"
    html: str
    json: str


@dataclass(frozen=True, slots=True)
class ProbeBegan(Event):
    """The probe begins to ask.

    :param rate: requests per second.
    :param contract: what kind of application is asked.
    :param events: the file that its own events go to.
    """

    kind: ClassVar[str] = "probe"
    rate: float
    contract: str
    urls: tuple[str, ...]
    events: str


@dataclass(frozen=True, slots=True)
class ProbeSeen(Event):
    """What the probe saw up to here, after a step."""

    kind: ClassVar[str] = "live"
    requests: int
    failures: int
    p99_ms: int


Listener = Callable[[Event], None]


def unheard(event: Event) -> None:
    """A listener that hears nothing."""
