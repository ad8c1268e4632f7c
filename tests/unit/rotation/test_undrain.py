# SPDX-License-Identifier: GPL-3.0-or-later
"""How a node is used again, also when its address cannot come home, and what an untouched node is given back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from tests.unit.environments import environment
from tests.unit.rotation.simulation import change_of
from trivet.errors import ChangeHalted, RemoteError, TrivetError
from trivet.model import Node
from trivet.rotation import steps as steps_module
from trivet.rotation.change import Kind
from trivet.rotation.steps import NodeSteps
from trivet.services.gateway.turn import GatewayMove


class World:
    """Agents that do all they are told, and the priorities of the cores; what each was told, in order."""

    def __init__(self) -> None:
        self.environment = environment()
        self.told: list[str] = []

    def agent(self, node: Node, *words: str, timeout: float = 30) -> dict[str, Any]:
        self.told.append(f"{node.name} {' '.join(words[:2])}")
        return {"done": True}

    def at_once(self, question: Callable[[Node], Any], nodes: Iterable[Node]) -> list[Any]:
        return [question(node) for node in nodes]

    def restore_node_priority(self, node: str) -> None:
        self.told.append(f"{node} gets its cores")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    monkeypatch.setattr(steps_module, "provider_for", lambda *_args: made)
    monkeypatch.setattr(GatewayMove, "come_home", lambda _move, home: made.told.append(f"{home.name} address home"))
    monkeypatch.setattr(GatewayMove, "settle", lambda _move, node: made.told.append(f"{node.name} settled"))
    return made


def steps(world: World) -> NodeSteps:
    node = world.environment.nodes[1]
    change = change_of(Kind.RESIZE)
    return NodeSteps(world.environment, world, None, node, change, "us", lambda _text: None, world)  # type: ignore[arg-type]


USED = [
    "node-1 proxy wait",
    "node-2 proxy wait",
    "node-3 proxy wait",
    "node-1 proxy release",
    "node-2 proxy release",
    "node-3 proxy release",
]


def test_the_address_comes_home_while_the_proxies_learn_of_the_node(world: World) -> None:
    steps(world).undrain()
    # It gets its cores first: it may be used as soon as it is not drained.
    assert world.told == ["node-2 gets its cores", "node-2 undrain all", "node-2 address home", *USED]


@pytest.mark.parametrize("error", [ChangeHalted("it stays"), RemoteError("node-3 was not reached")])
def test_a_node_whose_address_does_not_come_home_is_used_all_the_same(
    error: TrivetError, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stays(_move: GatewayMove, _home: Node) -> None:
        raise error

    monkeypatch.setattr(GatewayMove, "come_home", stays)
    if isinstance(error, ChangeHalted):
        with pytest.raises(ChangeHalted, match="it stays"):
            steps(world).undrain()
    else:
        steps(world).undrain()
    assert world.told == ["node-2 gets its cores", "node-2 undrain all", *USED]


def test_nothing_is_forwarded_from_a_node_that_gets_its_address_back(world: World) -> None:
    steps(world).undo_drain()
    before = ["node-2 settled", "node-2 search allocation", "node-2 gets its cores", "node-2 undrain all"]
    assert world.told[:4] == before
