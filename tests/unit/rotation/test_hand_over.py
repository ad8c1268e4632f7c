# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node's agents are told when its roles move, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.unit.environments import environment
from tests.unit.rotation.simulation import change_of
from trivet.errors import ChangeHalted, RemoteError
from trivet.model import Node
from trivet.rotation import steps as steps_module
from trivet.rotation.change import Kind
from trivet.rotation.priorities import OwnCores
from trivet.rotation.steps import NodeSteps
from trivet.services.database import turn

NOBODY: dict[str, Any] = {"staying": 0, "newest": 0, "present": [], "kept": []}
CONSUMER = "shop from node-1 (connection 7): idle for 40 s"
CONSUMERS: dict[str, Any] = {"staying": 1, "newest": 7, "present": [CONSUMER], "kept": []}
IMPORT = "shop from node-3 (connection 9): in a transaction for 45 s"
IMPORTS: dict[str, Any] = {"staying": 2, "newest": 9, "present": [CONSUMER, IMPORT], "kept": [IMPORT]}


class Agents:
    """The agents; ``roles`` is what Redis of the second node says of each instance.

    :param clients: the answers about clients of the database, one for each question; nobody is there after that.
    :param in_flight: what the proxies say at each wait for what is in flight.
    :param kept: the writer that the proxies have after each release, whatever they were told; then what they were told.
    """

    def __init__(
        self,
        roles: dict[str, tuple[str, str]],
        refused: str = "",
        writer: str = "node-1",
        clients: Iterable[dict[str, Any]] = (),
        in_flight: Iterable[int] = (),
        kept: Iterable[str] = (),
    ) -> None:
        self.environment = environment()
        self.roles = roles
        self.refused = refused
        self.writer = writer
        self.clients = iter(clients)
        self.in_flight = iter(in_flight)
        self.kept = iter(kept)
        self.told: list[str] = []

    @contextmanager
    def sessions(self, _nodes: object, *_commands: str) -> Iterator[None]:
        yield

    def agent(self, node: Node, *words: str, timeout: float = 30) -> dict[str, Any]:
        if words == ("redis", "status") and self.refused != "redis status":
            return {
                "instances": {
                    name: {"role": role, "primary_address": primary} for name, (role, primary) in self.roles.items()
                }
            }
        said = " ".join(words)
        if words[:2] == ("galera", "clients"):
            return next(self.clients, NOBODY)
        if words[:2] == ("redis", "clients"):
            return NOBODY
        self.told.append(said)
        if self.refused and said.startswith(self.refused):
            raise RemoteError(f"{node.name}: refused")
        return {"to": "node-3", "last_committed": 5}

    def agents(self, nodes: Iterable[Node], *words: str, timeout: float = 30) -> dict[str, dict[str, Any]]:
        if words != ("proxy", "states"):
            self.told.append(" ".join(words))
        if words[:3] == ("proxy", "release", "db_writer"):
            self.writer = next(self.kept, words[-1].split(",")[0])
        left = next(self.in_flight, 0) if "--wait" in words and words[0] == "proxy" else 0
        said = {"writer": self.writer, "settled": True, "applied": True, "done": True}
        return {node.name: {**said, "in_flight": left if node.name == "node-1" else 0} for node in nodes}

    def at_once(self, question: Callable[[Node], Any], nodes: Iterable[Node]) -> list[Any]:
        return [question(node) for node in nodes]


class Priorities(OwnCores):
    """Notes among what the agents are told while the runner waits for no node's cores."""

    def __init__(self, told: list[str]) -> None:
        self.told = told

    @contextmanager
    def normal_runner_priority(self) -> Iterator[None]:
        self.told.append("runner at normal priority")
        try:
            yield
        finally:
            self.told.append("runner at low priority")


def steps_of(agents: Agents) -> NodeSteps:
    node = agents.environment.nodes[1]
    change = change_of(Kind.RESIZE)
    priorities = Priorities(agents.told)
    return NodeSteps(agents.environment, agents, None, node, change, "us", lambda _text: None, priorities)  # type: ignore[arg-type]


def hand_over(monkeypatch: pytest.MonkeyPatch, agents: Agents) -> None:
    monkeypatch.setattr(steps_module, "provider_for", lambda *_args: None)
    steps_of(agents).hand_over()


def stop(monkeypatch: pytest.MonkeyPatch, agents: Agents) -> None:
    monkeypatch.setattr(steps_module, "provider_for", lambda *_args: None)
    monkeypatch.setattr(
        steps_module, "run_playbook", lambda _environment, playbook, **_options: agents.told.append(f"play {playbook}")
    )
    steps_of(agents).stop()


def replica_of(number: int) -> tuple[str, str]:
    return "slave", environment().nodes[number - 1].address


def test_sentinel_chooses_before_the_clients_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    agents = Agents({"session": ("master", ""), "cache": replica_of(1)})
    hand_over(monkeypatch, agents)
    told = [words for words in agents.told if "cache" not in words]
    assert told == [
        "redis nominate session --owner us",
        "runner at normal priority",
        "proxy hold redis_session_primary --wait 4.0",
        "redis failover session --to node-3",
        "proxy release redis_session_primary --ready node-3",
        "runner at low priority",
        "redis settled session --primary node-3",
    ]


def test_nobody_is_held_when_sentinel_does_not_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    agents = Agents({"session": ("master", ""), "cache": replica_of(1)}, refused="redis nominate")
    with pytest.raises(RemoteError):
        hand_over(monkeypatch, agents)
    assert not any(words.startswith("proxy hold") for words in agents.told)


def test_clients_are_let_go_when_the_hand_over_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    agents = Agents({"session": ("master", ""), "cache": replica_of(1)}, refused="redis failover")
    with pytest.raises(RemoteError):
        hand_over(monkeypatch, agents)
    assert agents.told[-2:] == [
        "proxy release redis_session_primary --ready node-1,node-2,node-3",
        "runner at low priority",
    ]


def test_a_hand_over_that_was_broken_off_comes_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    agents = Agents({"session": replica_of(3), "cache": replica_of(1)})
    hand_over(monkeypatch, agents)
    assert sorted(agents.told) == [
        "redis settled cache --primary node-1",
        "redis settled session --primary node-3",
    ]


def test_a_primary_that_a_drained_node_got_is_handed_over_before_its_services_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    agents = Agents({"session": replica_of(1), "cache": ("master", "")})
    stop(monkeypatch, agents)
    assert agents.told.index("redis failover cache --to node-3") < agents.told.index("play rotation/stop.yml")
    assert not any("session" in words for words in agents.told)


def test_a_drained_node_whose_redis_says_nothing_is_left_to_the_playbook(monkeypatch: pytest.MonkeyPatch) -> None:
    agents = Agents({}, refused="redis status")
    stop(monkeypatch, agents)
    assert agents.told[-1] == "play rotation/stop.yml"
    assert not any(words.startswith("redis failover") for words in agents.told)


REPLICAS = {"session": replica_of(1), "cache": replica_of(1)}


def of_the_writer(agents: Agents) -> list[str]:
    return [words for words in agents.told if "redis" not in words and "runner" not in words]


def test_idle_clients_of_the_writer_are_closed_once_new_ones_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    agents = Agents(REPLICAS, writer="node-2", clients=[CONSUMERS])
    hand_over(monkeypatch, agents)
    told = of_the_writer(agents)
    assert told[:2] == ["proxy hold db_writer", "galera close --up-to 7 --wait 3.0"]
    assert told[2].startswith("proxy hold db_writer --wait ")
    assert told[3:] == [
        "galera status",
        "galera applied 5 --wait 3.0",
        "proxy release db_writer --ready node-1,node-3",
    ]


@pytest.mark.parametrize("writer", ["node-1", "node-2"])
def test_who_would_be_cut_is_named_before_anything_is_touched(monkeypatch: pytest.MonkeyPatch, writer: str) -> None:
    agents = Agents(REPLICAS, writer=writer, clients=[IMPORTS])
    with pytest.raises(ChangeHalted, match=r"would cut shop from node-3 \(connection 9\): in a transaction") as halted:
        hand_over(monkeypatch, agents)
    assert CONSUMER not in halted.value.message
    assert agents.told == []


def test_a_request_that_outlasts_the_hold_has_its_time_before_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    agents = Agents(REPLICAS, writer="node-2", in_flight=[1, 0])
    hand_over(monkeypatch, agents)
    told = of_the_writer(agents)
    assert [words for words in told if words.startswith("proxy release")] == [
        "proxy release db_writer --ready node-1,node-2,node-3",
        "proxy release db_writer --ready node-1,node-3",
    ]


def test_who_is_in_flight_at_every_try_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    agents = Agents(REPLICAS, writer="node-2", clients=[CONSUMERS] * 6, in_flight=[2, 2, 2])
    with pytest.raises(ChangeHalted, match=r"2 connections of db_writer did not end within 4 s: shop from node-1"):
        hand_over(monkeypatch, agents)
    assert not any(words.startswith("galera applied") for words in agents.told)


def test_only_a_drain_that_waits_in_vain_closes_idle_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps_module, "provider_for", lambda *_args: None)
    agents = Agents(REPLICAS, clients=[CONSUMERS])
    waits = iter([False, True])
    answers = agents.agents

    def agents_of(nodes: Iterable[Node], *words: str, timeout: float = 30) -> dict[str, dict[str, Any]]:
        done = next(waits) if words[:2] == ("proxy", "wait") else True
        return {name: {**said, "done": done, "why": ""} for name, said in answers(nodes, *words).items()}

    monkeypatch.setattr(agents, "agents", agents_of)
    steps_of(agents).drain()
    assert [words for words in agents.told if "close" in words] == ["galera close --up-to 7 --wait 3.0"]
    agents.told.clear()
    monkeypatch.setattr(agents, "agents", answers)
    steps_of(agents).drain()
    assert not any("close" in words for words in agents.told)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn, "LOOK_SECONDS", 0.0)


def test_a_writer_that_the_proxies_went_back_to_is_handed_over_again(monkeypatch: pytest.MonkeyPatch) -> None:
    agents = Agents(REPLICAS, writer="node-2", kept=["node-2"])
    hand_over(monkeypatch, agents)
    told = of_the_writer(agents)
    assert told == 2 * [
        "proxy hold db_writer --wait 4.0",
        "galera status",
        "galera applied 5 --wait 3.0",
        "proxy release db_writer --ready node-1,node-3",
    ]
    assert agents.writer == "node-1"


def test_a_writer_that_the_proxies_always_go_back_to_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    agents = Agents(REPLICAS, writer="node-2", kept=turn.MOVES * ["node-2"])
    with pytest.raises(ChangeHalted, match="went back to node-2 as the writer 3 times"):
        hand_over(monkeypatch, agents)
