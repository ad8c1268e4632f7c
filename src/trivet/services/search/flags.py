# SPDX-License-Identifier: GPL-3.0-or-later
"""The limit of the search cluster's allocation."""

from __future__ import annotations

from trivet.node.flag_files import UNKNOWN_OWNER
from trivet.node.listed_flags import CLUSTER, Config, FlagKind, Listed
from trivet.services.search import command


def look_allocation(config: Config) -> list[Listed]:
    """The limit of the search cluster's allocation."""
    which, flag = command.allocation(config)
    if which == "all":
        return []
    what = f"the search cluster places only {which.replace('_', ' ')} anew"
    return [
        Listed(
            kind="allocation",
            subject=which,
            owner=flag.owner if flag else UNKNOWN_OWNER,
            since=flag.since if flag else None,
            expires=flag.expires if flag else None,
            what=what,
            scope=CLUSTER,
        )
    ]


def undo_allocation(_which: str, config: Config) -> str:
    """Let the search cluster place every shard again."""
    command.allow_all(config)
    return "all again"


FLAGS = {"allocation": FlagKind(look_allocation, undo_allocation)}
