# SPDX-License-Identifier: GPL-3.0-or-later
"""Every row of the table of what healthy is: healthy, busy, broken, unknown."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import pytest

from tests.unit.health.clusters import NOW, Facts, address, change, expectation, gateway, healthy
from trivet.health.facts import Disk, Drain, Flag, Pending, Unreachable, Vote
from trivet.health.findings import State
from trivet.services.database.facts import Client
from trivet.services.files.facts import Peer
from trivet.services.proxy.facts import ProxiesFacts, ProxyServer
from trivet.services.redis.facts import RedisInstance
from trivet.services.web.facts import Page
from trivet.verdict.assess import Verdict, assess

HEALTHY, BUSY, UNKNOWN, BROKEN = State.HEALTHY, State.BUSY, State.UNKNOWN, State.BROKEN
DRAIN = Drain(owner="rotation", reason="upscale to 12", since=NOW, expires=NOW + 600)


FULL = Disk(free_percent=3.0, free_mib=200, free_inodes_percent=90.0)


def judged(facts: Facts, changes: dict[str, Any], count: int = 3) -> Verdict:
    """The verdict after some changes, each ``node-1.database.state`` style."""
    for path, value in changes.items():
        facts = change(facts, path, value)
    return assess(expectation(count), facts)


def server_path(backend: str, node: str) -> str:
    servers = healthy()["node-1"].of(ProxiesFacts).servers  # type: ignore[union-attr]
    position = next(n for n, item in enumerate(servers) if (item.backend, item.server) == (backend, node))
    return f"proxies.servers.{position}.status"


def memory(node: str, used_mib: int, instance: str = "session", **more: int) -> dict[str, Any]:
    """An instance of Redis that may take 128 MiB, and has so many."""
    values = {"used_memory": used_mib * 2**20, "max_memory": 128 * 2**20, **more}
    return {f"{node}.redis.instances.{instance}.{name}": value for name, value in values.items()}


def test_three_healthy_nodes_are_healthy() -> None:
    verdict = assess(expectation(), healthy())
    assert verdict.state is HEALTHY
    assert verdict.exit_code == 0
    assert verdict.problems == ()


def test_one_healthy_node_is_an_environment_of_its_own() -> None:
    assert assess(expectation(1), healthy(1)).problems == ()


def test_one_node_needs_neither_sentinel_nor_green() -> None:
    changes: dict[str, Any] = {
        "node-1.redis.sentinels": {},
        "node-1.search.status": "yellow",
        "node-1.search.unassigned_shards": 2,
    }
    assert judged(healthy(1), changes, 1).problems == ()


@pytest.mark.parametrize(
    ("service", "node", "state", "words", "changes"),
    [
        # Gateway
        ("gateway", None, BROKEN, "held by no node", {"node-2.gateway.held": ()}),
        ("gateway", None, BROKEN, "2 nodes at once", {"node-2.gateway.held": (gateway(1), gateway(2))}),
        (
            "gateway",
            None,
            UNKNOWN,
            "held by no node",
            {"node-2.gateway.held": (), "node-2.gateway.error": "ip did not end in 3.0 s"},
        ),
        (
            "gateway",
            None,
            BUSY,
            "2 nodes at once",
            {"node-2.gateway.held": (gateway(1), gateway(2)), "node-1.gateway.handover": True},
        ),
        ("gateway", "node-1", BUSY, "being handed", {"node-1.gateway.handover": True}),
        ("gateway", "node-1", BUSY, "reloading", {"node-1.gateway.haproxy": "reloading"}),
        ("gateway", "node-1", BROKEN, "haproxy is failed", {"node-1.gateway.haproxy": "failed"}),
        ("gateway", "node-1", BROKEN, "keepalived is inactive", {"node-1.gateway.keepalived": "inactive"}),
        ("gateway", "node-1", UNKNOWN, "does not say", {"node-1.proxies.error": "no answer"}),
        (
            "gateway",
            "node-1",
            BROKEN,
            "keepalived is alive and does not turn: no answer in 11 s",
            {"node-1.gateway.keepalived_silent": 11.0},
        ),
        # Web
        ("web", "node-1", BROKEN, "nginx is failed", {"node-1.web.nginx": "failed"}),
        ("web", "node-1", BROKEN, "php*-fpm is missing", {"node-1.web.php_fpm": "missing"}),
        ("web", "node-1", BROKEN, "answers 500", {"node-1.web.direct": Page(status=500)}),
        ("web", "node-1", BROKEN, "answers 503", {"node-1.web.proxied": Page(status=503)}),
        ("web", "node-1", BROKEN, "refuses", {"node-1.web.direct": Page(error="refuses")}),
        (
            "web",
            "node-1",
            BUSY,
            "php*-fpm is reloading",
            {"node-1.web.php_fpm": "reloading", "node-1.web.direct": Page(status=502)},
        ),
        ("web", "node-1", UNKNOWN, "no answer", {"node-1.web.error": "no time left"}),
        ("web", "node-2", BROKEN, "node-1 sees it down", {f"node-1.{server_path('web', 'node-2')}": "DOWN"}),
        ("web", "node-2", BUSY, "sees it come up", {f"node-1.{server_path('web', 'node-2')}": "DOWN 1/2"}),
        ("web", "node-2", BROKEN, "in maintenance", {f"node-1.{server_path('web', 'node-2')}": "MAINT"}),
        ("web", "node-2", BUSY, "drains it", {f"node-1.{server_path('web', 'node-2')}": "DRAIN (agent)"}),
        # Database
        ("database", "node-2", BUSY, "Donor/Desynced", {"node-2.database.state": "Donor/Desynced"}),
        ("database", "node-2", BUSY, "Joined", {"node-2.database.state": "Joined"}),
        ("database", "node-2", BUSY, "Joining", {"node-2.database.state": "Joining: receiving State Transfer"}),
        ("database", "node-2", BUSY, "wsrep_sst", {"node-2.database.transfer": "wsrep_sst_mariabackup"}),
        ("database", "node-2", BUSY, "flow control", {"node-2.database.flow_control": True}),
        (
            "database",
            "node-2",
            BUSY,
            "mariadb is activating",
            {
                "node-2.database.unit": "activating",
                "node-2.database.error": "refused",
                "node-2.database.down": True,
                "node-1.database.size": 2,
                "node-3.database.size": 2,
                f"node-1.{server_path('db_writer', 'node-2')}": "DOWN",
            },
        ),
        ("database", "node-2", BROKEN, "primary component", {"node-2.database.cluster_status": "non-Primary"}),
        ("database", "node-2", BROKEN, "Initialized", {"node-2.database.state": "Initialized"}),
        ("database", "node-2", BROKEN, "not connected", {"node-2.database.connected": False}),
        ("database", "node-2", BROKEN, "not ready", {"node-2.database.ready": False}),
        ("database", "node-2", BROKEN, "does not replicate", {"node-2.database.wsrep": False}),
        (
            "database",
            "node-2",
            BROKEN,
            "does not run",
            {"node-2.database.error": "refused", "node-2.database.down": True, "node-2.database.unit": "failed"},
        ),
        ("database", "node-2", UNKNOWN, "no answer", {"node-2.database.error": "did not end in 3.0 s"}),
        ("database", None, BROKEN, "more than one cluster", {"node-2.database.cluster_uuid": "other"}),
        ("database", None, BROKEN, "should have 3 members", {"node-1.database.size": 2}),
        ("database", None, BUSY, "do not agree", {"node-3.proxies.sticky_writer": "node-2"}),
        # Redis
        ("redis", "node-2", BUSY, "cache: loads", {"node-2.redis.instances.cache.loading": True}),
        (
            "redis",
            "node-2",
            BUSY,
            "copies all data",
            {
                "node-2.redis.instances.session.primary_sync_in_progress": True,
                "node-2.redis.instances.session.primary_link_up": False,
            },
        ),
        ("redis", "node-2", BUSY, "wait_bgsave", {"node-1.redis.instances.cache.replicas.0.state": "wait_bgsave"}),
        ("redis", "node-2", BUSY, "behind", {"node-1.redis.instances.cache.offset": 100_000_000}),
        ("redis", "node-3", BUSY, "list yet", {"node-1.redis.instances.cache.replicas.1.address": "10.9.9.9"}),
        ("redis", "node-2", BROKEN, "no link", {"node-2.redis.instances.cache.primary_link_up": False}),
        ("redis", "node-2", BROKEN, "replicates from", {"node-2.redis.instances.cache.primary_address": address(3)}),
        ("redis", "node-2", BROKEN, "neither", {"node-2.redis.instances.cache.role": "sentinel"}),
        (
            "redis",
            "node-2",
            BROKEN,
            "cache: redis-cache does not run",
            {"node-2.redis.instances.cache": RedisInstance(error="refuses", down=True)},
        ),
        (
            "redis",
            "node-2",
            UNKNOWN,
            "session: no answer",
            {"node-2.redis.instances.session": RedisInstance(error="timed out")},
        ),
        ("redis", "node-1", BROKEN, "session: 97.7 % of its 128 MiB", memory("node-1", 125)),
        ("redis", "node-2", BROKEN, "session: 100.0 % of its 128 MiB", memory("node-2", 128)),
        ("redis", None, BROKEN, "2 nodes call themselves", {"node-2.redis.instances.cache.role": "master"}),
        ("redis", None, BROKEN, "no node is primary", {"node-1.redis.instances.cache.role": "slave"}),
        (
            "redis",
            None,
            UNKNOWN,
            "no node is primary",
            {"node-1.redis.instances.cache": RedisInstance(error="timed out")},
        ),
        ("redis", None, BUSY, "failover", {"node-1.redis.instances.cache.failover_state": "failover-in-progress"}),
        ("redis", None, BROKEN, "do not agree", {"node-2.redis.sentinels.cache.address": address(2)}),
        ("redis", "node-2", BROKEN, "no quorum", {"node-2.redis.sentinels.cache.quorum": "NOQUORUM 1 usable"}),
        ("redis", "node-2", BROKEN, "1 of 2 others", {"node-2.redis.sentinels.cache.other_sentinels": 1}),
        ("redis", "node-2", BROKEN, "for down", {"node-2.redis.sentinels.cache.flags": ("master", "s_down")}),
        ("redis", "node-2", BUSY, "TILT", {"node-2.redis.sentinels.cache.tilt": True}),
        (
            "redis",
            "node-3",
            BROKEN,
            "sends to nobody",
            {f"node-3.{server_path('redis_cache_primary', 'node-1')}": "DOWN"},
        ),
        (
            "redis",
            "node-3",
            BROKEN,
            "sends to nobody",
            {
                f"node-3.{server_path('redis_cache_primary', 'node-1')}": "DRAIN (agent)",
                "node-1.host.drains": {"redis": DRAIN},
            },
        ),
        (
            "redis",
            "node-3",
            BROKEN,
            "sends to node-1, node-2",
            {f"node-3.{server_path('redis_cache_primary', 'node-2')}": "UP"},
        ),
        # Search
        (
            "search",
            None,
            BUSY,
            "2 shards initializing",
            {"node-1.search.status": "yellow", "node-1.search.initializing_shards": 2},
        ),
        ("search", None, BUSY, "relocating", {"node-1.search.relocating_shards": 1}),
        (
            "search",
            None,
            BUSY,
            "wait to be assigned",
            {"node-1.search.status": "yellow", "node-1.search.delayed_shards": 1},
        ),
        ("search", None, BROKEN, "is yellow", {"node-1.search.status": "yellow"}),
        ("search", None, BROKEN, "is red", {"node-1.search.status": "red"}),
        ("search", None, BROKEN, "limited to primaries", {"node-1.search.allocation": "primaries"}),
        ("search", None, BROKEN, "should have 3 nodes", {"node-1.search.nodes": 2}),
        ("search", None, BROKEN, "more than one cluster", {"node-1.search.cluster_uuid": "other"}),
        ("search", "node-1", BROKEN, "found no cluster", {"node-1.search.cluster_uuid": "_na_"}),
        (
            "search",
            "node-1",
            BUSY,
            "opensearch is activating",
            {"node-1.search.error": "refused", "node-1.search.down": True, "node-1.search.unit": "activating"},
        ),
        (
            "search",
            "node-1",
            BROKEN,
            "does not run",
            {"node-1.search.error": "refused", "node-1.search.down": True, "node-1.search.unit": "inactive"},
        ),
        ("search", "node-1", UNKNOWN, "no answer", {"node-1.search.error": "/ answered 503"}),
        # Files
        ("files", "node-1", BROKEN, "1 of 2 peers", {"node-1.files.peers": (Peer(name="node-2", connected=True),)}),
        ("files", "node-1", BROKEN, "not connected to node-2", {"node-1.files.peers.0.connected": False}),
        ("files", "node-1", BROKEN, "not agreed", {"node-1.files.peers.0.state": "Peer Rejected"}),
        ("files", "node-1", BROKEN, "brick is offline", {"node-1.files.brick_online": False}),
        ("files", "node-1", BROKEN, "self-heal daemon", {"node-1.files.self_heal_online": False}),
        ("files", "node-1", BROKEN, "Stopped", {"node-1.files.volume_status": "Stopped"}),
        ("files", "node-1", BROKEN, "keeps 2 copies", {"node-1.files.replicas": 2}),
        ("files", "node-1", BROKEN, "does not reach", {"node-1.files.heal.1.connected": False}),
        ("files", "node-1", BROKEN, "hear the brick of node-2", {"node-1.files.bricks_unheard": (address(2),)}),
        ("files", "node-1", BROKEN, "sees 0 of 3 bricks", {"node-1.files.heal": ()}),
        ("files", None, BUSY, "4 files to heal (noted by node-2)", {"node-1.files.heal.1.pending": 4}),
        ("files", None, BROKEN, "1 file in split-brain", {"node-3.files.heal.*.split_brain": 1}),
        (
            "files",
            None,
            UNKNOWN,
            "no node was asked",
            {f"node-{number}.files.heal_asked": False for number in (1, 2, 3)},
        ),
        ("files", "node-1", UNKNOWN, "not known", {"node-1.files.heal_error": "Another transaction is in progress"}),
        ("files", "node-1", BROKEN, "not mounted", {"node-1.files.mounted": False, "node-1.files.writable": False}),
        ("files", "node-1", BROKEN, "takes no write", {"node-1.files.writable": False}),
        ("files", None, BROKEN, "of node-1 is not seen on node-2", {"node-2.files.seen": {"node-3": NOW}}),
        ("files", "node-1", BUSY, "glusterd is activating", {"node-1.files.glusterd": "activating"}),
        (
            "files",
            "node-1",
            BROKEN,
            "does not run",
            {"node-1.files.error": "refused", "node-1.files.down": True, "node-1.files.glusterd": "inactive"},
        ),
        ("files", "node-1", UNKNOWN, "no answer", {"node-1.files.error": "gluster did not end in 3.0 s"}),
        # Host
        ("host", "node-1", BROKEN, "3.0 % free", {"node-1.host.disks./.free_percent": 3.0}),
        ("host", "node-1", BROKEN, "inodes", {"node-1.host.disks./.free_inodes_percent": 1.0}),
        (
            "host",
            "node-1",
            BROKEN,
            "/var/lib/mysql has 3.0 % free (200 MiB)",
            {"node-1.host.disks./var/lib/mysql": FULL},
        ),
        ("host", "node-1", BROKEN, "MiB of memory are available", {"node-1.host.memory_available_mib": 20}),
        ("host", "node-1", BUSY, "packages", {"node-1.host.package_lock": True}),
        ("host", "node-1", BROKEN, "+1.00 s off", {"node-1.host.clock_offset_seconds": 1.0}),
        ("host", "node-1", BROKEN, "firewall is not loaded", {"node-1.gateway.firewall": False}),
        ("host", "node-1", BROKEN, "trivet-agent is inactive", {"node-1.host.units.trivet-agent": "inactive"}),
        ("host", "node-1", BROKEN, "trivet-heal is failed", {"node-1.host.units.trivet-heal": "failed"}),
        ("host", "node-1", BUSY, "trivet-heal is activating", {"node-1.host.units.trivet-heal": "activating"}),
        ("host", "node-1", UNKNOWN, "no answer", {"node-1.host.error": "no /proc"}),
        ("host", "node-1", BROKEN, "answers as node-2", {"node-1.node": "node-2"}),
        ("host", None, BROKEN, "one hostname", {"node-1.host.hostname": "node-2"}),
        ("host", None, BROKEN, "apart", {"node-1.host.clock": NOW + 30}),
        ("host", "node-2", BROKEN, "cannot be reached", {"node-2": Unreachable("SSH: timed out")}),
    ],
)
def test_each_fault_is_found(service: str, node: str | None, state: State, words: str, changes: dict[str, Any]) -> None:
    verdict = judged(healthy(), changes)
    found = [item for item in verdict.problems if (item.service, item.node) == (service, node)]
    assert any(item.state is state and words in item.reason for item in found), verdict.problems
    assert verdict.of(service).severity >= state.severity


def test_a_joining_member_makes_the_environment_busy_and_no_worse() -> None:
    changes: dict[str, Any] = {
        "node-2.database.unit": "activating",
        "node-2.database.error": "no socket",
        "node-2.database.down": True,
        "node-2.database.transfer": "wsrep_sst_mariabackup",
        "node-1.database.state": "Donor/Desynced",
        "node-1.database.size": 2,
        "node-3.database.size": 2,
        f"node-1.{server_path('db_writer', 'node-2')}": "DOWN",
    }
    assert judged(healthy(), changes).state is BUSY


def test_when_the_database_is_down_everywhere_the_command_that_recovers_it_is_named() -> None:
    down = {"unit": "inactive", "error": "refused", "down": True, "cluster_status": ""}
    changes = {f"node-{n}.database.{name}": value for n in (1, 2, 3) for name, value in down.items()}
    command = "trivet recover test database --plan"
    assert command in [finding.next_command for finding in judged(healthy(), changes).problems]
    # One that starts may be about to find the others, one that is left can be joined, one that is slow may be in it.
    for better in (
        {"node-3.database.unit": "activating"},
        {"node-3.database.error": None, "node-3.database.cluster_status": "Primary"},
        {"node-3.database.unit": "active", "node-3.database.error": "no answer", "node-3.database.down": False},
    ):
        assert command not in [finding.next_command for finding in judged(healthy(), changes | better).problems]


def test_a_failover_in_progress_makes_redis_busy_and_no_worse() -> None:
    changes: dict[str, Any] = {
        "node-2.redis.sentinels.cache.flags": ("master", "o_down", "failover_in_progress"),
        "node-2.redis.instances.cache.primary_link_up": False,
        "node-3.redis.instances.cache.primary_link_up": False,
        "node-2.redis.sentinels.cache.address": address(2),
        "node-2.redis.instances.cache.role": "master",
    }
    assert judged(healthy(), changes).of("redis") is BUSY


def test_a_gateway_on_a_foreign_node_is_healthy_with_a_note() -> None:
    changes = {"node-1.gateway.held": (), "node-2.gateway.held": (gateway(1), gateway(2))}
    verdict = judged(healthy(), changes)
    assert verdict.state is HEALTHY
    assert any("10.0.0.101 of node-1 is held by node-2" in item.reason for item in verdict.findings)


def test_notes_do_not_make_a_host_unhealthy() -> None:
    changes: dict[str, Any] = {
        "node-1.host.failed_units": ("logrotate.service",),
        "node-1.host.pending": (Pending(service="database", kind="restart", reason="changed: 90-trivet.cnf"),),
        "node-1.host.pause": Flag(owner="alice", expires=NOW + 600),
    }
    verdict = judged(healthy(), changes)
    assert verdict.state is HEALTHY
    notes = [item for item in verdict.findings if item.node == "node-1" and item.service == "host"]
    assert len(notes) == 3
    assert any("paused by alice" in note.reason for note in notes)


def test_what_waits_for_a_reload_is_told_with_since_when_and_the_command() -> None:
    reload = Pending(service="haproxy", kind="reload", reason="changed: /etc/haproxy/haproxy.cfg", since=NOW)
    restart = Pending(service="mariadb", kind="restart", since=NOW)
    verdict = judged(healthy(), {"node-1.host.pending": (reload, restart), "node-1.proxies.older_seconds": 60.0})
    assert verdict.state is HEALTHY
    assert [(note.node, note.reason, note.next_command) for note in verdict.notes] == [
        (
            "node-1",
            "haproxy waits for a reload since 2027-01-15 08:00:00 UTC: changed: /etc/haproxy/haproxy.cfg",
            "trivet converge test",
        ),
        (
            "node-1",
            "mariadb waits for a restart by the next rotation since 2027-01-15 08:00:00 UTC",
            "trivet restart test",
        ),
    ]


def test_a_haproxy_that_is_older_than_its_file_is_told_without_a_mark() -> None:
    verdict = judged(healthy(), {"node-2.proxies.older_seconds": 3723.4})
    assert verdict.state is HEALTHY
    (note,) = verdict.notes
    assert (note.service, note.node) == ("gateway", "node-2")
    assert note.reason == "its HAProxy is 3723 s older than /etc/haproxy/haproxy.cfg and has not read it"
    assert note.next_command == "trivet converge test"


def test_a_limit_of_transactions_is_told_and_harms_nobody() -> None:
    verdict = judged(healthy(), {"node-2.database.transaction_limit_bytes": 512 * 2**20})
    assert verdict.state is HEALTHY
    (note,) = verdict.notes
    assert note.reason.startswith("limits a transaction to 512 MiB: with any limit MariaDB refuses")


def test_a_huge_transaction_is_told_by_its_connection() -> None:
    client = Client(number=7, user="shop", host=f"{address(3)}:4711", idle=True, transaction_seconds=90, rows=2_000_000)
    verdict = judged(healthy(), {"node-1.database.huge": (client,)})
    assert verdict.state is HEALTHY
    (note,) = verdict.notes
    assert note.reason.startswith("a huge transaction: shop from node-3 (connection 7): in a transaction with 2000000")
    assert note.next_command == f"ssh {address(1)} mariadb-admin kill 7"


@pytest.mark.parametrize(("count", "told"), [(3, 1), (1, 0)])
def test_an_index_without_a_replica_is_told_where_there_are_other_nodes(count: int, told: int) -> None:
    verdict = judged(healthy(count), {"node-1.search.single_copies": ("old_product_1",)}, count)
    assert verdict.state is HEALTHY
    assert len([note for note in verdict.notes if "old_product_1" in note.reason]) == told


def test_sessions_that_fill_their_redis_are_noted_in_time() -> None:
    verdict = judged(healthy(), memory("node-1", 120))
    assert verdict.state is HEALTHY
    (note,) = [item for item in verdict.findings if item.service == "redis" and item.node == "node-1"]
    assert note.reason == "session: 93.8 % of its 128 MiB are used"
    assert note.next_command == "raise redis_session_maxmemory_mib, then: trivet converge test"


@pytest.mark.parametrize(
    "changes",
    [
        memory("node-1", 100),
        memory("node-1", 128, "cache"),
        memory("node-1", 128, max_memory=0),
        memory("node-1", 160, uncounted_memory=64 * 2**20),
    ],
    ids=["room", "a cache evicts", "unlimited", "buffers of replicas do not count"],
)
def test_redis_with_room_or_that_makes_room_says_nothing_of_it(changes: dict[str, Any]) -> None:
    found = judged(healthy(), changes).findings
    assert not [item for item in found if "MiB are used" in item.reason or "it evicts" in item.reason]


@pytest.mark.parametrize("units", [{}, {"trivet-agent": "active"}])
def test_a_node_that_does_not_say_that_it_heals_is_missed_no_healer(units: dict[str, str]) -> None:
    """Healing is switched off there, or the agent is of a release that does not ask for it."""
    assert judged(healthy(), {"node-1.host.units": units}).problems == ()


def test_an_agent_that_says_nothing_of_the_firewall_is_of_an_earlier_release() -> None:
    assert judged(healthy(), {"*.gateway.firewall": None}).problems == ()


def test_a_firewall_that_nobody_could_look_for_is_not_called_missing() -> None:
    verdict = judged(healthy(), {"node-1.gateway.firewall": False, "node-1.gateway.error": "nft did not end in 3.0 s"})
    assert verdict.of("gateway", "node-1") is UNKNOWN
    assert verdict.of("host", "node-1") is HEALTHY


def test_a_missing_firewall_names_the_command_that_loads_it() -> None:
    (found,) = judged(healthy(), {"node-2.gateway.firewall": False}).problems
    assert found.next_command == f"ssh {address(2)} systemctl reload-or-restart nftables"


def test_a_dead_healer_is_no_work_in_progress_of_a_drain() -> None:
    changes = {**drained_node(), "node-2.host.units.trivet-heal": "inactive"}
    found = [item for item in judged(healthy(), changes).problems if item.service == "host"]
    assert [(item.node, item.state, item.by_drain) for item in found] == [("node-2", BROKEN, False)]
    assert found[0].next_command == f"ssh {address(2)} journalctl -u trivet-heal -n 50 --no-pager"


def drained_node() -> dict[str, Any]:
    """node-2 drained and its services stopped, as in the middle of a rotation's step."""
    return {
        "node-2.host.drains": dict.fromkeys(("web", "database", "redis", "search"), DRAIN),
        "node-2.web.nginx": "inactive",
        "node-2.web.direct": Page(error="refuses"),
        "node-2.database.error": "no socket",
        "node-2.database.down": True,
        "node-2.database.unit": "inactive",
        "node-1.database.size": 2,
        "node-3.database.size": 2,
        "node-2.search.error": "refuses",
        "node-2.search.down": True,
        "node-2.search.unit": "inactive",
        "node-1.search.nodes": 2,
        "node-3.search.nodes": 2,
        "node-1.search.status": "yellow",
        "node-1.search.unassigned_shards": 5,
        "node-1.search.allocation": "primaries",
    }


MAINTENANCE: dict[str, Any] = {
    "node-2.web.direct": Page(status=503),
    "node-2.web.proxied": Page(status=503),
    f"node-1.{server_path('web', 'node-2')}": "DOWN",
}


def test_a_page_that_is_not_200_is_an_outage_unless_a_change_has_announced_it() -> None:
    assert {item.state for item in judged(healthy(), MAINTENANCE).problems} == {BROKEN}
    announced = {"node-2.host.announced": Flag(owner="deploy@desk", since=NOW, expires=NOW + 600)}
    verdict = judged(healthy(), {**MAINTENANCE, **announced})
    assert [(item.node, item.state) for item in verdict.problems] == [("node-2", BUSY)] * 2
    assert "its own nginx answers 503, as deploy@desk has announced" in verdict.problems[0].reason
    # Another node has announced nothing.
    assert judged(healthy(), {**announced, "node-1.web.direct": Page(status=503)}).state is BROKEN


def test_no_answer_at_all_is_an_outage_whatever_was_announced() -> None:
    announced = {"node-2.host.announced": Flag(owner="deploy@desk", since=NOW, expires=NOW + 600)}
    silent = {"node-2.web.direct": Page(error="connection refused")}
    assert judged(healthy(), {**silent, **announced}).state is BROKEN


def test_a_drained_node_is_busy_with_owner_and_reason() -> None:
    verdict = judged(healthy(), drained_node())
    assert verdict.state is BUSY
    reasons = [item.reason for item in verdict.problems if item.node == "node-2"]
    told = "drained by rotation: upscale to 12, until 2027-01-15 08:10:00 UTC; no run of that owner holds the lease"
    assert told in reasons
    softened = [item for item in verdict.problems if item.softened]
    assert any("mariadb does not run" in item.reason and "(drained by rotation)" in item.reason for item in softened)
    assert not any(item.by_drain for item in softened)


def test_what_the_holder_of_the_lease_set_is_its_own_business() -> None:
    vote = Vote(owner="rotation", since=NOW, expires=NOW + 180, purpose="upscale to 12")
    verdict = judged(healthy(), {**drained_node(), "node-1.host.vote": vote})
    told = [item for item in verdict.problems if item.reason.startswith("drained by")]
    assert {item.reason for item in told} == {
        "drained by rotation: upscale to 12, whose run holds the lease for: upscale to 12"
    }
    assert {item.next_command for item in told} == {None}


LEFT = Flag(owner="gone@laptop:1", since=NOW, expires=NOW + 600)


@pytest.mark.parametrize(
    ("service", "node", "changes"),
    [
        ("host", "node-2", {"node-2.host.disabled_units": {"mariadb": LEFT}}),
        ("gateway", "node-2", {"node-2.gateway.releases": {"192.0.2.21": LEFT}}),
        ("gateway", "node-2", {"node-2.gateway.handover": True, "node-2.gateway.forwards": {"192.0.2.22": LEFT}}),
        (
            "search",
            None,
            {
                **{f"node-{n}.search.allocation": "primaries" for n in (1, 2, 3)},
                **{f"node-{n}.search.allocation_flag": LEFT for n in (1, 2, 3)},
            },
        ),
        ("web", "node-2", {"node-2.host.drains": {"web": Drain(**asdict(LEFT))}}),
    ],
)
def test_every_flag_left_behind_names_its_owner_its_end_and_the_next_command(
    service: str, node: str | None, changes: dict[str, Any]
) -> None:
    problems = judged(healthy(), changes).problems
    found = [item for item in problems if (item.service, item.node) == (service, node) and "gone@laptop" in item.reason]
    assert len(found) == 1
    assert "2027-01-15 08:10:00 UTC; no run of that owner holds the lease" in found[0].reason
    assert found[0].next_command is not None
    assert found[0].next_command.startswith("trivet clean ")


def without_drains(verdict: Verdict) -> State:
    """How it would stand without what a drain flag alone causes."""
    return replace(verdict, findings=tuple(item for item in verdict.findings if not item.by_drain)).state


def test_a_disabled_unit_of_a_drained_service_is_part_of_its_drain() -> None:
    changes = {"node-2.host.disabled_units": {"mariadb": LEFT}}
    assert without_drains(judged(healthy(), changes)) is BUSY
    changes |= {"node-2.host.drains": {"database": DRAIN}}
    assert without_drains(judged(healthy(), changes)) is HEALTHY


def test_an_expired_drain_excuses_nothing() -> None:
    flags = {name: replace(DRAIN, expires=NOW) for name in ("web", "database", "redis", "search")}
    verdict = judged(healthy(), {**drained_node(), "node-2.host.drains": flags})
    assert verdict.of("database", "node-2") is BROKEN
    assert verdict.of("database") is BROKEN


def test_a_drain_excuses_no_other_node_and_no_unknown() -> None:
    changes = {**drained_node(), "node-3.web.direct": Page(status=500)}
    assert judged(healthy(), changes).state is BROKEN
    changes = {**drained_node(), "node-2.web.nginx": "active", "node-2.web.error": "no time left"}
    assert judged(healthy(), changes).state is UNKNOWN


def test_apart_from_its_drain_a_whole_node_is_healthy() -> None:
    changes: dict[str, Any] = {
        "node-2.host.drains": {"web": DRAIN, "database": DRAIN},
        f"node-1.{server_path('web', 'node-2')}": "DRAIN (agent)",
        f"node-3.{server_path('db_writer', 'node-2')}": "MAINT",
    }
    verdict = judged(healthy(), changes)
    assert verdict.state is BUSY
    assert without_drains(verdict) is HEALTHY
    broken_too = judged(healthy(), {**changes, "node-2.web.direct": Page(status=500)})
    assert without_drains(broken_too) is BUSY


def web_drained(*nodes: str) -> dict[str, Any]:
    """Only the flags: every service runs, and every page comes."""
    return {f"{node}.host.drains": {"web": DRAIN} for node in nodes}


def test_a_shop_that_is_drained_everywhere_is_down() -> None:
    verdict = judged(healthy(), web_drained("node-1", "node-2", "node-3"))
    assert verdict.state is BROKEN
    (found,) = [item for item in verdict.problems if item.node is None]
    assert found.reason == "no node serves the shop: web is drained everywhere"
    assert found.next_command == "trivet clean test"
    # The flags alone are the cause.
    assert without_drains(verdict) is HEALTHY


def test_a_shop_of_one_node_that_is_drained_is_down() -> None:
    assert judged(healthy(1), web_drained("node-1"), 1).of("web") is BROKEN


def test_a_shop_that_one_node_serves_is_only_busy() -> None:
    assert judged(healthy(), web_drained("node-1", "node-2")).state is BUSY
    expired = {"node-3.host.drains": {"web": replace(DRAIN, expires=NOW)}}
    assert judged(healthy(), web_drained("node-1", "node-2") | expired).state is BUSY
    other = {"node-3.host.drains": {"database": DRAIN, "search": DRAIN}}
    assert judged(healthy(), web_drained("node-1", "node-2") | other).state is BUSY


def test_a_node_that_does_not_answer_serves_nobody_known() -> None:
    changes = {**web_drained("node-1", "node-2"), "node-3": Unreachable("SSH: timed out")}
    (found,) = [item for item in judged(healthy(), changes).problems if (item.service, item.node) == ("web", None)]
    assert found.reason == "no node serves the shop: web is drained on node-1, node-2, and no other node answers"
    gone = {f"node-{n}": Unreachable("SSH: timed out") for n in (1, 2, 3)}
    assert not [item for item in judged(healthy(), gone).problems if item.service == "web"]


def test_held_connections_are_busy() -> None:
    facts = healthy()
    servers = facts["node-1"].of(ProxiesFacts).servers  # type: ignore[union-attr]
    held = tuple(
        replace(item, status="MAINT") if (item.backend, item.server) == ("handover", "db_writer") else item
        for item in servers
    )
    verdict = judged(facts, {"node-1.proxies.servers": held})
    assert verdict.of("database", "node-1") is BUSY


def test_an_unreachable_node_is_broken_everywhere_and_named_once() -> None:
    verdict = judged(healthy(), {"node-3": Unreachable("SSH: timed out")})
    assert verdict.exit_code == 2
    assert verdict.unreachable == ("node-3",)
    assert verdict.of("search", "node-3") is BROKEN
    about = [item for item in verdict.findings if item.node == "node-3"]
    assert [item.reason for item in about] == ["node-3 cannot be reached: SSH: timed out"]


def test_a_node_nobody_asked_is_unreachable() -> None:
    facts = healthy()
    del facts["node-2"]
    assert assess(expectation(), facts).unreachable == ("node-2",)


def test_clocks_are_compared_only_when_somebody_measured() -> None:
    changes: dict[str, Any] = {"*.asked_at": None, "node-1.host.clock": NOW + 30}
    assert judged(healthy(), changes).state is HEALTHY
    # Within the time the question took nothing is certain.
    assert judged(healthy(), {"node-1.host.clock": NOW + 2, "node-2.host.clock": NOW}).state is HEALTHY


def test_marks_of_a_clock_that_was_set_back_are_not_compared() -> None:
    changes: dict[str, Any] = {"node-1.files.previous": NOW + 90, "node-2.files.seen": {"node-3": NOW}}
    assert judged(healthy(), changes).of("files") is HEALTHY


def test_a_server_that_a_proxy_does_not_know_is_broken() -> None:
    web = ProxyServer(backend="web", server="node-1", server_id=1, status="UP")
    verdict = judged(healthy(), {"node-1.proxies.servers": (web,)})
    assert verdict.of("web", "node-2") is BROKEN
    assert any("does not know it in web" in item.reason for item in verdict.problems)


def test_a_verdict_survives_json() -> None:
    verdict = judged(healthy(), {"node-3": Unreachable("gone"), "node-1.web.direct": Page(status=500)})
    data = json.loads(json.dumps(verdict.to_dict()))
    assert Verdict.from_dict(data) == verdict
    assert data["state"] == "broken"
    assert data["exit_code"] == 2
    assert data["nodes"]["node-2"]["web"] == "healthy"
    assert data["services"]["web"] == "broken"


def test_every_problem_of_a_node_names_the_next_command() -> None:
    verdict = judged(healthy(), {"node-1.database.connected": False, "node-2.files.brick_online": False})
    assert all(item.next_command for item in verdict.problems)


def test_states_rank_and_translate_to_exit_codes() -> None:
    assert sorted(State, key=lambda state: state.severity) == [HEALTHY, BUSY, UNKNOWN, BROKEN]
    assert [state.exit_code for state in (HEALTHY, BUSY, BROKEN, UNKNOWN)] == [0, 1, 2, 3]


def test_a_node_that_was_not_asked_what_to_heal_says_nothing_of_it() -> None:
    unasked = {
        f"node-{number}.files.{key}": value for number in (2, 3) for key, value in (("heal_asked", False), ("heal", ()))
    }
    assert judged(healthy(3), unasked).state is State.HEALTHY
