# SPDX-License-Identifier: GPL-3.0-or-later
"""The hand-over of a primary of Redis, against instances that are only told about."""

from __future__ import annotations

from typing import Any

import pytest

from trivet.agent import redis
from trivet.agent.errors import AgentError
from trivet.agent.redis import Failover
from trivet.health.config import REDIS_PORTS, SENTINEL_PORT, NodeConfig

ADDRESSES = ("10.0.0.1", "10.0.0.2", "10.0.0.3")
CONFIG = NodeConfig.from_mapping(
    {
        "environment": "test",
        "name": "one",
        "id": 1,
        "address": ADDRESSES[0],
        "interface": "eth0",
        "nodes": [
            {"name": name, "id": number, "address": address}
            for number, (name, address) in enumerate(zip(("one", "two", "three"), ADDRESSES, strict=True), 1)
        ],
    }
)


class Cluster(Failover):
    """Three instances and three Sentinels; an ordered failover makes the second instance the primary."""

    def __init__(
        self, offsets: tuple[int, int, int] = (10, 10, 10), split: bool = False, sentinels_follow: bool = True
    ) -> None:
        super().__init__(CONFIG, "cache", 0.2)
        self.offsets = dict(zip(ADDRESSES, offsets, strict=True))
        self.sentinels = dict.fromkeys(ADDRESSES, ADDRESSES[0])
        self.sentinels_follow = sentinels_follow
        if split:
            self.sentinels[ADDRESSES[2]] = ADDRESSES[1]
        self.following: dict[str, str | None] = dict.fromkeys(ADDRESSES, ADDRESSES[0]) | {ADDRESSES[0]: None}
        self.said: list[tuple[Any, ...]] = []

    def _order_failover(self) -> None:
        self.said.append(("FAILOVER",))
        if self.sentinels_follow:
            self.sentinels = dict.fromkeys(ADDRESSES, ADDRESSES[1])
        self.following[ADDRESSES[1]] = None
        self.following[ADDRESSES[2]] = ADDRESSES[1]

    def _ask(self, address: str, port: int, *words: str) -> Any:
        if port == SENTINEL_PORT:
            return [self.sentinels[address], str(REDIS_PORTS["cache"])]
        if words == ("INFO",):
            return self.info(address)
        self.said.append((address, *words))
        if words[0] == "REPLICAOF":
            self.following[address] = words[1]
        return "OK"

    def info(self, address: str) -> str:
        offset = self.offsets[address]
        primary = self.following[address]
        if primary:
            return f"role:slave\nmaster_host:{primary}\nmaster_link_status:up\nslave_repl_offset:{offset}\n"
        replicas = [other for other, place in self.following.items() if place == address]
        lines = [
            f"slave{number}:ip={other},port=6380,state=online,offset={self.offsets[other]},lag=0"
            for number, other in enumerate(replicas)
        ]
        return "\n".join(["role:master", f"master_repl_offset:{offset}", *lines])


def test_writes_stop_then_sentinel_acts_and_then_the_old_primary_follows() -> None:
    cluster = Cluster()
    answer = cluster.run()
    assert (answer["from"], answer["to"]) == ("one", "two")
    assert [words[:3] for words in cluster.said] == [
        (ADDRESSES[0], "CLIENT", "PAUSE"),
        ("FAILOVER",),
        (ADDRESSES[0], "REPLICAOF", ADDRESSES[1]),
        (ADDRESSES[0], "CLIENT", "UNPAUSE"),
    ]


def test_a_promoted_replica_is_enough_for_the_clients_and_the_sentinels_are_waited_for_afterwards() -> None:
    cluster = Cluster(sentinels_follow=False)
    assert cluster.run()["to"] == "two"
    with pytest.raises(AgentError, match="Sentinels do not agree"):
        cluster.settle("two")
    cluster.sentinels = dict.fromkeys(ADDRESSES, ADDRESSES[1])
    assert cluster.settle("two")["primary"] == "two"
    cluster.following[ADDRESSES[2]] = ADDRESSES[0]
    with pytest.raises(AgentError, match="not every replica follows two"):
        cluster.settle("two")


def test_nobody_settles_on_a_node_that_there_is_not() -> None:
    with pytest.raises(AgentError, match="four is no node"):
        Cluster().settle("four")


def test_nothing_is_ordered_before_the_replicas_have_caught_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis, "CATCH_UP_SECONDS", 0.1)
    cluster = Cluster(offsets=(10, 10, 9))
    with pytest.raises(AgentError, match="caught up"):
        cluster.run()
    assert ("FAILOVER",) not in cluster.said
    assert cluster.said[-1] == (ADDRESSES[0], "CLIENT", "UNPAUSE")


def test_nothing_is_done_while_the_sentinels_disagree() -> None:
    cluster = Cluster(split=True)
    with pytest.raises(AgentError, match="do not agree"):
        cluster.run()
    assert cluster.said == []
