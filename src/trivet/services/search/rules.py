# SPDX-License-Identifier: GPL-3.0-or-later
"""Search: all nodes in one cluster, green, allocation enabled."""

from __future__ import annotations

from collections.abc import Iterator

from trivet.health.cluster import COMING_OR_GOING, Cluster, Rules, listed, times
from trivet.health.findings import Finding, State
from trivet.services.proxy.findings import server_findings
from trivet.services.search.contract import ENGINE, HTTP_PORT
from trivet.services.search.facts import SearchFacts

SERVICE = "search"


def findings(cluster: Cluster) -> Iterator[Finding]:
    """Judge the search engine of all nodes."""
    looked_at = (_of_node(cluster, node, facts.of(SearchFacts)) for node, facts in cluster.members())
    own = [finding for finding in looked_at if finding is not None]
    yield from own
    yield from _of_cluster(cluster)
    yield from server_findings(cluster, SERVICE, ("search",), own)


def _of_node(cluster: Cluster, node: str, search: SearchFacts) -> Finding | None:
    unit = cluster.terms[ENGINE]
    if search.error is None and not _in_cluster(search):
        return Finding(SERVICE, node, State.BROKEN, "has found no cluster", cluster.logs(node, unit))
    return cluster.silent(SERVICE, node, search, unit, search.unit)


def _in_cluster(search: SearchFacts) -> bool:
    return bool(search.status) and search.cluster_uuid not in ("", "_na_")


def _of_cluster(cluster: Cluster) -> Iterator[Finding]:
    views = {
        node: facts.of(SearchFacts)
        for node, facts in cluster.members()
        if facts.of(SearchFacts).error is None and _in_cluster(facts.of(SearchFacts))
    }
    uuids = {node: search.cluster_uuid for node, search in views.items()}
    if len(set(uuids.values())) > 1:
        parts = ", ".join(f"{node}: {uuid}" for node, uuid in uuids.items())
        yield Finding(SERVICE, None, State.BROKEN, f"there is more than one cluster ({parts})")
    yield from _of_size(cluster, views)
    # One look at the shards is enough: the one that sees most trouble.
    if views:
        node = max(views, key=lambda name: _trouble(views[name]))
        yield from _of_shards(cluster, node, views[node])
        yield from _of_allocation(cluster, views[node])
        yield from _of_copies(cluster, node, views[node])


def _of_size(cluster: Cluster, views: dict[str, SearchFacts]) -> Iterator[Finding]:
    expected = cluster.expectation.count
    wrong = {node: search.nodes for node, search in views.items() if search.nodes != expected}
    if not wrong:
        return
    absent = frozenset(node.name for node in cluster.expectation.nodes) - views.keys()
    passing = frozenset(
        node
        for node, facts in cluster.members()
        if facts.of(SearchFacts).error is not None and facts.of(SearchFacts).unit in COMING_OR_GOING
    )
    counted = ", ".join(f"{node} counts {count}" for node, count in wrong.items())
    reason = f"the cluster should have {times(expected, 'node')}: {counted}"
    if absent:
        reason += f"; absent: {listed(absent)}"
    command = _curl(cluster, next(iter(wrong)), "_cat/nodes?v")
    yield Finding(SERVICE, None, cluster.absence(SERVICE, absent, passing), reason, command)


def _trouble(search: SearchFacts) -> tuple[int, int, int, int]:
    colours = ("green", "yellow", "red")
    colour = colours.index(search.status) if search.status in colours else len(colours)
    moving = search.initializing_shards + search.relocating_shards
    return int(search.allocation != "all"), colour, moving, search.unassigned_shards + search.pending_tasks


def _of_shards(cluster: Cluster, node: str, search: SearchFacts) -> Iterator[Finding]:
    command = _curl(cluster, node, "_cat/shards?v")
    moving = search.initializing_shards + search.relocating_shards
    if moving:
        reason = f"is {search.status}: {times(moving, 'shard')} initializing or relocating"
        yield Finding(SERVICE, None, State.BUSY, reason, command)
    elif search.status == "green":
        return
    elif search.status == "yellow" and cluster.expectation.count == 1:
        reason = f"is yellow: {times(search.unassigned_shards, 'replica')} cannot be placed on one node"
        yield Finding(SERVICE, None, State.HEALTHY, reason)
    elif search.status == "yellow" and _will_be_assigned(cluster, search):
        reason = f"is yellow: {times(search.unassigned_shards, 'replica')} wait to be assigned"
        yield Finding(SERVICE, None, State.BUSY, reason, command)
    else:
        reason = f"is {search.status or 'in no state'}: {times(search.unassigned_shards, 'shard')} unassigned"
        explain = _curl(cluster, node, "_cluster/allocation/explain?pretty")
        yield Finding(SERVICE, None, State.BROKEN, reason, explain)


def _will_be_assigned(cluster: Cluster, search: SearchFacts) -> bool:
    """Replicas wait for work that is queued, for a node that is expected back, or for the end of a drain."""
    waits = bool(search.delayed_shards or search.pending_tasks)
    return waits or search.nodes < cluster.expectation.count or bool(cluster.drained(SERVICE))


def _of_allocation(cluster: Cluster, search: SearchFacts) -> Iterator[Finding]:
    if search.allocation == "all":
        return
    drained = cluster.drained(SERVICE)
    by = f" while {listed(drained)} is drained" if drained else ", and no node is drained"
    reason = f"allocation of shards is limited to {search.allocation}{by}"
    command = None if drained else cluster.clean_command
    if search.allocation_flag is not None:
        words, command = cluster.told(search.allocation_flag, "limited")
        reason = f"{reason}; {words}"
    yield Finding(SERVICE, None, State.BUSY if drained else State.BROKEN, reason, command)


def _of_copies(cluster: Cluster, node: str, search: SearchFacts) -> Iterator[Finding]:
    """Indices that end with their node: the template gives one more copy, but whoever made them may have said none."""
    if cluster.expectation.count > 1 and search.single_copies:
        reason = f"lost with its node, since it has no replica: {listed(search.single_copies)}"
        yield Finding(SERVICE, None, State.HEALTHY, reason, _curl(cluster, node, "_cat/indices?v"))


def _curl(cluster: Cluster, node: str, path: str) -> str:
    server = f"{cluster.expectation.address_of(node)}:{cluster.terms[HTTP_PORT]}"
    return cluster.on(node, f"curl -s 'http://{server}/{path}'")


RULES = Rules(findings)
