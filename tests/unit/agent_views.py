# SPDX-License-Identifier: GPL-3.0-or-later
"""A healthy cluster as each of its agents sees it, and ways to break it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from trivet.health.config import NodeConfig
from trivet.health.facts import Drain, Flag, HostFacts, LeaseMode, NodeFacts, Vote, by_name
from trivet.node.symptom import View
from trivet.services.application.facts import ApplicationFacts
from trivet.services.database.election import MemberReport
from trivet.services.database.facts import DatabaseFacts
from trivet.services.files.facts import BrickHeal, FilesFacts
from trivet.services.gateway.facts import GatewayFacts
from trivet.services.proxy.facts import ProxiesFacts, ProxyServer
from trivet.services.redis.contract import INSTANCES
from trivet.services.redis.facts import RedisFacts, RedisInstance, SentinelView
from trivet.services.search.facts import SearchFacts
from trivet.services.web.facts import Page, WebFacts

NAMES = ("n1", "n2", "n3")
UUID = "7d1a3c52-0a6e-11ef-9f3e-0242ac120002"
CLOCK = 1_800_000_000.0
Cluster = dict[str, NodeFacts]
Reports = dict[str, MemberReport]


def config(number: int, count: int = 3) -> NodeConfig:
    nodes = [{"name": f"n{n}", "id": n, "address": f"10.0.0.{n}"} for n in range(1, count + 1)]
    data = {"environment": "test", "id": number, "name": f"n{number}", "address": f"10.0.0.{number}"}
    data["gateways"] = [f"10.0.0.{n + 100}" for n in range(1, count + 1)]
    return NodeConfig.from_mapping({**data, "interface": "eth0", "nodes": nodes})


def healthy(count: int = 3) -> Cluster:
    return {f"n{n}": node(n, count) for n in range(1, count + 1)}


def node(number: int, count: int = 3) -> NodeFacts:
    numbers = range(1, count + 1)
    sentinel = SentinelView(address="10.0.0.1", flags=("master",), other_sentinels=count - 1, quorum="OK")
    role = RedisInstance(role="master" if number == 1 else "slave", primary_address="10.0.0.1", primary_link_up=True)
    return NodeFacts(
        node=f"n{number}",
        address=f"10.0.0.{number}",
        services=by_name(
            GatewayFacts(keepalived="active", haproxy="active"),
            ProxiesFacts(
                servers=tuple(
                    ProxyServer(backend="db_writer", server=f"n{n}", server_id=n, status="UP", backup=n > 1)
                    for n in numbers
                )
            ),
            WebFacts(nginx="active", php_fpm="active", direct=Page(status=200), proxied=Page(status=200)),
            ApplicationFacts(asked=True),
            DatabaseFacts(
                unit="active",
                wsrep=True,
                cluster_status="Primary",
                state="Synced",
                ready=True,
                connected=True,
                size=count,
            ),
            RedisFacts(instances=dict.fromkeys(INSTANCES, role), sentinels=dict.fromkeys(INSTANCES, sentinel)),
            SearchFacts(unit="active", status="green", nodes=count),
            FilesFacts(
                glusterd="active",
                volume_status="Started",
                replicas=count,
                brick_online=True,
                self_heal_online=True,
                heal=tuple(
                    BrickHeal(brick=f"n{n}:/srv/brick", connected=True, pending=0, split_brain=0) for n in numbers
                ),
                mounted=True,
                writable=True,
            ),
        ),
        host=HostFacts(clock=CLOCK, uptime_seconds=9000.0, units=dict.fromkeys(config(number, count).units, "active")),
    )


def reports(cluster: Cluster) -> Reports:
    """What members with these facts report of themselves."""
    return {
        name: MemberReport(
            node=name,
            unit=facts.of(DatabaseFacts).unit,
            process=facts.of(DatabaseFacts).unit in ("active", "activating"),
            answers=facts.of(DatabaseFacts).error is None,
            component=facts.of(DatabaseFacts).cluster_status,
            transfer=facts.of(DatabaseFacts).transfer,
            uuid=facts.of(DatabaseFacts).saved_uuid or UUID,
            seqno=facts.of(DatabaseFacts).saved_seqno,
        )
        for name, facts in cluster.items()
    }


def view(cluster: Cluster, name: str, heard: set[str] | None = None, said: Reports | None = None) -> View:
    """The look of one agent; ``heard`` are the members that answered it, all by default."""
    peers = {peer: facts for peer, facts in cluster.items() if peer != name and (heard is None or peer in heard)}
    said = reports(cluster) if said is None else said
    known = {member: report for member, report in said.items() if member in {*peers, name}}
    return View(config(int(name[1:]), len(cluster)), cluster[name], peers, known)


def change(cluster: Cluster, name: str, service: str, **values: Any) -> Cluster:
    """The cluster with facts of one service of one node replaced."""
    facts = cluster[name]
    if service in facts.services:
        return {**cluster, name: facts.having(replace(facts.services[service], **values))}
    return {**cluster, name: replace(facts, **{service: replace(getattr(facts, service), **values)})}


def unit(cluster: Cluster, name: str, which: str, state: str) -> Cluster:
    return change(cluster, name, "host", units={**cluster[name].host.units, which: state})


def stopped(cluster: Cluster, name: str, which: str) -> Cluster:
    return unit(cluster, name, which, "inactive")


def database_down(cluster: Cluster, name: str, seqno: int = 9, state: str = "inactive") -> Cluster:
    """A member whose server does not run, stopped cleanly."""
    down = DatabaseFacts(unit=state, error="ERROR 2002", down=True, saved_uuid=UUID, saved_seqno=seqno)
    broken = unit(cluster, name, "mariadb", state)
    broken = {**broken, name: broken[name].having(down)}
    return _proxies_see(broken, name, "DOWN")


def outage(*seqnos: int) -> Cluster:
    """All members stopped."""
    cluster = healthy()
    for name, seqno in zip(NAMES, seqnos, strict=True):
        cluster = database_down(cluster, name, seqno)
    return cluster


def _proxies_see(cluster: Cluster, server: str, status: str) -> Cluster:
    for name, facts in cluster.items():
        servers = tuple(
            replace(item, status=status) if item.server == server else item for item in facts.of(ProxiesFacts).servers
        )
        cluster = change(cluster, name, "proxies", servers=servers)
    return cluster


def silent(cluster: Cluster, name: str, service: str) -> Cluster:
    """A service that is alive and does not answer."""
    if service in ("cache", "session"):
        hung = RedisInstance(error="10.0.0.1:6380: timed out")
        return change(cluster, name, "redis", instances={**cluster[name].of(RedisFacts).instances, service: hung})
    if service == "web":
        return change(cluster, name, "web", direct=Page(error="10.0.0.1:8080/: timed out"))
    if service == "mount":
        return change(cluster, name, "files", writable=False, mount_error="no answer in 4.2 s")
    return change(cluster, name, service, error="it did not end in 3.0 s")


def leased(cluster: Cluster, name: str, by: str = "rotation-1", mode: str = LeaseMode.HANDS_OFF) -> Cluster:
    return change(cluster, name, "host", vote=Vote(owner=by, purpose="upscale", expires=CLOCK + 60, mode=mode))


def paused(cluster: Cluster, name: str) -> Cluster:
    return change(cluster, name, "host", pause=Flag(owner="alice", expires=CLOCK + 60))


def drained(cluster: Cluster, name: str, *services: str) -> Cluster:
    drains = {service: Drain(owner="alice", expires=CLOCK + 60) for service in services}
    return change(cluster, name, "host", drains=drains)
