# SPDX-License-Identifier: GPL-3.0-or-later
"""MariaDB Galera: Primary, Synced, ready, connected, all members there, one cluster, one writer."""

from __future__ import annotations

from collections.abc import Iterator

from trivet.health.cluster import COMING_OR_GOING, NOT_RUNNING, Cluster, Rules, listed
from trivet.health.facts import NodeFacts
from trivet.health.findings import Finding, State
from trivet.services.database.clients import words
from trivet.services.database.facts import UNLIMITED_BYTES, DatabaseFacts
from trivet.services.database.roles import proxy_writer, writers
from trivet.services.proxy.facts import ProxiesFacts
from trivet.services.proxy.findings import hold_findings, server_findings

SERVICE = "database"
_TRANSFER_STATES = ("Joining", "Joiner", "Donor", "Joined", "Waiting")
"""How ``wsrep_local_state_comment`` begins while a member catches up, or helps another to."""


def findings(cluster: Cluster) -> Iterator[Finding]:
    """Judge the databases of all nodes."""
    looked_at = (_of_node(cluster, node, facts) for node, facts in cluster.members())
    own = [finding for finding in looked_at if finding is not None]
    yield from own
    yield from _notes(cluster)
    yield from _of_cluster(cluster)
    yield from server_findings(cluster, SERVICE, ("db_writer", "db_reader"), own)
    yield from hold_findings(cluster, SERVICE, ("db_writer",))
    yield from _of_writer(cluster)


def _of_node(cluster: Cluster, node: str, facts: NodeFacts) -> Finding | None:
    database = facts.of(DatabaseFacts)
    if database.transfer is not None:
        reason = f"a state transfer runs ({database.transfer})"
        return Finding(SERVICE, node, State.BUSY, reason, cluster.logs(node, "mariadb"))
    if silent := cluster.silent(SERVICE, node, database, "mariadb", database.unit):
        return silent
    if not database.wsrep:
        if cluster.expectation.count == 1:
            return None
        return Finding(SERVICE, node, State.BROKEN, "does not replicate", cluster.logs(node, "mariadb"))
    found = _membership(database)
    if found is None:
        return None
    return Finding(SERVICE, node, *found, cluster.on(node, "trivet-agent galera status"))


def _notes(cluster: Cluster) -> Iterator[Finding]:
    """What an operator should know, and what is not wrong with a member."""
    names = {item.address: item.name for item in cluster.expectation.machines}
    for node, facts in cluster.members():
        database = facts.of(DatabaseFacts)
        if database.transaction_limit_bytes < UNLIMITED_BYTES:
            reason = (
                f"limits a transaction to {database.transaction_limit_bytes // 2**20} MiB: with any limit MariaDB "
                f"refuses an UPDATE that joins a derived table (error 4165, MDEV-28750), by which Magento saves a "
                f"price; set database_max_transaction_mib to 0"
            )
            yield Finding(SERVICE, node, State.HEALTHY, reason, cluster.on(node, "trivet-agent galera status"))
        for client in database.huge:
            command = cluster.on(node, f"mariadb-admin kill {client.number}")
            yield Finding(SERVICE, node, State.HEALTHY, f"a huge transaction: {words(client, names)}", command)


def _membership(database: DatabaseFacts) -> tuple[State, str] | None:
    """What is wrong with a replicating member that answers."""
    if database.cluster_status == "Primary" and database.state.startswith(_TRANSFER_STATES):
        return State.BUSY, f"is {database.state}"
    if database.cluster_status != "Primary":
        return State.BROKEN, f"is in no primary component ({database.cluster_status}, {database.state})"
    if not database.connected:
        return State.BROKEN, "is not connected to the cluster"
    if database.state != "Synced":
        return State.BROKEN, f"is {database.state or 'in no state'}, not Synced"
    if not database.ready:
        return State.BROKEN, "is Synced, but not ready for queries"
    if database.flow_control:
        return State.BUSY, f"flow control holds writes back (receive queue {database.receive_queue})"
    return None


def _members(cluster: Cluster) -> dict[str, DatabaseFacts]:
    """The members that answer and replicate in a primary component."""
    return {
        node: database
        for node, facts in cluster.members()
        if (database := facts.of(DatabaseFacts)).error is None
        and database.wsrep
        and database.cluster_status == "Primary"
    }


def _of_cluster(cluster: Cluster) -> Iterator[Finding]:
    members = _members(cluster)
    if not members and (lost := _outage(cluster)):
        yield lost
    uuids: dict[str, list[str]] = {}
    for node, database in members.items():
        uuids.setdefault(database.cluster_uuid, []).append(node)
    if len(uuids) > 1:
        parts = "; ".join(f"{listed(nodes)}: {uuid or 'none'}" for uuid, nodes in uuids.items())
        yield Finding(SERVICE, None, State.BROKEN, f"there is more than one cluster ({parts})")
    expected = cluster.expectation.count
    sizes = {node: database.size for node, database in members.items() if database.size != expected}
    if not sizes:
        return
    absent = frozenset(node.name for node in cluster.expectation.nodes) - members.keys()
    passing = frozenset(node for node, facts in cluster.members() if _on_its_way(facts.of(DatabaseFacts)))
    counted = ", ".join(f"{node} counts {size}" for node, size in sizes.items())
    reason = f"the cluster should have {expected} members: {counted}"
    if absent:
        reason += f"; absent: {listed(absent)}"
    command = cluster.on(next(iter(sizes)), "trivet-agent galera status")
    yield Finding(SERVICE, None, cluster.absence(SERVICE, absent, passing), reason, command)


def _outage(cluster: Cluster) -> Finding | None:
    """Nobody that was asked is left whom a member could join; None for a single server, and when one may be."""
    looked_at = dict(cluster.members())
    replicate = cluster.expectation.count > 1
    if not looked_at or not replicate or not all(_is_out(facts.of(DatabaseFacts)) for facts in looked_at.values()):
        return None
    reason = f"no member is in a primary component (asked: {listed(list(looked_at))})"
    return Finding(
        SERVICE, None, State.BROKEN, reason, f"trivet recover {cluster.expectation.argument} database --plan"
    )


def _is_out(database: DatabaseFacts) -> bool:
    """Whether a member certainly is in no primary component: one that starts or is slow may be in it."""
    if _on_its_way(database):
        return False
    if database.error is None:
        return database.cluster_status != "Primary"
    return database.down or database.unit in NOT_RUNNING


def _on_its_way(database: DatabaseFacts) -> bool:
    return database.transfer is not None or (database.error is not None and database.unit in COMING_OR_GOING)


def _of_writer(cluster: Cluster) -> Iterator[Finding]:
    for node, facts in cluster.machines():
        if facts.of(ProxiesFacts).error is None and proxy_writer(facts.of(ProxiesFacts)) is None:
            command = cluster.on(node, "trivet-agent proxy states")
            yield Finding(SERVICE, node, State.BROKEN, "its HAProxy has no writer", command)
    named = writers(dict(cluster.machines()))
    if len(set(named.values())) > 1:
        seen = ", ".join(f"{proxy}: {name}" for proxy, name in named.items())
        command = cluster.on(next(iter(named)), "trivet-agent proxy states")
        # Galera takes writes anywhere, and the proxies tell each other within moments.
        reason = f"the proxies do not agree on the writer ({seen})"
        yield Finding(SERVICE, None, State.BUSY, reason, command)


RULES = Rules(findings)
