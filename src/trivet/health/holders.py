# SPDX-License-Identifier: GPL-3.0-or-later
"""Who holds which role right now: the questions a rotation asks before it touches a node. All are pure."""

from __future__ import annotations

from collections.abc import Mapping

from trivet.health.facts import ClusterFacts, NodeFacts, ProxiesFacts, Unreachable

WRITER_BACKEND = "db_writer"
HOLD_SERVER = "hold"
"""The server of last resort in a backend: a port that holds connections until somebody serves them."""
HOLD_SWITCHES = "handover"
"""A backend with one server per backend that can be held; in maintenance it holds."""


def proxy_writer(proxies: ProxiesFacts) -> str | None:
    """The node to which one HAProxy sends the next writing connection; None when it has nobody.

    HAProxy's own order: the server in the stick table unless it is down or in maintenance (a drained one
    still gets what sticks to it), else the first usable active server, else the first usable backup.
    """
    if _sticks(proxies):
        return proxies.sticky_writer
    servers = (item for item in proxies.backend(WRITER_BACKEND) if item.server != HOLD_SERVER)
    usable = sorted((item for item in servers if item.usable), key=lambda item: item.backup)
    return usable[0].server if usable else None


def _sticks(proxies: ProxiesFacts) -> bool:
    return any(
        server.server == proxies.sticky_writer and (server.usable or server.status.startswith("DRAIN"))
        for server in proxies.backend(WRITER_BACKEND)
    )


def writers(facts: ClusterFacts) -> dict[str, str]:
    """The writer that each HAProxy sticks to, by the proxy's node; one that has not decided yet is left out."""
    return {
        name: node.proxies.sticky_writer
        for name, node in _answering(facts).items()
        if node.proxies.error is None and node.proxies.sticky_writer is not None and _sticks(node.proxies)
    }


def writer(facts: ClusterFacts) -> str | None:
    """The one writer, when all proxies that have decided agree on it; None when they do not, or nobody can be.

    While no proxy has decided, it is the one that all of them would take next.
    """
    proxies = [node.proxies for node in _answering(facts).values() if node.proxies.error is None]
    named: set[str | None] = set(writers(facts).values())
    named = named or {proxy_writer(item) for item in proxies}
    return named.pop() if len(named) == 1 else None


def redis_primaries(facts: ClusterFacts, instance: str) -> tuple[str, ...]:
    """The nodes whose instance calls itself primary."""
    return tuple(
        name
        for name, node in _answering(facts).items()
        if (redis := node.redis.instances.get(instance)) is not None and redis.error is None and redis.role == "master"
    )


def redis_primary(facts: ClusterFacts, instance: str) -> str | None:
    """The one primary of an instance, when no Sentinel that answers names another; else None."""
    primaries = redis_primaries(facts, instance)
    if len(primaries) != 1:
        return None
    node = _answering(facts)[primaries[0]]
    believed = {
        view.address
        for other in _answering(facts).values()
        if (view := other.redis.sentinels.get(instance)) is not None and view.error is None
    }
    return primaries[0] if believed <= {node.address} else None


def gateway_holders(facts: ClusterFacts) -> dict[str, tuple[str, ...]]:
    """The nodes that answer each gateway address, by address; an address that nobody holds is not there."""
    holders: dict[str, tuple[str, ...]] = {}
    for name, node in _answering(facts).items():
        for address in node.gateway.held:
            holders[address] = (*holders.get(address, ()), name)
    return holders


def serving_nodes(facts: ClusterFacts) -> tuple[str, ...]:
    """The nodes that serve the shop: their own page is good and they are not drained."""
    return tuple(
        name
        for name, node in _answering(facts).items()
        if node.web.error is None and node.web.direct.status == 200 and node.drained("web") is None
    )


def _answering(facts: ClusterFacts) -> Mapping[str, NodeFacts]:
    return {name: node for name, node in facts.items() if not isinstance(node, Unreachable)}
