# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node's agents are told when its roles move, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.unit.environments import environment
from tests.unit.rotation.simulation import change_of
from trivet.errors import RemoteError
from trivet.model import Node
from trivet.rotation import steps as steps_module
from trivet.rotation.change import Kind
from trivet.rotation.priorities import OwnCores
from trivet.rotation.steps import NodeSteps


class Agents:
    """The agents; ``roles`` is what Redis of the second node says of each instance."""

    def __init__(self, roles: dict[str, tuple[str, str]], refused: str = "") -> None:
        self.environment = environment()
        self.roles = roles
        self.refused = refused
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
        self.told.append(said)
        if self.refused and said.startswith(self.refused):
            raise RemoteError(f"{node.name}: refused")
        return {"to": "node-3"}

    def agents(self, nodes: Iterable[Node], *words: str, timeout: float = 30) -> dict[str, dict[str, Any]]:
        if words != ("proxy", "states"):
            self.told.append(" ".join(words))
        return {node.name: {"writer": "node-1", "in_flight": 0, "settled": True} for node in nodes}

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
