# SPDX-License-Identifier: GPL-3.0-or-later
"""``trivet clean`` against made-up nodes: what is shown, refused, removed, and told of nodes that do not answer."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
from typer.testing import CliRunner

from trivet.cli import clean as command
from trivet.cli.main import app
from trivet.errors import InputError, LeaseHeld, RemoteError, TrivetError
from trivet.model import Environment, Node
from trivet.remote import RemoteResult

ENVIRONMENT = Environment(
    name="test",
    inventory=Path("inventories/test"),
    nodes=tuple(Node(f"node-{n}", n, f"192.0.2.{n}") for n in (1, 2, 3)),
    gateways=("192.0.2.21", "192.0.2.22", "192.0.2.23"),
    size="6",
    domains=("shop.example",),
)


def flag(kind: str = "drain", subject: str = "web", owner: str = "one", **values: Any) -> dict[str, Any]:
    plain = {"since": 1.0, "expires": 4e9, "expired": False, "ending": False, "scope": "node", "what": "does it"}
    return {"kind": kind, "subject": subject, "owner": owner, **plain, **values}


LIMIT = flag("allocation", "primaries", scope="cluster")


@dataclass
class World:
    """The flags of every node; a flag of the cluster is in ``cluster`` and seen on all of them."""

    nodes: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    cluster: list[dict[str, Any]] = field(default_factory=list)
    lease: dict[str, Any] | None = None
    journals: list[dict[str, Any]] | None = None
    unreachable: set[str] = field(default_factory=set)
    old_agents: set[str] = field(default_factory=set)
    failing: set[str] = field(default_factory=set)
    unknown: dict[str, str] = field(default_factory=dict)
    done: list[tuple[str, ...]] = field(default_factory=list)

    def flags_of(self, node: str) -> list[dict[str, Any]]:
        return [*self.nodes.get(node, []), *self.cluster]


class FakeNodes:
    world: World

    def __init__(self, environment: Environment) -> None:
        self.environment = environment

    def __enter__(self) -> FakeNodes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def run_on(self, nodes: Iterable[Node], words: Sequence[str], timeout: float = 30.0) -> list[RemoteResult]:
        return [self._answer(node.name, list(words)) for node in nodes]

    def _answer(self, name: str, words: list[str]) -> RemoteResult:
        world = self.world
        if name in world.unreachable:
            return RemoteResult(name, 255, "", "no route")
        if name in world.old_agents or (words[1] == "journal" and world.journals is None):
            return RemoteResult(name, 2, "", "invalid choice")
        if words[1] == "journal":
            return RemoteResult(name, 0, json.dumps({"journals": world.journals}), "")
        answer = {"flags": world.flags_of(name), "unknown": world.unknown, "lease": world.lease}
        return RemoteResult(name, 0, json.dumps(answer), "")

    def at_once(self, question: Callable[[Node], Any], nodes: Iterable[Node]) -> list[Any]:
        return [question(node) for node in nodes]

    def run(self, node: Node, words: list[str], timeout: float = 30.0) -> None:
        self.world.done.append((node.name, *words[1:3]))

    def agent(self, node: Node, *words: str, timeout: float = 30.0) -> dict[str, Any]:
        world = self.world
        if node.name in world.unreachable | world.failing:
            raise RemoteError(f"{node.name}: cannot")
        world.done.append((node.name, *words[:2]))
        if words[:2] == ("flags", "clear"):
            kind, owner = words[3], words[5]
            for flags in (world.nodes.get(node.name, []), world.cluster):
                gone = [item for item in flags if item["kind"] == kind and item["owner"] == owner]
                for item in gone:
                    if item["kind"] == "forward":
                        item["ending"] = True
                    elif item["expired"] or "--expired" not in words:
                        flags.remove(item)
        return {}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    made = World()
    monkeypatch.setattr(FakeNodes, "world", made, raising=False)
    # The package has the function of that name in the module's place.
    monkeypatch.setattr(importlib.import_module("trivet.api.clean"), "Nodes", FakeNodes)
    monkeypatch.setattr(command, "load_environment", lambda _env: ENVIRONMENT)
    return made


def run(*words: str, answer: str | None = None) -> tuple[int, str]:
    """Exit code as the shell sees it, and the output."""
    result = CliRunner().invoke(app, ["clean", "test", *words], input=answer)
    if isinstance(result.exception, TrivetError):
        return result.exception.exit_code, result.output + result.exception.message
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def cleared(world: World) -> list[str]:
    return [entry[0] for entry in world.done if entry[1:] == ("flags", "clear")]


def test_nothing_left_behind_is_exit_code_0(world: World) -> None:
    for words in ((), ("--plan",), ("--yes",)):
        code, output = run(*words)
        assert code == 0 and "nothing is left behind" in output
    assert world.done == []


def test_a_plan_shows_and_touches_nothing(world: World) -> None:
    world.nodes["node-2"] = [flag()]
    code, output = run("--plan")
    assert code == 1
    assert "node-2" in output and "one" in output
    assert world.done == []


def test_flags_are_removed_under_the_lease_and_looked_at_again(world: World) -> None:
    world.nodes = {"node-1": [flag()], "node-3": [flag("unit", "mariadb", "two")]}
    world.cluster = [dict(LIMIT)]
    code, output = run("--yes")
    assert code == 0
    assert output.count("removed: ") == 3
    assert not any(world.flags_of(node.name) for node in ENVIRONMENT.nodes)
    verbs = [entry[1:] for entry in world.done]
    assert verbs[:3] == [("lease", "acquire")] * 3
    assert verbs[-3:] == [("lease", "release")] * 3
    assert sorted(cleared(world)) == ["node-1", "node-1", "node-3"], "the limit of the cluster is removed once"
    assert run("--yes")[0] == 0


def test_a_no_touches_nothing(world: World) -> None:
    world.nodes["node-1"] = [flag()]
    assert run(answer="n\n")[0] == 1
    assert world.done == []
    assert run(answer="y\n")[0] == 0
    assert world.nodes["node-1"] == []


def test_owner_and_expiry_select(world: World) -> None:
    world.nodes["node-1"] = [
        flag(owner="one"),
        flag("unit", "mariadb", owner="two"),
        flag(subject="redis", expired=True),
    ]
    assert run("--yes", "--owner", "two")[0] == 0
    assert [item["owner"] for item in world.nodes["node-1"]] == ["one", "one"]
    assert run("--yes", "--expired")[0] == 0
    assert [item["subject"] for item in world.nodes["node-1"]] == ["web"]


@pytest.mark.parametrize(("owner", "words"), [("runner", "1 of the flags are its own"), ("else", "none of these")])
def test_a_live_lease_refuses_with_who_since_when_and_what_for(world: World, owner: str, words: str) -> None:
    world.nodes["node-1"] = [flag(owner=owner)]
    world.lease = {"owner": "runner", "since_text": "noon", "purpose": "upscale to 12", "expires": 4e9}
    code, output = run("--yes")
    assert code == 2
    for word in ("runner holds the lease since noon for: upscale to 12", words, "nothing was removed"):
        assert word in output
    assert world.done == [] and len(world.nodes["node-1"]) == 1
    world.nodes.clear()
    assert run("--yes")[0] == 0, "with nothing to remove there is nothing to refuse"


def test_a_live_lease_names_the_next_command(world: World) -> None:
    world.nodes["node-1"] = [flag(owner="runner")]
    world.lease = {"owner": "runner", "since_text": "noon", "purpose": "upscale to 12", "expires": 4e9}
    result = CliRunner().invoke(app, ["clean", "test", "--yes"])
    assert isinstance(result.exception, LeaseHeld)
    assert result.exception.next_command == "trivet rotation status test"


@pytest.mark.parametrize("state", ["running", "halted"])
def test_an_interrupted_rotation_keeps_its_flags_unless_forced(world: World, state: str) -> None:
    world.nodes["node-1"] = [flag(), flag("drain", "redis", "two")]
    world.journals = [{"id": "42", "owner": "one", "state": state, "change": {"kind": "resize"}}]
    result = CliRunner().invoke(app, ["clean", "test", "--yes"])
    assert isinstance(result.exception, InputError)
    assert "42 of one" in result.exception.message and "--force" in result.exception.message
    assert result.exception.next_command == "trivet rotation status test"
    assert run("--yes", "--owner", "one")[0] == 2
    assert world.done == []
    assert run("--yes", "--owner", "two")[0] == 0
    assert run("--yes", "--force")[0] == 0
    assert world.nodes["node-1"] == []


@pytest.mark.parametrize("state", ["done", "aborted", "rolled back"])
def test_a_rotation_that_has_ended_needs_nothing(world: World, state: str) -> None:
    world.nodes["node-1"] = [flag()]
    world.journals = [{"id": "42", "owner": "one", "state": state, "change": {"kind": "resize"}}]
    assert run("--yes")[0] == 0


def test_a_node_that_does_not_answer_is_named_and_never_exit_code_0(world: World) -> None:
    world.unreachable = {"node-3"}
    for words in ((), ("--plan",), ("--yes",)):
        code, output = run(*words)
        assert code == 2 and "node-3: not reached: no route" in output
        assert "nothing is left behind" not in output
    world.nodes["node-1"] = [flag()]
    code, output = run("--yes")
    assert code == 2 and "removed: node-1" in output and "node-3" in output
    assert world.nodes["node-1"] == []


def test_an_older_agent_and_an_unknown_kind_are_told(world: World) -> None:
    world.old_agents = {"node-2"}
    world.unknown = {"allocation": "no search node answers"}
    code, output = run("--plan")
    assert code == 2
    assert "node-2: its agent is older than this command: trivet converge test" in output
    assert "node-1 (allocation): no search node answers" in output


def test_what_could_not_be_removed_is_still_there_and_an_error(world: World) -> None:
    world.nodes = {"node-1": [flag()], "node-2": [flag()]}
    world.failing = {"node-2"}
    code, output = run("--yes")
    assert code == 2
    assert "removed: node-1" in output and "still there: node-2" in output and "node-2: cannot" in output


def test_a_limit_of_the_cluster_is_removed_by_whichever_node_can(world: World) -> None:
    world.cluster = [dict(LIMIT)]
    world.failing = {"node-1"}
    assert run("--yes")[0] == 0
    assert world.cluster == []


def test_a_forward_that_must_not_cut_anybody_off_ends_by_itself(world: World) -> None:
    world.nodes["node-1"] = [flag("forward", "192.0.2.21")]
    code, output = run("--yes")
    assert code == 0 and "ends by itself at" in output and "removed" not in output


def test_json_shows_and_tells_and_asks_nobody(world: World) -> None:
    world.nodes["node-1"] = [flag()]
    code, output = run("--json")
    assert code == 2 and "--yes" in output
    code, output = run("--json", "--yes")
    lines = [json.loads(line) for line in output.splitlines()]
    assert code == 0
    assert [line["event"] for line in lines] == ["left behind", "cleaned"]
    assert lines[0]["flags"][0]["owner"] == "one"
    assert lines[1]["removed"][0]["node"] == "node-1"
