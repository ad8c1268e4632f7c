# SPDX-License-Identifier: GPL-3.0-or-later
"""The step that gives a node a new machine: which address it is to have, and what is kept of what is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from trivet.errors import ChangeHalted, TrivetError
from trivet.model import Environment, Node
from trivet.remote import Nodes
from trivet.remote.result import UNREACHABLE_EXIT_CODE, RemoteResult
from trivet.rotation import cluster, steps
from trivet.rotation.change import Change, Kind, Step
from trivet.rotation.cluster import LiveCluster
from trivet.rotation.looks import Looks
from trivet.rotation.priorities import CorePriorities
from trivet.rotation.steps import NodeSteps

# SSH goes by a name; the other nodes know the address.
NODE = Node("node-2", 2, "192.0.2.12", {"ansible_host": "node-2.example"})


@dataclass
class World:
    """The machine of the node, and what was done to it. `answer`: the address that the provider gives a new one.

    `set_up`: exit code of the question whether it has anything of Trivet.
    """

    answer: str = NODE.address
    refused: str = ""
    set_up: int = 0
    done: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    tell: Callable[[str], None] = lambda words: None

    def run(self, _node: Node, command: list[str], timeout: float = 30.0) -> RemoteResult:
        assert command == ["test", "-e", "/etc/trivet"]
        return RemoteResult(NODE.name, self.set_up, "", "")

    def want_session(self, node: Node, wanted: bool) -> None:
        assert (node.name, wanted) == (NODE.name, False), "neither the machine nor its agent stays"

    def hang_up(self, node: Node) -> None:
        self.done.append(f"hang up on {node.name}")

    def provider_for(self, _environment: Environment, tell: Callable[[str], None]) -> World:
        self.tell = tell
        return self

    def check_create(self, name: str, size: str, address: str | None = None) -> None:
        self.done.append(f"check {name} {size} {address}")
        if self.refused:
            raise TrivetError(self.refused)

    def create(self, name: str, size: str, address: str | None = None) -> str:
        self.done.append(f"create {name} {size} {address}")
        self.tell("cloning the image")
        return self.answer

    def delete(self, node: Node) -> None:
        self.done.append(f"delete {node.name}")

    def lower_node_priority(self, node: str) -> None:
        self.done.append(f"lower the priority of {node}")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    monkeypatch.setattr(steps, "provider_for", made.provider_for)
    monkeypatch.setattr(steps, "wait_for_ssh", lambda _environment, node: made.done.append(f"wait for {node.name}"))
    monkeypatch.setattr(
        steps, "run_playbook", lambda _environment, playbook, **_options: made.done.append(f"play {playbook}")
    )
    return made


def environment() -> Environment:
    return Environment(
        name="test",
        inventory=Path("inventories/test"),
        nodes=(Node("node-1", 1, "192.0.2.11"), NODE, Node("node-3", 3, "192.0.2.13")),
        gateways=("192.0.2.21", "192.0.2.22", "192.0.2.23"),
        size="6",
        domains=("shop.example",),
    )


def replace(world: World) -> None:
    change = Change(Kind.REPLACE, (NODE.name,))
    nodes = cast(Nodes, world)
    priorities = cast(CorePriorities, world)
    told = world.told.append
    NodeSteps(environment(), nodes, Looks(nodes), NODE, change, "operator", told, priorities).apply(Step.REPLACE)


@pytest.mark.parametrize("set_up", [0, UNREACHABLE_EXIT_CODE])
def test_the_new_machine_is_asked_for_with_the_address_of_the_old_one(set_up: int, world: World) -> None:
    world.set_up = set_up
    replace(world)
    assert world.done == [
        "check node-2 6 192.0.2.12",
        "delete node-2",
        "hang up on node-2",
        "create node-2 6 192.0.2.12",
        "lower the priority of node-2",
        "wait for node-2",
        "play rotation/replace.yml",
    ]


@pytest.mark.parametrize("answer", ["192.0.2.99", "node-2.example"])
def test_another_address_halts_before_anything_is_set_up(answer: str, world: World) -> None:
    world.answer = answer
    with pytest.raises(ChangeHalted, match=f"has the address {answer}; its peers know it as 192.0.2.12"):
        replace(world)
    assert world.done[-1].startswith("create")


def test_what_the_provider_could_not_make_again_is_not_removed(world: World) -> None:
    world.refused = "quota exceeded"
    with pytest.raises(TrivetError, match="quota exceeded"):
        replace(world)
    assert world.done == ["check node-2 6 192.0.2.12"]


def test_the_live_cluster_asks_for_the_machine_as_it_is_to_be(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "provider_for", lambda _environment: world)
    with LiveCluster(environment()) as live:
        live.check_new((NODE.name,))
    assert world.done == ["check node-2 6 192.0.2.12"]


def test_a_machine_that_an_earlier_attempt_has_made_is_kept(world: World) -> None:
    world.set_up = 1
    replace(world)
    assert world.done == ["lower the priority of node-2", "wait for node-2", "play rotation/replace.yml"]


def test_what_the_provider_says_while_it_works_is_told(world: World) -> None:
    replace(world)
    assert world.told == ["removing the machine", "making a new machine", "cloning the image"]
