# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts of healthy clusters, and a way to change one thing in them."""

from __future__ import annotations

from dataclasses import is_dataclass, replace
from typing import Any

from trivet.health.expectation import Expectation, NodeExpectation
from trivet.health.facts import Disk, HostFacts, IdentityFacts, NodeFacts, Unreachable, by_name
from trivet.services.application.facts import ApplicationFacts
from trivet.services.contract import Terms
from trivet.services.database.facts import DatabaseFacts
from trivet.services.files.facts import BrickHeal, FilesFacts, Peer
from trivet.services.gateway.facts import GatewayFacts
from trivet.services.proxy.facts import ProxiesFacts, ProxyServer
from trivet.services.redis.contract import INSTANCES
from trivet.services.redis.facts import RedisFacts, RedisInstance, RedisReplica, SentinelView
from trivet.services.registry import lasting, settings_of
from trivet.services.search.facts import SearchFacts
from trivet.services.web.facts import Page, WebFacts
from trivet.verdict.facts import KINDS

Facts = dict[str, NodeFacts | Unreachable]

NOW = 1_800_000_000.0


def address(number: int) -> str:
    return f"10.0.0.{10 + number}"


def gateway(number: int) -> str:
    return f"10.0.0.{100 + number}"


def expectation(count: int = 3, **changes: Any) -> Expectation:
    nodes = tuple(NodeExpectation(f"node-{n}", address(n)) for n in range(1, count + 1))
    gateways = tuple(gateway(n) for n in range(1, count + 1))
    return replace(Expectation("test", nodes, gateways), **changes)


def healthy(count: int = 3) -> Facts:
    return {f"node-{number}": _node(number, count) for number in range(1, count + 1)}


def _node(number: int, count: int) -> NodeFacts:
    others = [other for other in range(1, count + 1) if other != number]
    return NodeFacts(
        node=f"node-{number}",
        address=address(number),
        asked_at=NOW,
        answered_at=NOW + 2,
        services=by_name(
            GatewayFacts(held=(gateway(number),), keepalived="active", haproxy="active", firewall=True),
            _proxies(count),
            WebFacts(nginx="active", php_fpm="active", direct=Page(status=200), proxied=Page(status=200)),
            ApplicationFacts(asked=True),
            DatabaseFacts(
                unit="active",
                wsrep=count > 1,
                cluster_status="Primary",
                state="Synced",
                ready=True,
                connected=True,
                size=count,
                cluster_uuid="11111111-2222-3333-4444-555555555555",
            ),
            RedisFacts(
                instances={name: _redis(number, count, port.default) for name, port in INSTANCES.items()},
                sentinels={name: _sentinel(count, port.default) for name, port in INSTANCES.items()},
            ),
            SearchFacts(unit="active", status="green", cluster_uuid="abc", nodes=count),
            FilesFacts(
                glusterd="active",
                peers=tuple(Peer(name=f"node-{n}", connected=True, state="Peer in Cluster") for n in others),
                volume_status="Started",
                replicas=count,
                brick_online=True,
                self_heal_online=count > 1,
                heal=tuple(
                    BrickHeal(brick=f"node-{n}:/srv/brick", connected=True, pending=0, split_brain=0)
                    for n in range(1, count + 1)
                    if count > 1
                ),
                mounted=True,
                writable=True,
                written=NOW,
                previous=NOW - 60,
                seen={f"node-{n}": NOW - 60 for n in range(1, count + 1)},
            ),
        ),
        host=HostFacts(
            hostname=f"node-{number}",
            clock=NOW + 1,
            vcpus=1,
            memory_mib=1920,
            memory_available_mib=500,
            disks={"/": Disk(free_percent=50.0, free_mib=9000, free_inodes_percent=90.0)},
            units={"trivet-agent": "active", "trivet-heal": "active", "nginx": "active"},
        ),
        identity=IdentityFacts(
            environment="test",
            node_id=number,
            address=address(number),
            gateways=tuple(gateway(n) for n in range(1, count + 1)),
            settings=lasting(settings_of(Terms())),
        ),
    )


def _proxies(count: int) -> ProxiesFacts:
    backends = ["web", "db_writer", "db_reader", "search", "redis_cache_primary", "redis_session_primary"]
    servers = [
        ProxyServer(
            backend=backend,
            server=f"node-{n}",
            server_id=n,
            status="DOWN" if backend.startswith("redis") and n > 1 else "UP",
            backup=backend == "db_writer" and n > 1,
        )
        for backend in backends
        for n in range(1, count + 1)
    ]
    holds = [
        ProxyServer(backend=backend, server="hold", server_id=9, status="no check", backup=True)
        for backend in ("db_writer", "redis_cache_primary", "redis_session_primary")
    ]
    switches = [ProxyServer(backend="handover", server=hold.backend, server_id=1, status="no check") for hold in holds]
    return ProxiesFacts(servers=(*servers, *holds, *switches), sticky_writer="node-1")


def _redis(number: int, count: int, port: int) -> RedisInstance:
    if number > 1:
        return RedisInstance(role="slave", offset=1000, primary_address=address(1), primary_link_up=True)
    replicas = tuple(
        RedisReplica(address=address(n), port=port, state="online", offset=1000) for n in range(2, count + 1)
    )
    return RedisInstance(role="master", offset=1000, replicas=replicas)


def _sentinel(count: int, port: int) -> SentinelView:
    return SentinelView(
        address=address(1),
        port=port,
        flags=("master",),
        other_sentinels=count - 1,
        quorum="OK 3 usable Sentinels. Quorum and failover authorization can be reached",
    )


def change(value: Any, path: str, new: Any) -> Any:
    """``value`` with what ``path`` leads to replaced; the steps are fields, keys and positions, and ``*`` for all."""
    step, _, rest = path.partition(".")
    if isinstance(value, tuple):
        return tuple(
            (change(item, rest, new) if rest else new) if step in ("*", str(position)) else item
            for position, item in enumerate(value)
        )
    if isinstance(value, dict):
        hit = {key: change(item, rest, new) if rest else new for key, item in value.items() if step in ("*", key)}
        return value | (hit or {step: new})
    assert is_dataclass(value)
    if isinstance(value, NodeFacts) and step in KINDS:
        # A web node has nothing of some services; a change of them is as if it had.
        services = {step: value.of(KINDS[step]), **value.services}
        return replace(value, services=change(services, path, new))
    old = getattr(value, step)
    return replace(value, **{step: change(old, rest, new) if rest else new})  # type: ignore[type-var]
