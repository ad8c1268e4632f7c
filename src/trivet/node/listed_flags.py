# SPDX-License-Identifier: GPL-3.0-or-later
"""The flags of a node as a list of all kinds has them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from trivet.node.flag_files import UNKNOWN_OWNER, FlagFiles

Config = Mapping[str, Any]
NODE, CLUSTER = "node", "cluster"


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A flag for a list. Moments are epoch seconds, None where the flag does not say."""

    kind: str
    subject: str
    owner: str
    what: str
    """What it does, in words."""
    since: float | None = None
    expires: float | None = None
    scope: str = NODE
    """Whether it is about this node, or the same for the whole cluster on every node."""
    ending: bool = False
    """Undone already, as far as it can be without cutting anybody off: the rest ends at ``expires``."""

    @property
    def expired(self) -> bool:
        """Whether its time is over."""
        return self.expires is not None and self.expires <= time.time()


@dataclass(frozen=True)
class FlagKind:
    """How flags of one kind are found, and how one of them is undone, which says what it did."""

    look: Callable[[Config], list[Listed]]
    undo: Callable[[str, Config], str]


def look_files(flags: FlagFiles, kind: str, what: str) -> list[Listed]:
    """Flags that are files; one that cannot be read is listed too, of an unknown owner and without an end."""
    found = []
    for name in flags.names():
        flag = flags.read(name)
        found.append(
            Listed(
                kind=kind,
                subject=name,
                owner=flag.owner if flag else UNKNOWN_OWNER,
                since=flag.since if flag else None,
                expires=flag.expires if flag else None,
                what=what.format(name),
            )
        )
    return found
