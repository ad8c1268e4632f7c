# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of a verdict: states and findings."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass


class State(enum.StrEnum):
    """How it stands with a service.

    ``unknown`` is worse than ``busy``: what nobody could look at may be anything. It is milder than
    ``broken``, so that no known fault hides behind a question that was not answered.
    """

    HEALTHY = "healthy"
    BUSY = "busy"
    UNKNOWN = "unknown"
    BROKEN = "broken"

    @property
    def severity(self) -> int:
        """0 for healthy, rising."""
        return list(State).index(self)

    @property
    def exit_code(self) -> int:
        """As monitoring plugins have it: 0 healthy, 1 busy, 2 broken, 3 unknown."""
        return {State.HEALTHY: 0, State.BUSY: 1, State.BROKEN: 2, State.UNKNOWN: 3}[self]


def worst(states: Iterable[State]) -> State:
    """The worst of several states; healthy when there is none."""
    return max(states, key=lambda state: state.severity, default=State.HEALTHY)


AS_IT_SHOULD_BE = "everything as it should be"
"""The reason of a finding that only says that somebody looked."""


@dataclass(frozen=True)
class Finding:
    """One thing that was found, good or bad."""

    service: str
    node: str | None
    """None when it concerns the whole cluster."""
    state: State
    reason: str
    next_command: str | None = None
    """What the operator runs next; None when there is nothing to do but wait, or nothing at all."""
    by_drain: bool = False
    """True when a drain flag alone is the cause: apart from it there is nothing wrong."""
    softened: bool = False
    """True when it is broken, and told as busy because its service is drained there: somebody is at work on it."""

    @property
    def is_note(self) -> bool:
        """Whether nothing is wrong, and there is something to know all the same."""
        return self.state is State.HEALTHY and self.reason != AS_IT_SHOULD_BE
