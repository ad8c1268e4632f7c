# SPDX-License-Identifier: GPL-3.0-or-later
"""A search engine that does not run or does not answer, and shards that stay unassigned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from trivet.health.config import NodeConfig
from trivet.node.errors import AgentError
from trivet.node.repair import Repair, Up
from trivet.node.symptom import DISTURBED_LOOKS, Remedy, Symptom, View, hung, stopped
from trivet.services.search import command
from trivet.services.search.contract import ENGINE
from trivet.services.search.facts import SearchFacts

ALLOW_ALLOCATION = "allow allocation"
RETRY_ALLOCATION = "retry allocation"


def symptoms(view: View) -> Iterator[Symptom]:
    """What is wrong with this node's engine, or with the cluster's shards."""
    engine = view.config.terms[ENGINE]
    search = view.own.of(SearchFacts)
    yield from stopped(view, "search", (engine,))
    yield from hung(view, "search", (engine,), search.error, lambda facts: facts.of(SearchFacts).error is None)
    if search.error is not None or any(facts.drained("search") for facts in view.heard.values()):
        return
    if search.allocation != "all":
        yield from _allocation(view)
    elif _stuck_shards(view):
        yield Symptom(
            service="search",
            subject="shards",
            problem="unassigned",
            reason=f"shards stay unassigned with all nodes there: {search.unassigned_shards}",
            looks=DISTURBED_LOOKS,
            remedy=Remedy(RETRY_ALLOCATION),
            cluster_wide=True,
        )


def _allocation(view: View) -> Iterator[Symptom]:
    """A limit that nobody owns; one with an owner ends by itself, by ``flags expire``."""
    flag = view.own.of(SearchFacts).allocation_flag
    if flag is not None and flag.expires is not None:
        return
    yield Symptom(
        service="search",
        subject="allocation",
        problem="limited",
        reason=f"allocation of shards is limited to {view.own.of(SearchFacts).allocation}, by nobody who says so",
        looks=DISTURBED_LOOKS,
        remedy=Remedy(ALLOW_ALLOCATION),
        cluster_wide=True,
    )


def _stuck_shards(view: View) -> bool:
    """Whether shards wait that the cluster has given up on (``index.allocation.max_retries``), and nothing moves."""
    search = view.own.of(SearchFacts)
    moving = search.initializing_shards or search.relocating_shards or search.delayed_shards or search.pending_tasks
    return bool(search.unassigned_shards and search.nodes == len(view.config.members) and not moving)


def _allow_allocation(_arguments: Sequence[str], _config: NodeConfig, data: Mapping[str, Any]) -> str:
    which, flag = command.allocation(data)
    if which == "all":
        return "it was all already"
    if flag is not None and flag.expires is not None:
        raise AgentError(f"{flag.owner} has limited the allocation meanwhile")
    command.allow_all(data)
    return f"allocation of shards: all, instead of {which}"


def _retry_allocation(_arguments: Sequence[str], _config: NodeConfig, data: Mapping[str, Any]) -> str:
    command.request(data, "POST", "/_cluster/reroute?retry_failed=true&metric=none")
    return "the cluster tries again to place its shards"


def _unserved(config: NodeConfig, up: Up) -> tuple[str, ...]:
    return up.misses(config.name, "search")


REPAIR = Repair(
    symptoms=symptoms,
    acts={ALLOW_ALLOCATION: _allow_allocation, RETRY_ALLOCATION: _retry_allocation},
    unserved=_unserved,
)
