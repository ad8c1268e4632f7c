# SPDX-License-Identifier: GPL-3.0-or-later
"""Host: clocks in step; disk, inodes and memory free; the size that was ordered; no package work."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from trivet.health.cluster import Cluster, Rules, listed, utc
from trivet.health.facts import RESTART, HostFacts, IdentityFacts, NodeFacts, Pending
from trivet.health.findings import Finding, State
from trivet.services.gateway.facts import GatewayFacts
from trivet.services.host.contract import NODE_FILE
from trivet.services.registry import service_of_unit

SERVICE = "host"
OWN_UNITS = ("trivet-agent", "trivet-heal")
"""Trivet's own services on a node: they belong to no service of the shop."""


def findings(cluster: Cluster) -> Iterator[Finding]:
    """Judge the machines of all nodes."""
    for node, silence in cluster.unreachable().items():
        command = cluster.on(node, "systemctl is-system-running")
        yield Finding(SERVICE, node, State.BROKEN, f"{node} cannot be reached: {silence.reason}", command)
    for node, facts in cluster.machines():
        if facts.node != node:
            reason = f"{cluster.expectation.address_of(node)} answers as {facts.node}"
            yield Finding(SERVICE, node, State.BROKEN, reason, cluster.on(node, f"cat {NODE_FILE.default}"))
        yield from _of_identity(cluster, node, facts.identity)
        if facts.host.error is not None:
            reason = f"no answer: {facts.host.error}"
            yield Finding(SERVICE, node, State.UNKNOWN, reason, cluster.on(node, "trivet-agent collect"))
        else:
            yield from _of_room(cluster, node, facts.host)
            yield from _of_work(cluster, node, facts.host)
            yield from _of_units(cluster, node, facts.host)
        yield from _of_firewall(cluster, node, facts.of(GatewayFacts))
    yield from _of_names(cluster)
    yield from _of_clocks(cluster)


def _of_identity(cluster: Cluster, node: str, identity: IdentityFacts) -> Iterator[Finding]:
    command = cluster.on(node, f"cat {NODE_FILE.default}")
    if identity.error is not None or not identity.environment:
        reason = f"does not say as what it was set up: {identity.error or 'nothing there'}"
        yield Finding(SERVICE, node, State.UNKNOWN, reason, command)
    elif identity.environment != cluster.expectation.environment:
        reason = f"was set up for {identity.environment}, and not for {cluster.expectation.environment}"
        yield Finding(SERVICE, node, State.BROKEN, reason, command)


def _of_firewall(cluster: Cluster, node: str, gateway: GatewayFacts) -> Iterator[Finding]:
    if gateway.error is None and gateway.firewall is False:
        reason = "its firewall is not loaded: nftables has no table inet trivet, and every port is open"
        command = cluster.on(node, "systemctl reload-or-restart nftables")
        yield Finding(SERVICE, node, State.BROKEN, reason, command)


def _of_room(cluster: Cluster, node: str, host: HostFacts) -> Iterator[Finding]:
    limits = cluster.expectation.thresholds
    for path, disk in host.disks.items():
        if disk.free_percent < limits.disk_free_percent:
            reason = f"{path} has {disk.free_percent} % free ({disk.free_mib} MiB)"
            yield Finding(SERVICE, node, State.BROKEN, reason, cluster.on(node, f"du -xh -d2 {path}"))
        if disk.free_inodes_percent < limits.inodes_free_percent:
            reason = f"{path} has {disk.free_inodes_percent} % of its inodes free"
            yield Finding(SERVICE, node, State.BROKEN, reason, cluster.on(node, f"du -x --inodes -d2 {path}"))
    available = 100 * host.memory_available_mib / host.memory_mib if host.memory_mib else 0.0
    if available < limits.memory_available_percent:
        reason = f"{host.memory_available_mib} of {host.memory_mib} MiB of memory are available"
        yield Finding(SERVICE, node, State.BROKEN, reason, cluster.on(node, "systemd-cgtop -m -n 1"))


def _of_work(cluster: Cluster, node: str, host: HostFacts) -> Iterator[Finding]:
    if host.package_lock:
        command = cluster.on(node, "fuser -v /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock")
        yield Finding(SERVICE, node, State.BUSY, "packages are being worked on (the lock is held)", command)
    for item in host.pending:
        yield _of_pending(cluster, node, item)
    for unit, flag in host.disabled_units.items():
        reason, next_command = cluster.told(flag, f"{unit} was kept from starting with the machine")
        service = service_of_unit(unit, cluster.terms)
        # Where the service is drained as well, both are one and the same rotation's, whose gate looks past its drain.
        by_drain = cluster.drain(service, node) is not None
        yield Finding(SERVICE, node, State.BUSY, reason, next_command, by_drain=by_drain)
    if host.pause is not None:
        reason = f"its agent repairs nothing: paused by {host.pause.owner}"
        yield Finding(SERVICE, node, State.HEALTHY, reason, f"trivet agent resume {cluster.expectation.argument}")
    if host.failed_units:
        # Each service's own units are judged there.
        reason = f"failed units: {listed(host.failed_units)}"
        yield Finding(SERVICE, node, State.HEALTHY, reason, cluster.on(node, "systemctl --failed"))


def _of_pending(cluster: Cluster, node: str, item: Pending) -> Finding:
    """A note, since the service serves: it does so with its old configuration."""
    since = "" if item.since is None else f" since {utc(item.since)}"
    what, verb = ("a restart by the next rotation", "restart") if item.kind == RESTART else ("a reload", "converge")
    reason = f"{item.service} waits for {what}{since}" + (f": {item.reason}" if item.reason else "")
    return Finding(SERVICE, node, State.HEALTHY, reason, f"trivet {verb} {cluster.expectation.argument}")


def _of_units(cluster: Cluster, node: str, host: HostFacts) -> Iterator[Finding]:
    """Trivet's own services, where the node says that they should run: without them nothing is drained or repaired."""
    for unit in OWN_UNITS:
        if found := cluster.unit(SERVICE, node, unit, host.units.get(unit, "active")):
            yield found


def _of_names(cluster: Cluster) -> Iterator[Finding]:
    names: dict[str, list[str]] = {}
    for node, facts in cluster.machines():
        if facts.host.error is None:
            names.setdefault(facts.host.hostname, []).append(node)
    for name, nodes in names.items():
        if len(nodes) > 1:
            command = cluster.on(nodes[1], "hostnamectl")
            yield Finding(SERVICE, None, State.BROKEN, f"{listed(nodes)} have one hostname: {name}", command)


def _of_clocks(cluster: Cluster) -> Iterator[Finding]:
    limit = cluster.expectation.thresholds.clock_seconds
    hosts = {node: facts for node, facts in cluster.machines() if facts.host.error is None}
    for node, facts in hosts.items():
        offset = facts.host.clock_offset_seconds
        if offset is not None and abs(offset) > limit:
            reason = f"its clock is {offset:+.2f} s off {facts.host.clock_source}"
            yield Finding(SERVICE, node, State.BROKEN, reason, cluster.on(node, "chronyc tracking"))
    for one, other in combinations(hosts, 2):
        apart = _certainly_apart(hosts[one], hosts[other])
        if apart > limit:
            reason = f"the clocks of {one} and {other} are at least {apart:.1f} s apart"
            yield Finding(SERVICE, None, State.BROKEN, reason, cluster.on(other, "chronyc tracking"))


def _certainly_apart(one: NodeFacts, other: NodeFacts) -> float:
    """The least number of seconds by which two clocks differ; 0 when they may be equal, or nobody measured.

    A node's clock was read somewhere between the question and its answer, so its offset from the asker's
    clock lies between two bounds.
    """
    if one.asked_at is None or one.answered_at is None or other.asked_at is None or other.answered_at is None:
        return 0.0
    return max(
        0.0,
        (one.host.clock - one.answered_at) - (other.host.clock - other.asked_at),
        (other.host.clock - other.answered_at) - (one.host.clock - one.asked_at),
    )


RULES = Rules(findings)
