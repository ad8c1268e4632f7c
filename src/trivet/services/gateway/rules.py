# SPDX-License-Identifier: GPL-3.0-or-later
"""Gateway: every gateway address is answered by exactly one node."""

from __future__ import annotations

from collections.abc import Iterator

from trivet.health.cluster import Cluster, Rules, listed
from trivet.health.facts import NodeFacts
from trivet.health.findings import Finding, State
from trivet.services.gateway.contract import HAPROXY_FILE
from trivet.services.gateway.facts import GatewayFacts
from trivet.services.gateway.roles import gateway_holders
from trivet.services.proxy.facts import ProxiesFacts

SERVICE = "gateway"


def findings(cluster: Cluster) -> Iterator[Finding]:
    """Judge the gateways of all nodes."""
    members = {name for name, _ in cluster.members()}
    for node, facts in cluster.machines():
        yield from _of_node(cluster, node, facts) if node in members else _of_web_node(cluster, node, facts)
        yield from _of_old_proxy(cluster, node, facts)
    for address in cluster.expectation.gateways:
        yield from _of_address(cluster, address)


def _of_node(cluster: Cluster, node: str, facts: NodeFacts) -> Iterator[Finding]:
    gateway = facts.of(GatewayFacts)
    if silent := cluster.silent(SERVICE, node, gateway, "keepalived", gateway.keepalived):
        yield silent
        return
    units = {"haproxy": gateway.haproxy}
    if cluster.expectation.gateways:
        units["keepalived"] = gateway.keepalived
    for unit, state in units.items():
        if found := cluster.unit(SERVICE, node, unit, state):
            yield found
    if cluster.expectation.gateways and gateway.keepalived_error is not None:
        reason = f"keepalived is alive and does not turn: {gateway.keepalived_error}"
        yield Finding(SERVICE, node, State.BROKEN, reason, cluster.on(node, "systemctl restart keepalived"))
    yield from _of_silence(cluster, node, facts)
    if gateway.handover and not gateway.forwards:
        command = cluster.on(node, "trivet-agent gateway clear all")
        reason = "connections to a gateway address are being handed to another node"
        yield Finding(SERVICE, node, State.BUSY, reason, f"if no rotation runs: {command}")
    for address, flag in gateway.forwards.items():
        reason, next_command = cluster.told(flag, f"connections to {address} are handed to another node")
        yield Finding(SERVICE, node, State.BUSY, reason, next_command)
    for address, flag in gateway.releases.items():
        reason, next_command = cluster.told(flag, f"kept from taking {address}")
        yield Finding(SERVICE, node, State.BUSY, reason, next_command)


def _of_web_node(cluster: Cluster, node: str, facts: NodeFacts) -> Iterator[Finding]:
    """A web node has no gateway address; its HAProxy is the application's way to the services."""
    gateway = facts.of(GatewayFacts)
    if gateway.error is not None:
        yield Finding(SERVICE, node, State.UNKNOWN, f"no answer: {gateway.error}", cluster.logs(node, "haproxy"))
    elif found := cluster.unit(SERVICE, node, "haproxy", gateway.haproxy):
        yield found
    yield from _of_silence(cluster, node, facts)


def _of_silence(cluster: Cluster, node: str, facts: NodeFacts) -> Iterator[Finding]:
    if facts.of(GatewayFacts).haproxy == "active" and facts.of(ProxiesFacts).error is not None:
        reason = f"HAProxy runs, but does not say what it does: {facts.of(ProxiesFacts).error}"
        yield Finding(SERVICE, node, State.UNKNOWN, reason, cluster.logs(node, "haproxy"))


def _of_old_proxy(cluster: Cluster, node: str, facts: NodeFacts) -> Iterator[Finding]:
    """A HAProxy that has not read its file, by whatever way that was written; where a mark says so that is told."""
    marked = any(item.service == "haproxy" for item in facts.host.pending)
    proxy = facts.of(ProxiesFacts)
    if proxy.error is None and proxy.older_seconds and not marked:
        reason = f"its HAProxy is {proxy.older_seconds:.0f} s older than {HAPROXY_FILE.default} and has not read it"
        yield Finding(SERVICE, node, State.HEALTHY, reason, f"trivet converge {cluster.expectation.argument}")


def _of_address(cluster: Cluster, address: str) -> Iterator[Finding]:
    holders = gateway_holders(dict(cluster.members())).get(address, ())
    gateways = {node: facts.of(GatewayFacts) for node, facts in cluster.members()}
    home = cluster.expectation.home_of(address)
    if len(holders) == 1:
        if home is not None and holders[0] != home:
            yield Finding(SERVICE, None, State.HEALTHY, f"{address} of {home} is held by {holders[0]}")
        return
    if _moving(gateways):
        state, command = State.BUSY, None
    elif not holders and any(gateway.error is not None for gateway in gateways.values()):
        state, command = State.UNKNOWN, None
    else:
        state = State.BROKEN
        command = cluster.logs(holders[0] if holders else home or cluster.expectation.nodes[0].name, "keepalived")
    if holders:
        reason = f"{address} is held by {len(holders)} nodes at once: {listed(holders)}"
    else:
        reason = f"{address} is held by no node that answers"
    yield Finding(SERVICE, None, state, reason, command)


def _moving(gateways: dict[str, GatewayFacts]) -> bool:
    return any(gateway.handover for gateway in gateways.values())


RULES = Rules(findings)
