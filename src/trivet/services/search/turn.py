# SPDX-License-Identifier: GPL-3.0-or-later
"""The search engine in a node's turn: shards stay where they are, and its first searches are no customer's."""

from __future__ import annotations

from trivet.errors import RemoteError
from trivet.rotation.turn import DRAIN_EXPIRES_SECONDS, OnTurn, Turn

PLACED_SECONDS = 6.0


def keep_shards(on: OnTurn) -> None:
    """Have the cluster make no copies anew of what is away, and write down what is not yet on disk."""
    mine = ("--owner", on.owner, "--expires", str(DRAIN_EXPIRES_SECONDS))
    on.agent("search", "allocation", "primaries", *mine, timeout=60)
    on.agent("search", "flush", timeout=120)


def warm(on: OnTurn) -> None:
    """Have the engine answer searches while no customer's reach it, and the cluster place its shards again."""
    try:
        answer = on.agent("search", "warm", timeout=30)
        first, last = answer["first_ms"], answer["last_ms"]
        on.tell(f"the search engine's first search took {first:.0f} ms, its last {last:.0f} ms")
    except RemoteError as error:
        # Whether it is healthy is what the gate looks at next.
        on.tell(f"the first searches will be slow: {error.message}")
    # The copies of small indices are placed within seconds; one look less.
    on.agent("search", "allocation", "all", "--wait", str(PLACED_SECONDS), timeout=60)


def place_shards(on: OnTurn) -> None:
    """Have the cluster place its shards again."""
    on.agent("search", "allocation", "all", timeout=60)


TURN = Turn(drain=keep_shards, drained_in=("search",), warm=warm, used_in=("search",), undo=place_shards)
