# SPDX-License-Identifier: GPL-3.0-or-later
"""GlusterFS: peers connected, bricks and self-heal online, nothing to heal, writes seen everywhere."""

from __future__ import annotations

from collections.abc import Iterator

from trivet.health.cluster import Cluster, Rules, listed, times
from trivet.health.findings import Finding, State
from trivet.services.files.contract import MOUNT, VOLUME
from trivet.services.files.facts import FilesFacts

SERVICE = "files"


def findings(cluster: Cluster) -> Iterator[Finding]:
    """Judge the shared files of all nodes."""
    for node, facts in cluster.members():
        if silent := cluster.silent(SERVICE, node, facts.of(FilesFacts), "glusterd", facts.of(FilesFacts).glusterd):
            yield silent
        else:
            yield from _of_pool(cluster, node, facts.of(FilesFacts))
            yield from _of_processes(cluster, node, facts.of(FilesFacts))
            yield from _of_mount(cluster, node, facts.of(FilesFacts))
    members = {name for name, _ in cluster.members()}
    for node, facts in cluster.machines():
        if node not in members:
            yield from _of_client(cluster, node, facts.of(FilesFacts))
    yield from _of_healing(cluster)
    yield from _of_marks(cluster)


def _of_client(cluster: Cluster, node: str, files: FilesFacts) -> Iterator[Finding]:
    """A web node has the mount and nothing else."""
    if files.error is not None:
        command = cluster.logs(node, "trivet-shared")
        yield Finding(SERVICE, node, State.UNKNOWN, f"no answer: {files.error}", command)
    else:
        yield from _of_mount(cluster, node, files)


def _of_pool(cluster: Cluster, node: str, files: FilesFacts) -> Iterator[Finding]:
    command = cluster.on(node, "gluster peer status")
    expected = cluster.expectation.count - 1
    if len(files.peers) != expected:
        reason = f"knows {len(files.peers)} of {expected} peers"
        yield Finding(SERVICE, node, State.BROKEN, reason, command)
    strange = [peer.name for peer in files.peers if peer.state not in ("", "Peer in Cluster")]
    if strange:
        reason = f"has not agreed with its peers: {listed(strange)}"
        yield Finding(SERVICE, node, State.BROKEN, reason, command)
    lost = frozenset(cluster.expectation.node_at(peer.name) or peer.name for peer in files.peers if not peer.connected)
    if lost:
        reason = f"is not connected to {listed(lost)}"
        yield Finding(SERVICE, node, cluster.absence(SERVICE, lost, frozenset()), reason, command)


def _of_processes(cluster: Cluster, node: str, files: FilesFacts) -> Iterator[Finding]:
    volume = cluster.terms[VOLUME]
    if found := cluster.unit(SERVICE, node, "glusterd", files.glusterd):
        yield found
    command = cluster.on(node, f"gluster volume status {volume}")
    if files.volume_status != "Started":
        reason = f"volume {volume} is {files.volume_status or 'in no state'}"
        yield Finding(SERVICE, node, State.BROKEN, reason, cluster.on(node, f"gluster volume start {volume}"))
    if files.replicas != cluster.expectation.count:
        reason = f"volume {volume} keeps {files.replicas} copies, not {cluster.expectation.count}"
        yield Finding(SERVICE, node, State.BROKEN, reason, cluster.on(node, f"gluster volume info {volume}"))
    if not files.brick_online:
        yield Finding(SERVICE, node, State.BROKEN, "its brick is offline", command)
    if not files.self_heal_online and cluster.expectation.count > 1:
        yield Finding(SERVICE, node, State.BROKEN, "its self-heal daemon is offline", command)


def _of_mount(cluster: Cluster, node: str, files: FilesFacts) -> Iterator[Finding]:
    mount, volume = cluster.terms[MOUNT], cluster.terms[VOLUME]
    if not files.mounted:
        command = cluster.on(node, f"mount {mount}")
        yield Finding(SERVICE, node, State.BROKEN, f"{mount} is not mounted", command)
    elif not files.writable:
        reason = f"{mount} takes no write: {files.mount_error or 'no reason given'}"
        yield Finding(SERVICE, node, State.BROKEN, reason, cluster.on(node, f"findmnt {mount}"))
    # Known while the report of what is to heal is not: a brick that hangs hangs that as well.
    lost = frozenset(cluster.expectation.node_at(address) or address for address in files.bricks_unheard)
    if lost:
        reason = f"its mount does not hear the brick of {listed(lost)}"
        command = cluster.on(node, f"gluster volume status {volume}")
        yield Finding(SERVICE, node, cluster.absence(SERVICE, lost, frozenset()), reason, command)


def _of_healing(cluster: Cluster) -> Iterator[Finding]:
    volume = cluster.terms[VOLUME]
    if cluster.expectation.count == 1:
        return
    pending: dict[str, int] = {}
    split: dict[str, int] = {}
    alive = [(node, facts.of(FilesFacts)) for node, facts in cluster.members() if facts.of(FilesFacts).error is None]
    if alive and not any(files.heal_asked for _, files in alive):
        node = alive[0][0]
        command = cluster.on(node, f"gluster volume heal {volume} info summary")
        yield Finding(SERVICE, None, State.UNKNOWN, "no node was asked what there is to heal", command)
    for node, files in alive:
        if not files.heal_asked:
            continue
        command = cluster.on(node, f"gluster volume heal {volume} info summary")
        if files.heal_error is not None:
            reason = f"what there is to heal is not known: {files.heal_error}"
            yield Finding(SERVICE, node, State.UNKNOWN, reason, command)
            continue
        lost = frozenset(
            cluster.expectation.node_at(brick.brick.partition(":")[0]) or brick.brick
            for brick in files.heal
            if not brick.connected
        )
        if lost:
            reason = f"does not reach the brick of {listed(lost)}"
            yield Finding(SERVICE, node, cluster.absence(SERVICE, lost, frozenset()), reason, command)
        if len(files.heal) != cluster.expectation.count:
            reason = f"sees {len(files.heal)} of {cluster.expectation.count} bricks"
            yield Finding(SERVICE, node, State.BROKEN, reason, command)
        for brick in files.heal:
            pending[brick.brick] = max(pending.get(brick.brick, 0), brick.pending or 0)
            split[brick.brick] = max(split.get(brick.brick, 0), brick.split_brain or 0)
    yield from _of_counts(cluster, pending, split)


def _of_counts(cluster: Cluster, pending: dict[str, int], split: dict[str, int]) -> Iterator[Finding]:
    volume = cluster.terms[VOLUME]
    node = next((name for name, _ in cluster.members()), None)
    if node is None:
        return
    if sum(split.values()):
        # Each brick counts the same files: the largest count is nearer the truth than the sum.
        reason = f"{times(max(split.values()), 'file')} in split-brain"
        command = cluster.on(node, f"gluster volume heal {volume} info split-brain")
        yield Finding(SERVICE, None, State.BROKEN, reason, command)
    if sum(pending.values()):
        bricks = listed([brick.partition(":")[0] for brick, count in pending.items() if count])
        reason = f"{times(max(pending.values()), 'file')} to heal (noted by {bricks})"
        command = cluster.on(node, f"gluster volume heal {volume} info summary")
        yield Finding(SERVICE, None, State.BUSY, reason, command)


def _of_marks(cluster: Cluster) -> Iterator[Finding]:
    """Every node's mark of some looks ago must have been seen by all the others."""
    mount = cluster.terms[MOUNT]
    # A web node reads the members' marks; nobody needs to know of its own.
    readers = {node: facts.of(FilesFacts) for node, facts in cluster.machines() if facts.of(FilesFacts).writable}
    members = {name for name, _ in cluster.members()}
    for writer, files in readers.items():
        if writer not in members:
            continue
        written, previous = files.written, files.previous
        # A clock that was set back makes marks that cannot be compared.
        if written is None or previous is None or previous >= written:
            continue
        blind = [
            node
            for node, other in readers.items()
            if node != writer and other.seen.get(writer, float("-inf")) < previous
        ]
        if blind:
            reason = f"a write of {writer} is not seen on {listed(blind)}"
            command = cluster.on(blind[0], f"findmnt {mount}")
            yield Finding(SERVICE, None, State.BROKEN, reason, command)


RULES = Rules(findings)
