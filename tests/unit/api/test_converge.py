# SPDX-License-Identifier: GPL-3.0-or-later
"""What converge refuses before it touches anything: nodes of another environment, secrets that are not here."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from trivet.ansible.playbook import PlaybookResult
from trivet.api import converge
from trivet.errors import InputError
from trivet.model import Environment, Node
from trivet.remote import RemoteResult
from trivet.run.recorded import Recorded

# The package's name "converge" is the function.
converge_module = sys.modules["trivet.api.converge"]

NAMES = ("shop-1", "shop-2", "shop-3")
OURS: dict[str, Any] = {"environment": "shop", "search_engine": "opensearch"}


class World:
    """Nodes with what they know of themselves, and what was done."""

    def __init__(self, folder: Path) -> None:
        self.environment = Environment(
            name="shop",
            inventory=folder,
            nodes=tuple(Node(name, number, f"192.0.2.{10 + number}") for number, name in enumerate(NAMES, 1)),
            gateways=tuple(f"192.0.2.{20 + number}" for number in (1, 2, 3)),
            size="6",
            domains=("shop.example",),
        )
        self.identities: dict[str, str] = {}
        self.done: list[str] = []
        self.purposes: list[tuple[str, str, bool]] = []
        self.results: list[dict[str, Any]] = []
        self.agents = 0

    def set_up(self, **changed: Any) -> None:
        for number, name in enumerate(NAMES, 1):
            self.identities[name] = json.dumps({**OURS, "id": number, **changed})

    def playbook(self, *_arguments: object, **_options: object) -> PlaybookResult:
        self.done.append("playbook")
        return PlaybookResult(changed=3)

    # As Nodes:
    def __enter__(self) -> World:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    @contextmanager
    def recorded(self, nodes: World, kind: str, purpose: str, *, leased: bool) -> Iterator[Recorded]:
        self.purposes.append((kind, purpose, leased))
        run = Recorded(None, "alice@laptop:1", "journal")  # type: ignore[arg-type]
        yield run
        self.results.append(run.result)

    def run_on(self, nodes: Iterable[Node], command: Sequence[str], timeout: float = 30.0) -> list[RemoteResult]:
        if command[0] == "test":
            return [RemoteResult(node.name, int(count >= self.agents), "", "") for count, node in enumerate(nodes)]
        if command[0] != "cat":
            return [RemoteResult(node.name, 0 if command == ["true"] else 1, "", "") for node in nodes]
        return [
            RemoteResult(node.name, 0 if node.name in self.identities else 1, self.identities.get(node.name, ""), "")
            for node in nodes
        ]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(tmp_path)
    monkeypatch.setattr(converge_module, "Nodes", lambda _environment: world)
    monkeypatch.setattr(converge_module, "ensure_secrets", lambda _environment: world.done.append("secrets"))
    monkeypatch.setattr(converge_module, "check_secrets", lambda _environment: world.done.append("checked"))
    monkeypatch.setattr(converge_module, "run_playbook", world.playbook)
    monkeypatch.setattr(converge_module, "recorded", world.recorded)
    return world


def with_secrets(world: World) -> None:
    path = world.environment.inventory / "group_vars" / "all" / "secrets.yml"
    path.parent.mkdir(parents=True)
    path.write_text("---\n", encoding="utf-8")


def test_bare_nodes_get_secrets_and_are_set_up(world: World) -> None:
    converge(world.environment)
    assert world.done == ["secrets", "playbook"]
    assert world.purposes == [("converge", "converge", False)]
    assert world.results == [{"changed": 3}]


@pytest.mark.parametrize(("agents", "leased"), [(1, False), (2, True), (3, True)])
def test_the_lease_is_held_as_soon_as_a_majority_has_an_agent(world: World, agents: int, *, leased: bool) -> None:
    world.agents = agents
    converge(world.environment)
    assert world.purposes == [("converge", "converge", leased)]


def test_nodes_that_are_its_own_are_set_up_again(world: World) -> None:
    with_secrets(world)
    world.set_up()
    converge(world.environment)
    assert world.done == ["secrets", "playbook"]


@pytest.mark.parametrize("check", [False, True])
def test_nodes_that_are_set_up_get_no_new_secrets_where_the_file_is_missing(check: bool, world: World) -> None:
    world.set_up()
    with pytest.raises(InputError, match=r"secrets\.yml is missing") as raised:
        converge(world.environment, check=check)
    assert "vault password" in str(raised.value.next_command)
    assert world.done == []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"environment": "other"}, "trivet_environment of shop-1 is 'shop', but the node was set up with 'other'"),
        ({"id": 9}, "trivet_node_id of shop-1 is 1, but the node was set up with 9"),
        ({"search_engine": "elasticsearch"}, "search_engine of shop-1 is 'opensearch'"),
        (
            {"settings": {"database_port": 3407}},
            "database_port of shop-1 is '3307', but the node was set up with '3407'",
        ),
    ],
)
def test_a_node_that_was_set_up_as_another_is_refused(changed: dict[str, Any], words: str, world: World) -> None:
    with_secrets(world)
    world.set_up(**changed)
    with pytest.raises(InputError, match=words):
        converge(world.environment)
    assert world.done == []


def test_another_version_is_no_other_node(world: World) -> None:
    with_secrets(world)
    world.set_up(settings={"php_fpm_version": "8.4", "search_version": "2.18.0", "of_a_later_release": 1})
    converge(world.environment)
    assert world.done == ["secrets", "playbook"]


def test_a_file_that_is_torn_or_older_refuses_nobody(world: World) -> None:
    with_secrets(world)
    world.identities = {"shop-1": "{", "shop-2": "[]", "shop-3": json.dumps({"environment": "shop"})}
    converge(world.environment)
    assert world.done == ["secrets", "playbook"]
