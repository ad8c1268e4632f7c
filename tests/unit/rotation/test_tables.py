# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables that Galera does not keep alike are told with the plan."""

from __future__ import annotations

from typing import Any, cast

from tests.unit.environments import environment
from tests.unit.rotation.simulation import Handle, World, change_of
from trivet.model import Node
from trivet.remote import Nodes, RemoteResult
from trivet.rotation.change import Kind
from trivet.rotation.rotations import Rotations
from trivet.rotation.tables import table_warnings


class Servers:
    """Nodes of which the first does not answer."""

    def __init__(self, output: str) -> None:
        self.environment = environment()
        self.output = output
        self.asked: list[str] = []

    def run(self, node: Node, _command: list[str], timeout: float) -> RemoteResult:
        self.asked.append(node.name)
        return RemoteResult(node.name, 1 if node.name == "node-1" else 0, self.output, "")


def warnings(output: str) -> tuple[str, ...]:
    servers = Servers(output)
    found = table_warnings(cast("Nodes", servers))
    assert servers.asked == ["node-1", "node-2"]
    return found


def test_each_kind_is_a_sentence_that_names_some() -> None:
    rows = [f"shop\tindex_{number}\tMEMORY\t1" for number in range(7)] + ["shop\tlog\tInnoDB\t0"]
    engines, keys = warnings("\n".join(rows))
    assert "shop.index_0 (MEMORY)" in engines and "shop.index_4 (MEMORY) and 2 more" in engines
    assert keys.endswith("shop.log")


def test_none_is_no_warning() -> None:
    assert warnings("") == ()


def test_a_plan_tells_them_and_refuses_nothing() -> None:
    world = World(table_warnings=("tables without a primary key: shop.log",))
    plan: Any = Rotations(environment(), connect=Handle(world)).plan(change_of(Kind.RESIZE))
    assert plan.to_dict()["warnings"] == ["tables without a primary key: shop.log"]
    assert plan.refusals == ()
