# SPDX-License-Identifier: GPL-3.0-or-later
"""nginx and PHP-FPM: a real page, straight and through HAProxy."""

from __future__ import annotations

from collections.abc import Iterator

from trivet.health.cluster import COMING_OR_GOING, Cluster
from trivet.health.facts import NodeFacts, Page
from trivet.health.findings import Finding, State
from trivet.health.rules.proxies import server_findings

SERVICE = "web"


def findings(cluster: Cluster) -> Iterator[Finding]:
    """Judge the web servers of all nodes."""
    for node, facts in cluster.members():
        yield from _of_node(cluster, node, facts)
    yield from server_findings(cluster, SERVICE, ("web",))


def _of_node(cluster: Cluster, node: str, facts: NodeFacts) -> Iterator[Finding]:
    web = facts.web
    if silent := cluster.silent(SERVICE, node, web, "nginx", web.nginx):
        yield silent
        return
    settled = True
    for unit, state in (("nginx", web.nginx), ("php*-fpm", web.php_fpm)):
        if state in COMING_OR_GOING:
            yield Finding(SERVICE, node, State.BUSY, f"{unit} is {state}", cluster.logs(node, unit))
            settled = False
        elif state != "active":
            worse = State.UNKNOWN if state == "unknown" else State.BROKEN
            yield Finding(SERVICE, node, worse, f"{unit} is {state}", cluster.logs(node, unit))
    if settled:
        yield from _of_page(cluster, node, "its own nginx", web.direct, "nginx")
    # The proxied page may come from any node: this node's reload is no excuse for it.
    yield from _of_page(cluster, node, "its HAProxy", web.proxied, "haproxy")


def _of_page(cluster: Cluster, node: str, way: str, page: Page, unit: str) -> Iterator[Finding]:
    if page.status == 200:
        return
    answer = f"answers {page.status}" if page.status else f"does not come: {page.error or 'no answer'}"
    reason = f"the page through {way} {answer}"
    yield Finding(SERVICE, node, State.BROKEN, reason, cluster.logs(node, unit))
