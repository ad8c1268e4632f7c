# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node says of its search engine."""

from __future__ import annotations

from dataclasses import dataclass

from trivet.health.facts import Flag, ServiceFacts


@dataclass(frozen=True, kw_only=True)
class SearchFacts(ServiceFacts):
    """The cluster as this node of the search engine sees it."""

    NAME = "search"

    unit: str = "unknown"
    status: str = ""
    """green, yellow or red; empty while the node has found no cluster."""
    cluster_uuid: str = ""
    node_name: str = ""
    version: str = ""
    nodes: int = 0
    initializing_shards: int = 0
    relocating_shards: int = 0
    unassigned_shards: int = 0
    delayed_shards: int = 0
    pending_tasks: int = 0
    single_copies: tuple[str, ...] = ()
    """Indices without a replica, those of the engine left out."""
    allocation: str = "all"
    """``cluster.routing.allocation.enable``: all, primaries, new_primaries, none."""
    allocation_flag: Flag | None = None
    """Who limited the allocation; None when nobody did, or without saying so."""


FACTS = SearchFacts
