# SPDX-License-Identifier: GPL-3.0-or-later
"""The hand-over of a primary of Redis, against instances and Sentinels that are only told about."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import pytest

from trivet.agent import flags
from trivet.health.config import NodeConfig
from trivet.health.external import NoAnswer
from trivet.node.errors import AgentError
from trivet.node.flag_files import FlagFiles
from trivet.services.redis import command as redis
from trivet.services.redis import contract
from trivet.services.redis import flags as redis_flags
from trivet.services.redis.collect import RedisRefusal
from trivet.services.redis.command import WITHHELD, Failover, RolesUnknown

ADDRESSES = ONE, TWO, THREE = ("10.0.0.1", "10.0.0.2", "10.0.0.3")
NODE = {
    "environment": "test",
    "name": "one",
    "id": 1,
    "address": ONE,
    "interface": "eth0",
    "nodes": [
        {"name": name, "id": number, "address": address}
        for number, (name, address) in enumerate(zip(("one", "two", "three"), ADDRESSES, strict=True), 1)
    ],
}
CONFIG = NodeConfig.from_mapping(NODE)
STATES = ("wait_start", "select_slave", "send_slaveof_noone", "wait_promotion")


class World:
    """Three instances and three Sentinels. The first one's takes a step of its failover at each question about it."""

    def __init__(self) -> None:
        self.following: dict[str, str | None] = {ONE: None, TWO: ONE, THREE: ONE}
        self.sentinels = dict.fromkeys(ADDRESSES, ONE)
        self.silent: set[tuple[str, int]] = set()
        self.lagging = 0
        self.stubborn: set[str] = set()
        self.stalled: set[str] = set()
        self.slow: set[str] = set()
        self.tilt = False
        self.stands_still = False
        self.candidate: str | None = TWO
        self.step: int | None = None
        self.slaveof = "SLAVEOF"
        self.told: list[str] = []

    def ask(self, _config: NodeConfig, address: str, port: int, *words: str) -> Any:
        if (address, port) in self.silent:
            raise NoAnswer(f"{address}:{port}: timed out")
        if words == ("INFO", "sentinel"):
            return f"sentinel_tilt:{int(self.tilt)}\n"
        if port == contract.SENTINEL_PORT.default:
            return self.sentinel(address, *words[1:])
        if words == ("INFO",):
            return self.info(address)
        self.told.append(f"{address} {' '.join(words)}")
        if words[0] == "REPLICAOF":
            if address in self.stubborn:
                raise RedisRefusal("NOPERM no permissions")
            if address in self.stalled:
                # It has the order, and carries it out when it runs again.
                raise NoAnswer(f"{address}:{port}: timed out")
            if address in self.slow:
                self.following[address] = None
                raise NoAnswer(f"{address}:{port}: timed out")
            self.following[address] = None if words[1] == "NO" else words[1]
        return "OK"

    def sentinel(self, address: str, *words: str) -> Any:
        match words[0]:
            case "GET-MASTER-ADDR-BY-NAME":
                return [self.sentinels[address], "6380"]
            case "SET":
                self.slaveof = words[4]
                self.told.append(f"Sentinel SLAVEOF is {words[4]}")
                return "OK"
            case "FAILOVER":
                self.told.append("Sentinel FAILOVER")
                self.step = 0
                return "OK"
            case "MASTER":
                return self.master()
        promoted = {address: ",promoted" if self.chosen == address else "" for address in (TWO, THREE)}
        return [["ip", address, "flags", f"slave{flag}"] for address, flag in promoted.items()]

    @property
    def chosen(self) -> str | None:
        return self.candidate if self.step and self.step >= 2 else None

    def master(self) -> list[str]:
        flags = "master" if self.step is None else "master,failover_in_progress"
        state = [] if self.step is None else ["failover-state", STATES[self.step]]
        answer = ["ip", ONE, "flags", flags, "failover-timeout", "15000", *state]
        if self.step == 1 and self.candidate is None:
            self.step = None
        elif self.step is not None and self.step < 3 and not self.stands_still:
            self.step += 1
            if self.step == 3 and self.slaveof == "SLAVEOF":
                self.told.append("Sentinel promoted")
        return answer

    def info(self, address: str) -> str:
        primary = self.following[address]
        if primary:
            return f"role:slave\nmaster_host:{primary}\nmaster_link_status:up\nslave_repl_offset:{10 - self.lagging}\n"
        replicas = [other for other, place in self.following.items() if place == address]
        lines = [f"slave{n}:ip={other},port=6380,state=online,offset=10,lag=0" for n, other in enumerate(replicas)]
        return "\n".join(["role:master", "master_repl_offset:10", *lines])


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    monkeypatch.setattr(redis, "ask", made.ask)
    monkeypatch.setattr(redis, "POLL_SECONDS", 0.001)
    monkeypatch.setattr(redis, "CATCH_UP_SECONDS", 0.05)
    monkeypatch.setattr(redis, "FOLLOW_SECONDS", 0.05)
    return made


@pytest.fixture
def noted(tmp_path: Path) -> FlagFiles:
    return FlagFiles(tmp_path / "nomination")


@pytest.fixture
def failover(world: World, noted: FlagFiles) -> Failover:
    return Failover(CONFIG, "cache", 0.2, noted)


def test_sentinel_chooses_and_is_kept_from_promoting(world: World, noted: FlagFiles, failover: Failover) -> None:
    answer = failover.nominate("a run")
    assert (answer["to"], answer["usable_seconds"]) == ("two", 10.0)
    withheld = f"Sentinel SLAVEOF is {WITHHELD}"
    assert world.told == [withheld, "Sentinel FAILOVER", withheld, "Sentinel SLAVEOF is SLAVEOF"]
    assert world.following == {ONE: None, TWO: ONE, THREE: ONE}
    flag = noted.get("cache")
    assert flag is not None
    assert flag.owner == "a run"
    assert flag.expires - time.time() == pytest.approx(10.0, abs=1)


def test_redis_makes_the_nominated_replica_the_primary(world: World, noted: FlagFiles, failover: Failover) -> None:
    failover.nominate("a run")
    world.told.clear()
    answer = failover.run("two")
    assert (answer["from"], answer["to"]) == ("one", "two")
    assert world.told == [
        f"{ONE} CLIENT PAUSE 30000 WRITE",
        f"{TWO} REPLICAOF NO ONE",
        f"{ONE} REPLICAOF {TWO} 6380",
        f"{ONE} CLIENT UNPAUSE",
    ]
    assert (world.following[ONE], world.following[TWO]) == (TWO, None)
    assert noted.names() == []


def test_nobody_becomes_the_primary_without_a_nomination(world: World, noted: FlagFiles, failover: Failover) -> None:
    with pytest.raises(AgentError, match=r"two is not nominated .* first `trivet-agent redis nominate cache`"):
        failover.run("two")
    failover.nominate("a run")
    with pytest.raises(AgentError, match="three is not nominated"):
        failover.run("three")
    # Sentinel may give it up before it sees that it has become the primary.
    noted.set("cache", "a run", -1.0)
    with pytest.raises(AgentError, match="two is not nominated"):
        failover.run("two")
    assert not any("REPLICAOF" in words for words in world.told)


def test_a_replica_that_lacks_writes_does_not_become_the_primary(world: World, failover: Failover) -> None:
    failover.nominate("a run")
    world.lagging = 1
    with pytest.raises(AgentError, match="cache: two does not have all writes within"):
        failover.run("two")
    assert not any("REPLICAOF" in words for words in world.told)
    assert world.told[-1] == f"{ONE} CLIENT UNPAUSE"


def test_what_redis_refuses_is_told_in_its_words(world: World, failover: Failover) -> None:
    failover.nominate("a run")
    world.stubborn = {TWO}
    with pytest.raises(AgentError, match="cache: two does not become the primary: NOPERM no permissions"):
        failover.run("two")
    assert world.told[-1] == f"{ONE} CLIENT UNPAUSE"


def test_writes_stay_paused_where_the_new_primary_may_yet_become_one(world: World, failover: Failover) -> None:
    failover.nominate("a run")
    world.stalled = {TWO}
    with pytest.raises(RolesUnknown, match="two did not answer when it was made the primary"):
        failover.run("two")
    assert f"{ONE} CLIENT UNPAUSE" not in world.told


def test_one_that_became_the_primary_without_a_word_is_followed(world: World, failover: Failover) -> None:
    failover.nominate("a run")
    world.slow = {TWO}
    failover.run("two")
    assert world.told[-2:] == [f"{ONE} REPLICAOF {TWO} 6380", f"{ONE} CLIENT UNPAUSE"]


@pytest.mark.parametrize("how", ["stubborn", "stalled"])
def test_writes_stay_paused_on_an_old_primary_that_does_not_follow(how: str, world: World, failover: Failover) -> None:
    failover.nominate("a run")
    setattr(world, how, {ONE})
    with pytest.raises(RolesUnknown, match="the old primary does not follow within"):
        failover.run("two")
    # Asked again and again, and never unpaused: what it acknowledged now would be lost.
    assert world.told.count(f"{ONE} REPLICAOF {TWO} 6380") > 1
    assert f"{ONE} CLIENT UNPAUSE" not in world.told


def test_a_nomination_that_sentinel_gave_up_meanwhile_is_not_used(
    world: World, failover: Failover, monkeypatch: pytest.MonkeyPatch
) -> None:
    failover.nominate("a run")
    caught_up = failover._caught_up

    def late(old: str, new: str) -> bool:
        world.step = None
        return caught_up(old, new)

    monkeypatch.setattr(failover, "_caught_up", late)
    with pytest.raises(AgentError, match="two is not nominated"):
        failover.run("two")
    assert not any("REPLICAOF" in words for words in world.told)
    assert world.told[-1] == f"{ONE} CLIENT UNPAUSE"


def test_a_sentinel_that_has_not_chosen_in_time_is_kept_from_promoting(
    world: World, noted: FlagFiles, failover: Failover, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis, "CHOICE_SECONDS", 0.02)
    monkeypatch.setattr(redis_flags, "NOMINATION_DIRECTORY", noted.directory)
    world.stands_still = True
    with pytest.raises(AgentError, match="promotes no replica of cache until its wait_start is over"):
        failover.nominate("a run")
    assert world.slaveof == WITHHELD
    # The timer does not give it back either, until the choice is over.
    cleared, failed = flags.undo(redis_flags.look_nominations(NODE), NODE)
    assert (cleared, len(failed), world.slaveof) == ([], 1, WITHHELD)
    world.stands_still = False
    while world.step != 3:
        world.master()
    assert "Sentinel promoted" not in world.told
    assert flags.undo(redis_flags.look_nominations(NODE), NODE)[1] == []
    assert (world.slaveof, noted.names()) == ("SLAVEOF", [])


def test_a_sentinel_in_tilt_is_not_asked(world: World, noted: FlagFiles, failover: Failover) -> None:
    world.tilt = True
    with pytest.raises(AgentError, match="in TILT"):
        failover.nominate("a run")
    assert (world.told, noted.names()) == ([], [])


def test_a_primary_that_moved_while_a_failover_was_waited_for_is_not_moved_again(
    world: World, failover: Failover, monkeypatch: pytest.MonkeyPatch
) -> None:
    def moved() -> bool:
        world.sentinels = dict.fromkeys(ADDRESSES, TWO)
        return False

    monkeypatch.setattr(failover, "_in_progress", moved)
    with pytest.raises(AgentError, match="has changed meanwhile"):
        failover.nominate("a run")
    assert world.told == []


def test_by_itself_a_failover_nominates_first(world: World, noted: FlagFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis, "NOMINATION_DIRECTORY", noted.directory)
    args = argparse.Namespace(instance="cache", to=None, owner="by hand", timeout=0.2)
    assert redis.run_failover(args, NODE)["to"] == "two"
    assert "Sentinel FAILOVER" in world.told


def test_sentinel_may_promote_again_when_it_finds_no_replica(world: World, failover: Failover) -> None:
    world.candidate = None
    with pytest.raises(AgentError, match="Sentinel found no replica of cache"):
        failover.nominate("a run")
    assert world.slaveof == "SLAVEOF"


def test_a_failover_that_is_under_way_is_waited_for(world: World, failover: Failover) -> None:
    world.step, world.candidate = 0, None
    with pytest.raises(AgentError, match="Sentinel found no replica"):
        failover.nominate("a run")
    # It was ordered only after the one before had ended.
    assert world.told.count("Sentinel FAILOVER") == 1
    world.step, world.candidate = 3, TWO
    with pytest.raises(AgentError, match="a failover is still under way"):
        failover.nominate("a run")
    assert world.told.count("Sentinel FAILOVER") == 1


def test_nothing_is_done_while_the_sentinels_disagree(world: World, noted: FlagFiles, failover: Failover) -> None:
    world.sentinels[THREE] = TWO
    with pytest.raises(AgentError, match="do not agree"):
        failover.nominate("a run")
    assert world.told == []
    assert noted.names() == []


def test_nothing_is_done_where_the_own_sentinel_does_not_answer(world: World, failover: Failover) -> None:
    world.silent.add((ONE, contract.SENTINEL_PORT.default))
    with pytest.raises(AgentError, match=r"INFO sentinel: 10\.0\.0\.1:26379: timed out"):
        failover.nominate("a run")
    assert world.told == []


def test_the_sentinels_and_replicas_are_waited_for_after_the_release(world: World, failover: Failover) -> None:
    failover.nominate("a run")
    failover.run("two")
    with pytest.raises(AgentError, match="Sentinels do not agree"):
        failover.settle("two")
    world.sentinels = dict.fromkeys(ADDRESSES, TWO)
    with pytest.raises(AgentError, match="not every replica follows two"):
        failover.settle("two")
    world.following[THREE] = TWO
    world.told.clear()
    assert failover.settle("two")["primary"] == "two"
    # In it they start when no Sentinel answers.
    assert world.told == [f"{address} CONFIG REWRITE" for address in ADDRESSES]


def test_an_instance_that_is_away_is_not_waited_for(world: World, failover: Failover) -> None:
    world.following = {ONE: TWO, TWO: None, THREE: TWO}
    world.sentinels = dict.fromkeys(ADDRESSES, TWO)
    world.silent.add((THREE, 6380))
    failover.settle("two")
    assert world.told == [f"{address} CONFIG REWRITE" for address in (ONE, TWO)]


def test_nobody_settles_on_a_node_that_there_is_not(failover: Failover) -> None:
    with pytest.raises(AgentError, match="four is no node"):
        failover.settle("four")


def test_a_nomination_that_was_left_behind_is_listed_and_undone(
    world: World, noted: FlagFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_flags, "NOMINATION_DIRECTORY", noted.directory)
    noted.set("session", "a run", -1.0)
    world.slaveof = WITHHELD
    (listed,) = redis_flags.look_nominations(NODE)
    assert (listed.kind, listed.subject, listed.owner, listed.expired) == ("nomination", "session", "a run", True)
    cleared, failed = flags.undo([listed], NODE)
    assert (len(cleared), failed) == (1, [])
    assert world.slaveof == "SLAVEOF"
    assert noted.names() == []


def test_a_nomination_stays_listed_until_sentinel_answers(
    world: World, noted: FlagFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_flags, "NOMINATION_DIRECTORY", noted.directory)
    noted.set("cache", "a run", -1.0)
    world.silent.add((ONE, contract.SENTINEL_PORT.default))
    cleared, failed = flags.undo(redis_flags.look_nominations(NODE), NODE)
    assert cleared == []
    assert "promotes no replica of cache until it answers" in failed[0]
    assert noted.names() == ["cache"]
