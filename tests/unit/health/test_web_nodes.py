# SPDX-License-Identifier: GPL-3.0-or-later
"""Web nodes in the verdict: judged by what they have, named when they fail, and no member of any cluster."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.health import clusters
from trivet.health.config import NodeConfig
from trivet.health.expectation import Expectation, NodeExpectation
from trivet.health.external import NoAnswer
from trivet.health.facts import Drain, IdentityFacts, NodeFacts, Unreachable, by_name
from trivet.health.findings import State
from trivet.services.application.facts import ApplicationFacts
from trivet.services.files.collect import client_facts
from trivet.services.files.facts import FilesFacts
from trivet.services.gateway.facts import GatewayFacts
from trivet.services.proxy.facts import ProxiesFacts, ProxyServer
from trivet.services.web.facts import Page, WebFacts
from trivet.verdict.assess import Verdict, assess
from trivet.verdict.collect import collect_node

WEB = "web-1"


def expected(in_service: bool = True) -> Expectation:
    return clusters.expectation(web_nodes=(NodeExpectation(WEB, "10.0.0.31", in_service=in_service),))


def with_web(known: bool = True) -> clusters.Facts:
    """A healthy cluster with a web node, which every public HAProxy knows."""
    facts = clusters.healthy()
    member = facts["node-2"]
    assert isinstance(member, NodeFacts)
    # Its HAProxy has no public frontend; of the clusters it has what every other has.
    local = replace(
        member.of(ProxiesFacts),
        servers=tuple(item for item in member.of(ProxiesFacts).servers if item.backend != "web"),
    )
    if known:
        server = ProxyServer(backend="web", server=WEB, server_id=4, status="UP")
        for name in ("node-1", "node-2", "node-3"):
            servers = facts[name].of(ProxiesFacts).servers  # type: ignore[union-attr]
            facts[name] = clusters.change(facts[name], "proxies.servers", (*servers, server))
    marks = replace(member.of(FilesFacts), glusterd="inactive", peers=(), heal=(), replicas=0, volume_status="")
    facts[WEB] = NodeFacts(
        identity=IdentityFacts(environment="test", node_id=11),
        node=WEB,
        address="10.0.0.31",
        asked_at=clusters.NOW,
        answered_at=clusters.NOW + 2,
        services=by_name(
            replace(member.of(GatewayFacts), held=(), keepalived="inactive"),
            local,
            replace(member.of(WebFacts), proxied=Page()),
            member.of(ApplicationFacts),
            replace(marks, brick_online=False, self_heal_online=False),
        ),
        host=replace(member.host, hostname=WEB, drains={}, units={"trivet-agent": "active"}),
    )
    return facts


def judged(path: str, new: Any, *, node: str = WEB) -> Verdict:
    facts = with_web()
    facts[node] = clusters.change(facts[node], path, new)
    return assess(expected(), facts)


def problems(verdict: Verdict) -> list[tuple[str, str | None, State]]:
    return [(item.service, item.node, item.state) for item in verdict.problems]


def test_a_web_node_without_any_member_of_a_cluster_is_healthy() -> None:
    verdict = assess(expected(), with_web())
    assert problems(verdict) == []
    assert verdict.nodes == ("node-1", "node-2", "node-3", WEB)


def test_a_web_node_that_is_down_makes_the_verdict_broken_and_is_named() -> None:
    facts = with_web()
    facts[WEB] = Unreachable("SSH: no route to host")
    verdict = assess(expected(), facts)
    assert problems(verdict) == [("host", WEB, State.BROKEN)]
    assert "web-1 cannot be reached: SSH: no route to host" in verdict.problems[0].reason
    assert verdict.unreachable == (WEB,)
    assert verdict.of("web", WEB) is State.BROKEN


@pytest.mark.parametrize(
    ("path", "new", "service", "state"),
    [
        ("web.nginx", "failed", "web", State.BROKEN),
        ("web.php_fpm", "failed", "web", State.BROKEN),
        ("web.direct.status", 500, "web", State.BROKEN),
        ("gateway.haproxy", "failed", "gateway", State.BROKEN),
        ("proxies.error", "does not answer", "gateway", State.UNKNOWN),
        ("proxies.sticky_writer", "node-2", "database", State.BUSY),
        ("files.mounted", False, "files", State.BROKEN),
        ("files.writable", False, "files", State.BROKEN),
        ("files.error", "no answer", "files", State.UNKNOWN),
        ("host.memory_available_mib", 5, "host", State.BROKEN),
        ("host.package_lock", True, "host", State.BUSY),
        ("gateway.firewall", False, "host", State.BROKEN),
        ("host.units.trivet-agent", "inactive", "host", State.BROKEN),
    ],
)
def test_what_a_web_node_has_is_judged(path: str, new: Any, service: str, state: State) -> None:
    assert (service, state) in [(found, how) for found, _, how in problems(judged(path, new))]


@pytest.mark.parametrize("path", ["gateway.keepalived", "files.glusterd", "database.error", "search.error"])
def test_what_a_web_node_does_not_have_is_not_judged(path: str) -> None:
    assert problems(judged(path, "failed")) == []


def test_a_web_node_whose_haproxy_loses_its_writers_is_named() -> None:
    facts = with_web()
    web = facts[WEB]
    assert isinstance(web, NodeFacts)
    down = tuple(
        replace(item, status="DOWN") if item.backend in ("db_writer", "db_reader") else item
        for item in web.of(ProxiesFacts).servers
    )
    facts[WEB] = web.having(replace(web.of(ProxiesFacts), servers=down, sticky_writer=None))
    found = assess(expected(), facts).problems
    assert any(item.node == WEB and item.reason == "its HAProxy has no writer" for item in found)
    assert any("HAProxy on web-1 sees it down in db_writer" in item.reason for item in found)


def test_a_public_proxy_that_does_not_have_the_web_node_is_found() -> None:
    verdict = assess(expected(), with_web(known=False))
    assert [(item.node, item.state) for item in verdict.problems] == [(WEB, State.BROKEN)]
    assert "HAProxy on node-1, node-2, node-3 does not know it in web" in verdict.problems[0].reason


def test_one_that_is_being_made_is_in_no_proxy_and_busy() -> None:
    verdict = assess(expected(in_service=False), with_web(known=False))
    assert problems(verdict) == [("web", WEB, State.BUSY)]
    assert "is not in service" in verdict.problems[0].reason


@pytest.mark.parametrize(
    ("in_service", "drained", "down"), [(True, False, False), (True, True, True), (False, False, True)]
)
def test_a_web_node_can_serve_the_shop_alone(in_service: bool, drained: bool, down: bool) -> None:
    facts = with_web(known=in_service)
    flag = {"web": Drain(owner="alice", expires=clusters.NOW + 600)}
    for name in ("node-1", "node-2", "node-3", *((WEB,) if drained else ())):
        facts[name] = clusters.change(facts[name], "host.drains", flag)
    reasons = [item.reason for item in assess(expected(in_service), facts).problems]
    assert ("no node serves the shop: web is drained everywhere" in reasons) is down


def test_marks_of_the_members_must_be_seen_on_a_web_node_too() -> None:
    verdict = judged("files.seen", {"node-1": clusters.NOW - 60, "node-2": clusters.NOW - 60})
    assert [item.reason for item in verdict.problems] == ["a write of node-3 is not seen on web-1"]


def test_a_web_node_collects_only_what_it_has() -> None:
    members = [{"name": f"node-{n}", "id": n, "address": clusters.address(n)} for n in (1, 2, 3)]
    data = {"environment": "test", "name": WEB, "id": 11, "address": "127.0.0.1", "interface": "lo", "nodes": members}
    assert NodeConfig.from_mapping(data).web_only
    assert not NodeConfig.from_mapping(data | {"name": "node-2"}).web_only
    gathered = collect_node(data)
    assert not {"database", "redis", "search"} & gathered.keys()
    assert {"web", "files", "proxies", "gateway", "host"} <= gathered.keys()


def test_a_mount_that_hangs_is_no_mount_that_works() -> None:
    facts = client_facts({"files: mount": NoAnswer("no answer in 4.5 s")})
    assert (facts.mounted, facts.writable, facts.mount_error) == (True, False, "no answer in 4.5 s")
    assert client_facts({"files: mount": FilesFacts(mounted=True, writable=True)}).writable
