# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is the database writer: what HAProxy thinks, which decides it. Pure."""

from __future__ import annotations

from trivet.health.facts import ClusterFacts, answering
from trivet.services.proxy.facts import HOLD_SERVER, WRITER_BACKEND, ProxiesFacts


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
        name: proxies.sticky_writer
        for name, node in answering(facts).items()
        if (proxies := node.of(ProxiesFacts)).error is None and proxies.sticky_writer is not None and _sticks(proxies)
    }


def writer(facts: ClusterFacts) -> str | None:
    """The one writer, when all proxies that have decided agree on it; None when they do not, or nobody can be.

    While no proxy has decided, it is the one that all of them would take next.
    """
    proxies = [node.of(ProxiesFacts) for node in answering(facts).values()]
    named: set[str | None] = set(writers(facts).values())
    named = named or {proxy_writer(item) for item in proxies if item.error is None}
    return named.pop() if len(named) == 1 else None
