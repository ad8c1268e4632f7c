# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of web nodes as far as the provider and SSH do them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from trivet.errors import ChangeHalted
from trivet.model import Environment, Node
from trivet.remote import Nodes
from trivet.remote.result import RemoteResult
from trivet.scaling import steps
from trivet.scaling.record import Progress, WebHost
from trivet.scaling.steps import Steps

ENVIRONMENT = Environment(
    name="shop",
    inventory=Path("inventories/shop"),
    nodes=tuple(Node(f"shop-{n}", n, f"192.0.2.{10 + n}", {"ansible_user": "admin"}) for n in (1, 2, 3)),
    gateways=tuple(f"192.0.2.{20 + n}" for n in (1, 2, 3)),
    size="6",
    domains=("shop.example",),
    web_nodes=(Node("shop-web-1", 11, "192.0.2.31"),),
)


@dataclass
class World:
    """The provider and the nodes. `told` has every line of progress, `asked` the nodes that a command was run on."""

    told: list[tuple[str, str]] = field(default_factory=list)
    asked: list[Node] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)
    tell: Callable[[str], None] = lambda words: None

    def create(self, name: str, size: str) -> str:
        self.tell("cloning the image")
        return "192.0.2.32"

    def delete(self, node: Node) -> None:
        self.tell(f"deleting {node.address}")

    def run(self, node: Node, command: list[str], timeout: float = 30.0) -> RemoteResult:
        self.asked.append(node)
        error = self.errors.get(node.name, "")
        return RemoteResult(node.name, 255 if error else 0, "", error)

    def run_on(self, nodes: Iterable[Node], command: list[str], timeout: float = 30.0) -> list[RemoteResult]:
        return [self.run(node, command, timeout) for node in nodes]

    def steps(self, *names: str) -> Steps:
        return Steps(ENVIRONMENT, cast(Nodes, self), names, "operator", lambda *line: self.told.append(line))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()

    def provider_for(_environment: Environment, tell: Callable[[str], None]) -> World:
        made.tell = tell
        return made

    monkeypatch.setattr(steps, "provider_for", provider_for)
    return made


def test_what_the_provider_says_while_it_works_is_told_of_the_node(world: World) -> None:
    assert world.steps("shop-web-2").make("shop-web-2", "6") == "192.0.2.32"
    world.steps("shop-web-1").remove([WebHost("shop-web-1", "192.0.2.31", 11, Progress.LEAVING)])
    assert world.told == [
        ("shop-web-2", "making a machine of size 6"),
        ("shop-web-2", "cloning the image"),
        ("shop-web-1", "removing the machine"),
        ("shop-web-1", "deleting 192.0.2.31"),
    ]


def test_given_hosts_are_tried_each_over_a_connection_of_its_own(world: World) -> None:
    world.errors["theirs"] = "Host key verification failed."
    hosts = [
        WebHost(name, f"198.51.100.{node_id}", node_id, Progress.JOINING, given=True)
        for name, node_id in (("mine", 12), ("theirs", 13))
    ]
    with pytest.raises(ChangeHalted, match=r"not reachable over SSH: theirs \(Host key verification failed\.\)$"):
        world.steps("mine", "theirs").try_given(hosts)
    assert [(node.login, node.node_id) for node in world.asked] == [
        ("admin@198.51.100.12", 12),
        ("admin@198.51.100.13", 13),
    ]
    assert "StrictHostKeyChecking" not in str(world.asked[0].variables), "its host key must be known already"
