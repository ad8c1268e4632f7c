# SPDX-License-Identifier: GPL-3.0-or-later
"""When a failure was noticed, and when it was over. Pure; moments are epoch seconds of the lab's machine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Look:
    """One verdict: when its facts were asked for, when it was there, and what it says that is not healthy."""

    asked: float
    answered: float
    healthy: bool
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sighting:
    """A detector of a node said something: HAProxy took a server out, an address moved, the healer wrote it down."""

    at: float
    node: str
    detector: str
    text: str


@dataclass(frozen=True, slots=True)
class Detected:
    """Who noticed first, in seconds from the injection."""

    seconds: float
    by: str


@dataclass(frozen=True, slots=True)
class Recovered:
    """When the verdict was healthy again.

    ``alone`` says that nobody had undone anything yet: the seconds count from the injection, otherwise from the
    undoing.
    """

    seconds: float
    alone: bool


def detected(looks: Iterable[Look], sightings: Iterable[Sighting], injected: float) -> Detected | None:
    """The first word of any detector after the injection; None when none said anything.

    A verdict counts when it was there, not when its question was asked.
    """
    first = [
        Detected(look.answered - injected, "verdict") for look in looks if look.asked >= injected and not look.healthy
    ]
    first += [Detected(item.at - injected, item.detector) for item in sightings if item.at >= injected]
    return min(first, key=lambda item: item.seconds, default=None)


def recovered(looks: Sequence[Look], injected: float, undone: float | None) -> Recovered | None:
    """When the verdict became healthy for good; None when it did not. 0 s when no verdict was ever anything else.

    :param undone: the moment at which the injection had been taken back, if it was.
    """
    after = [look for look in looks if look.asked >= injected]
    ill = [number for number, look in enumerate(after) if not look.healthy]
    if not ill:
        return Recovered(0.0, alone=True) if after else None
    if ill[-1] + 1 == len(after):
        return None
    back = after[ill[-1] + 1]
    if undone is None or back.answered < undone:
        return Recovered(back.answered - injected, alone=True)
    return Recovered(max(0.0, back.answered - undone), alone=False)


def settled(looks: Sequence[Look], since: float, stable: float) -> bool:
    """Whether every verdict of the last ``stable`` seconds is healthy, of those asked for since a moment."""
    streak: list[Look] = []
    for look in reversed(looks):
        if not look.healthy or look.asked < since:
            break
        streak.append(look)
    return len(streak) > 1 and streak[0].asked - streak[-1].asked >= stable
