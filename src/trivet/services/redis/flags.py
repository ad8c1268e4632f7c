# SPDX-License-Identifier: GPL-3.0-or-later
"""Nominations of replicas, of which a Sentinel may have been kept from making one the primary."""

from __future__ import annotations

from trivet.health.config import NOMINATION_DIRECTORY, NodeConfig
from trivet.node.flag_files import FlagFiles
from trivet.node.listed_flags import Config, FlagKind, Listed, look_files
from trivet.services.redis import command


def look_nominations(_config: Config) -> list[Listed]:
    """Nominations of replicas of Redis."""
    what = "Sentinel has chosen the next primary of {}, and may have been kept from promoting it"
    return look_files(FlagFiles(NOMINATION_DIRECTORY), "nomination", what)


def undo_nomination(instance: str, config: Config) -> str:
    """Let Sentinel promote again; it gives up by itself what nobody made a primary."""
    command.allow_promotions(NodeConfig.from_mapping(config), instance)
    return "ended" if FlagFiles(NOMINATION_DIRECTORY).clear(instance) else "was gone already"


FLAGS = {"nomination": FlagKind(look_nominations, undo_nomination)}
