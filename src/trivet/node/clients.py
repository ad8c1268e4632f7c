# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients of a service that leaves its node: who stays connected, who can be sent away, who would be cut. Pure, but for
the two loops at the end.

A web request ends by itself. A cron or a queue consumer keeps its connection for hours, and connects again when the
server has closed it between two of its commands; so such a connection is closed while it is *free*: idle, outside of a
transaction, without a lock. Whoever is never seen free would be cut, which a person decides.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

STAYS_SECONDS = 10.0
"""How old a connection is that is not a web request's. It ends between two commands of its client, not of a request."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A connection in one look.

    Args:
        number: the server's own; later connections have larger ones.
        free: whether the server may close it now without a loss.
        words: who it is, for an operator.
        age: seconds since it was made, where the server says so.
    """

    number: int
    free: bool
    words: str
    age: float = 0.0


Look = Callable[[], Sequence[Seen]]


class Watch:
    """What is known of the connections that were there at the first look; later ones are not this watch's concern."""

    def __init__(self, first: Iterable[Seen], now: float) -> None:
        self._present = {item.number: item for item in first}
        self._since = {item.number: now - item.age for item in self._present.values()}
        self._freed = {item.number for item in self._present.values() if item.free}
        self._now = now

    def see(self, look: Iterable[Seen], now: float) -> None:
        """Take one more look in."""
        self._present = {
            item.number: item for item in look if item.number in self._since and item.number in self._present
        }
        self._freed |= {item.number for item in self._present.values() if item.free}
        self._now = now

    @property
    def over(self) -> bool:
        """Whether each one has ended, or stays and can be sent away."""
        return all(number in self._freed and self._stays(number) for number in self._present)

    @property
    def staying(self) -> tuple[Seen, ...]:
        """Those that are still there."""
        return tuple(self._present.values())

    @property
    def kept(self) -> tuple[Seen, ...]:
        """Those that were not free at any look: a hand-over would cut them."""
        return tuple(item for number, item in self._present.items() if number not in self._freed)

    def _stays(self, number: int) -> bool:
        return self._now - self._since[number] >= STAYS_SECONDS


def watch(look: Look, seconds: float, poll: float) -> Watch:
    """Look until each connection of the first look has ended or can be sent away, for so long at most."""
    began = time.monotonic()
    seen = Watch(look(), began)
    while not seen.over and time.monotonic() - began < seconds:
        time.sleep(poll)
        seen.see(look(), time.monotonic())
    return seen


def answer(seen: Watch) -> dict[str, object]:
    """What an agent tells of a watch.

    Returns:
        ``staying``, how many are still there, ``newest``, the largest number of these (0 without any), ``present``,
        who they are, and ``kept``, whom of them a hand-over would cut; both in words.
    """
    numbers = [item.number for item in seen.staying]
    return {
        "staying": len(numbers),
        "newest": max(numbers, default=0),
        "present": [item.words for item in seen.staying],
        "kept": [item.words for item in seen.kept],
    }


def close(
    look: Look, end: Callable[[Collection[int]], None], newest: int, seconds: float, poll: float
) -> dict[str, object]:
    """Close the connections up to a number, each as soon as it is free, for so long at most.

    Args:
        end: closes these connections at the server; one that is not free any more is left.
        newest: later connections are left alone.

    Returns:
        ``closed``, how many are gone, and ``left``, in words, who is still there.
    """
    until = time.monotonic() + seconds
    left = {item.number: item for item in look() if item.number <= newest}
    began = len(left)
    while left:
        if free := [item.number for item in left.values() if item.free]:
            end(free)
        if time.monotonic() >= until:
            break
        time.sleep(poll)
        left = {item.number: item for item in look() if item.number <= newest}
    return {"closed": began - len(left), "left": [item.words for item in left.values()]}
