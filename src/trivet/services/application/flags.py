# SPDX-License-Identifier: GPL-3.0-or-later
"""Crons that a change has paused, on all nodes at once."""

from __future__ import annotations

from trivet.health.config import NodeConfig
from trivet.node.listed_flags import CLUSTER, Config, FlagKind, Listed
from trivet.services.application.crons import FLAG, pauses
from trivet.services.application.releases import Store


def look_pauses(config: Config) -> list[Listed]:
    """Who has paused the crons. Nothing where the shared volume is not mounted: nothing can be read there."""
    flags = pauses(Store(NodeConfig.from_mapping(config)))
    flag = flags.read(FLAG)
    if flag is None:
        return []
    return [
        Listed(
            kind="cron pause",
            subject=FLAG,
            owner=flag.owner,
            since=flag.since,
            expires=flag.expires,
            what="no node begins a cron of the application",
            scope=CLUSTER,
        )
    ]


def undo_pause(name: str, config: Config) -> str:
    """Have crons begun again when they are due."""
    return "begun again" if pauses(Store(NodeConfig.from_mapping(config))).clear(name) else "was gone already"


FLAGS = {"cron pause": FlagKind(look_pauses, undo_pause)}
