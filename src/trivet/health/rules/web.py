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
    own = [item for node, facts in cluster.members() for item in _of_node(cluster, node, facts)]
    yield from own
    yield from server_findings(cluster, SERVICE, ("web",), own)


def _of_node(cluster: Cluster, node: str, facts: NodeFacts) -> Iterator[Finding]:
    web = facts.web
    if silent := cluster.silent(SERVICE, node, web, "nginx", web.nginx):
        yield silent
        return
    yield from filter(
        None,
        (
            cluster.unit(SERVICE, node, "nginx", web.nginx),
            cluster.unit(SERVICE, node, "php*-fpm", web.php_fpm),
        ),
    )
    # A reload may cost this page; HAProxy then asks another node, so it is no excuse for the other one.
    if not {web.nginx, web.php_fpm} & set(COMING_OR_GOING):
        yield from _of_page(cluster, node, "its own nginx", web.direct, "nginx")
    yield from _of_page(cluster, node, "its HAProxy", web.proxied, "haproxy")


def _of_page(cluster: Cluster, node: str, way: str, page: Page, unit: str) -> Iterator[Finding]:
    if page.status == 200:
        return
    answer = f"answers {page.status}" if page.status else f"does not come: {page.error or 'no answer'}"
    reason = f"the page through {way} {answer}"
    yield Finding(SERVICE, node, State.BROKEN, reason, cluster.logs(node, unit))
