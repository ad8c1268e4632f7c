# SPDX-License-Identifier: GPL-3.0-or-later
"""nginx and PHP-FPM: a real page, straight and through HAProxy."""

from __future__ import annotations

from collections.abc import Iterator

from trivet.health.cluster import COMING_OR_GOING, Cluster, Rules, listed
from trivet.health.facts import NodeFacts
from trivet.health.findings import Finding, State
from trivet.services.proxy.findings import server_findings
from trivet.services.web.facts import Page, WebFacts

SERVICE = "web"


def findings(cluster: Cluster) -> Iterator[Finding]:
    """Judge the web servers of all nodes."""
    members = {name for name, _ in cluster.members()}
    own = [
        item for node, facts in cluster.machines() for item in _of_node(cluster, node, facts, proxied=node in members)
    ]
    yield from own
    yield from _out_of_service(cluster)
    yield from _of_shop(cluster)
    yield from server_findings(cluster, SERVICE, ("web",), own)


def _out_of_service(cluster: Cluster) -> Iterator[Finding]:
    """A web node that no HAProxy is to have: somebody is making it or taking it away, or was killed while doing so."""
    for node in cluster.expectation.web_nodes:
        if not node.in_service:
            reason = f"{node.name} is not in service: it is being made or taken away"
            command = "the same trivet scale-out or scale-in again; trivet scale-out --help says more"
            yield Finding(SERVICE, node.name, State.BUSY, reason, command, by_drain=True)


def _of_shop(cluster: Cluster) -> Iterator[Finding]:
    """A drain is somebody's work in progress where another node serves; everywhere, it is an outage."""
    serving = {node.name for node in cluster.expectation.machines if node.in_service}
    answering = [name for name, _ in cluster.machines() if name in serving]
    if not answering or any(cluster.drain(SERVICE, name) is None for name in answering):
        return
    where = "everywhere" if len(answering) == len(serving) else f"on {listed(answering)}, and no other node answers"
    reason = f"no node serves the shop: web is drained {where}"
    yield Finding(SERVICE, None, State.BROKEN, reason, cluster.clean_command, by_drain=True)


def _of_node(cluster: Cluster, node: str, facts: NodeFacts, *, proxied: bool) -> Iterator[Finding]:
    web = facts.of(WebFacts)
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
        yield from _of_page(cluster, node, facts, "its own nginx", web.direct, "nginx")
    if proxied:
        yield from _of_page(cluster, node, facts, "its HAProxy", web.proxied, "haproxy")


def _of_page(cluster: Cluster, node: str, facts: NodeFacts, way: str, page: Page, unit: str) -> Iterator[Finding]:
    """Anything but 200 is an outage, except in a state that a change has announced. Silence is never announced."""
    if page.status == 200:
        return
    announced = facts.host.announced
    if page.status and announced is not None:
        reason = f"the page through {way} answers {page.status}, as {announced.owner} has announced"
        yield Finding(SERVICE, node, State.BUSY, reason, cluster.logs(node, unit))
        return
    answer = f"answers {page.status}" if page.status else f"does not come: {page.error or 'no answer'}"
    reason = f"the page through {way} {answer}"
    yield Finding(SERVICE, node, State.BROKEN, reason, cluster.logs(node, unit))


RULES = Rules(findings)
