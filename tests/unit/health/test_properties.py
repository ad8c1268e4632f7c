# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every cluster: one broken thing is never healthy, and neither is one that nobody knows."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.health.clusters import Facts, change, expectation, healthy
from trivet.health.facts import NodeFacts, Unreachable
from trivet.health.findings import State
from trivet.services.redis.facts import RedisInstance, SentinelView
from trivet.services.registry import CONTRACTS
from trivet.services.web.facts import Page
from trivet.verdict.assess import assess
from trivet.verdict.facts import KINDS, facts_from_dict

NODES = ("node-1", "node-2", "node-3")
OPTIONAL = {contract.service for contract in CONTRACTS if contract.enabled is not None}
"""What the environment of these tests does without: nobody judges it."""
COLLECTED = (*(name for name in KINDS if name not in OPTIONAL), "host", "identity")
FAULTS: dict[str, st.SearchStrategy[Any]] = {
    "gateway.keepalived": st.sampled_from(["inactive", "failed", "activating", "unknown"]),
    "gateway.haproxy": st.sampled_from(["inactive", "failed", "reloading", "unknown"]),
    "gateway.held": st.just(()),
    "gateway.handover": st.just(True),
    "gateway.firewall": st.just(False),
    "proxies.servers": st.just(()),
    "web.nginx": st.sampled_from(["inactive", "failed", "reloading", "unknown"]),
    "web.php_fpm": st.sampled_from(["inactive", "failed", "reloading", "missing", "unknown"]),
    "web.direct": st.builds(Page, status=st.integers(0, 599).filter(lambda status: status != 200)),
    "web.proxied": st.builds(Page, status=st.integers(0, 599).filter(lambda status: status != 200)),
    "database.cluster_status": st.sampled_from(["non-Primary", "Disconnected", ""]),
    "database.state": st.text(max_size=20).filter(lambda state: state != "Synced"),
    "database.ready": st.just(False),
    "database.connected": st.just(False),
    "database.size": st.integers(0, 9).filter(lambda size: size != 3),
    "database.cluster_uuid": st.text(max_size=9),
    "database.flow_control": st.just(True),
    "database.wsrep": st.just(False),
    "database.transfer": st.just("wsrep_sst_rsync"),
    "redis.instances.cache.role": st.sampled_from(["", "sentinel"]),
    "redis.instances.session.loading": st.just(True),
    "redis.instances": st.just({}),
    "redis.sentinels": st.just({}),
    "redis.sentinels.cache.address": st.text(max_size=9),
    "redis.sentinels.session.quorum": st.sampled_from(["", "NOQUORUM", "NOGOODSLAVE"]),
    "redis.sentinels.cache.other_sentinels": st.integers(0, 9).filter(lambda others: others != 2),
    "redis.sentinels.cache.tilt": st.just(True),
    "search.status": st.text(max_size=9).filter(lambda status: status != "green"),
    "search.nodes": st.integers(0, 9).filter(lambda nodes: nodes != 3),
    "search.allocation": st.sampled_from(["none", "primaries", "new_primaries"]),
    "search.relocating_shards": st.integers(1, 9),
    "search.initializing_shards": st.integers(1, 9),
    "search.cluster_uuid": st.text(max_size=9),
    "files.glusterd": st.sampled_from(["failed", "activating", "unknown"]),
    "files.peers": st.just(()),
    "files.peers.1.connected": st.just(False),
    "files.volume_status": st.sampled_from(["", "Stopped", "Created"]),
    "files.brick_online": st.just(False),
    "files.self_heal_online": st.just(False),
    "files.heal": st.just(()),
    "files.heal.2.pending": st.integers(1, 10**6),
    "files.heal.0.split_brain": st.integers(1, 10**6),
    "files.heal.1.connected": st.just(False),
    "files.heal_error": st.just("Another transaction is in progress"),
    "files.mounted": st.just(False),
    "files.writable": st.just(False),
    "files.seen": st.just({}),
    "host.package_lock": st.just(True),
    "host.disks./.free_percent": st.floats(0, 4.9),
    "host.disks./.free_inodes_percent": st.floats(0, 4.9),
    "host.memory_available_mib": st.integers(0, 70),
    "host.units.trivet-agent": st.sampled_from(["inactive", "failed", "masked", "activating", "unknown"]),
    "host.units.trivet-heal": st.sampled_from(["inactive", "failed", "masked", "activating", "unknown"]),
    "host.hostname": st.sampled_from(NODES),
    "host.clock": st.floats(0, 10**9),
}


@given(node=st.sampled_from(NODES), data=st.data())
def test_breaking_any_one_thing_is_never_healthy(node: str, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(FAULTS)))
    value = data.draw(FAULTS[path])
    facts = healthy()
    broken = change(facts, f"{node}.{path}", value)
    if broken != facts:
        verdict = assess(expectation(), broken)
        assert verdict.state is not State.HEALTHY
        assert verdict.problems[0].state is verdict.state


@given(node=st.sampled_from(NODES), service=st.sampled_from(COLLECTED), text=st.text(max_size=20))
def test_unknown_facts_are_never_healthy(node: str, service: str, text: str) -> None:
    facts = change(healthy(), f"{node}.{service}.error", text)
    assert assess(expectation(), facts).state.severity >= State.UNKNOWN.severity


@given(
    node=st.sampled_from(NODES),
    path=st.sampled_from(["instances.cache", "instances.session", "sentinels.cache", "sentinels.session"]),
)
def test_one_unknown_part_of_redis_is_never_healthy(node: str, path: str) -> None:
    unknown = RedisInstance(error="timed out") if path.startswith("instances") else SentinelView(error="timed out")
    facts = change(healthy(), f"{node}.redis.{path}", unknown)
    assert assess(expectation(), facts).of("redis") in (State.UNKNOWN, State.BROKEN)


@given(gone=st.sets(st.sampled_from(NODES), min_size=1), count=st.sampled_from([1, 3]))
def test_a_missing_node_is_always_broken(gone: set[str], count: int) -> None:
    facts: Facts = healthy(count)
    lost = {node: Unreachable("gone") for node in gone & facts.keys()}
    verdict = assess(expectation(count), {**facts, **lost})
    assert (verdict.state is State.BROKEN) == bool(lost)
    assert set(verdict.unreachable) == set(lost)


@given(node=st.sampled_from(NODES), data=st.data())
def test_a_second_fault_never_makes_it_better(node: str, data: st.DataObject) -> None:
    """Severity only rises with an unreachable node on top of any other fault."""
    path = data.draw(st.sampled_from(sorted(FAULTS)))
    facts = change(healthy(), f"{node}.{path}", data.draw(FAULTS[path]))
    other = data.draw(st.sampled_from([name for name in NODES if name != node]))
    before = assess(expectation(), facts).state
    after = assess(expectation(), {**facts, other: Unreachable("gone")}).state
    assert after.severity >= before.severity


@given(count=st.sampled_from([1, 3]), data=st.data())
def test_facts_survive_json(count: int, data: st.DataObject) -> None:
    facts = healthy(count)
    node = data.draw(st.sampled_from(sorted(facts)))
    path = data.draw(st.sampled_from(sorted(FAULTS)))
    if not path.startswith("files.heal.") and "peers." not in path:
        facts = change(facts, f"{node}.{path}", data.draw(FAULTS[path]))
    for item in facts.values():
        assert isinstance(item, NodeFacts)
        sent = json.loads(json.dumps(item.to_dict()))
        assert facts_from_dict(sent, asked_at=item.asked_at, answered_at=item.answered_at) == item


@given(
    junk=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=8,
    ),
    service=st.sampled_from(COLLECTED),
)
def test_junk_in_one_service_spoils_no_other_and_is_never_healthy(junk: Any, service: str) -> None:
    facts = healthy()
    node = facts["node-2"]
    assert isinstance(node, NodeFacts)
    read = facts_from_dict({**node.to_dict(), service: junk})
    own = (
        {service: getattr(node, service)}
        if service not in KINDS
        else {"services": {**read.services, service: node.of(KINDS[service])}}
    )
    assert replace(read, **own) == replace(node, asked_at=None, answered_at=None)
    assert assess(expectation(), {**facts, "node-2": read}).state is not State.HEALTHY
