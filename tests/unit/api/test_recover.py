# SPDX-License-Identifier: GPL-3.0-or-later
"""``trivet agent``, ``events`` and ``recover`` against made-up nodes."""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.unit import agent_views as views
from tests.unit.agent_views import NAMES, UUID, Cluster
from trivet.agent.journal import summary
from trivet.api import events as events_module
from trivet.api import recover as recover_call
from trivet.api.events import told
from trivet.cli import heal as command
from trivet.cli.main import app
from trivet.errors import InputError, LeaseHeld, RemoteError, TrivetError
from trivet.model import Environment, Node
from trivet.remote import RemoteResult
from trivet.run.lease import run_owner
from trivet.run.recorded import Recorded

api_recover = importlib.import_module("trivet.api.recover")
ENVIRONMENT = Environment(
    name="test",
    inventory=Path("inventories/test"),
    nodes=tuple(Node(name, number, f"10.0.0.{number}") for number, name in enumerate(NAMES, 1)),
    gateways=("192.0.2.21", "192.0.2.22", "192.0.2.23"),
    size="6",
    domains=("shop.example",),
)


class World:
    """Three nodes, and what was ordered of them."""

    def __init__(self) -> None:
        self.cluster: Cluster = views.healthy()
        self.unreachable: set[str] = set()
        self.without_report: set[str] = set()
        self.orders: list[tuple[str, ...]] = []
        self.leased = False
        self.events: dict[str, list[dict[str, Any]]] = {}
        self.journals: dict[str, list[dict[str, Any]]] = {}
        self.works = True
        self.recorded: Recorded | None = None

    def answer(self, name: str, words: Sequence[str]) -> dict[str, Any]:
        match list(words):
            case ["collect"]:
                return self.cluster[name].to_dict()
            case ["galera", "report"]:
                if name in self.without_report:
                    raise RemoteError(f"{name}: no report")
                return views.reports(self.cluster)[name].to_dict()
            case ["repair", kind, *arguments]:
                assert self.leased, "a repair without the lease"
                self.orders.append((name, kind, *arguments[: arguments.index("--owner")]))
                if self.works:
                    self._repair(name, kind, arguments)
                return {"node": name, "did": f"{kind} done"}
            case ["events", "--since", since]:
                return {"events": [event for event in self.events.get(name, []) if event["at"] > float(since)]}
            case ["journal", "list"]:
                return {"journals": [summary(key, lines) for key, lines in self.journals.items()]}
            case ["journal", "read", key]:
                return {"id": key, "lines": self.journals[key]}
            case [("pause" | "resume") as verb, *_rest]:
                self.orders.append((name, verb))
                return {"paused": {"expires": 1.8e9}} if verb == "pause" else {"resumed": True}
        raise AssertionError(words)

    def _repair(self, name: str, kind: str, arguments: Sequence[str]) -> None:
        if kind == "settle":
            self.cluster = views.database_down(self.cluster, name, 9 if name == "n2" else 7)
        elif kind == "bootstrap" or (kind == "start" and arguments[0] == "mariadb"):
            self.cluster = {**self.cluster, name: views.node(int(name[1:]))}
        elif kind == "start":
            self.cluster = views.unit(self.cluster, name, arguments[0], "active")
        elif kind == "kill":
            self.cluster = {**self.cluster, name: views.node(int(name[1:]))}


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

    def agent(self, node: Node, *words: str, timeout: float = 30.0) -> dict[str, Any]:
        del timeout
        if node.name in self.world.unreachable:
            raise RemoteError(f"{node.name} was not reached: no route")
        return self.world.answer(node.name, words)

    def asked(self, node: Node, words: Sequence[str], timeout: float = 30.0) -> RemoteResult:
        del timeout
        try:
            return RemoteResult(node.name, 0, json.dumps(self.agent(node, *words)), "")
        except RemoteError as error:
            return RemoteResult(node.name, 255, "", error.message)

    def run_on(self, nodes: Iterable[Node], words: Sequence[str], timeout: float = 30.0) -> list[RemoteResult]:
        return [self.asked(node, words[1:], timeout) for node in nodes]

    def at_once(self, question: Callable[[Node], Any], nodes: Iterable[Node]) -> list[Any]:
        return [question(node) for node in nodes]


class FakeLease:
    held_by = ""

    def __init__(self, nodes: FakeNodes) -> None:
        self._world = nodes.world

    @classmethod
    @contextmanager
    def recorded(cls, nodes: FakeNodes, kind: str, purpose: str) -> Iterator[Recorded]:
        assert kind == "recover" and purpose.startswith("recover ")
        with cls(nodes) as lease:
            run = Recorded(lease, run_owner(), "journal")
            yield run
            nodes.world.recorded = run

    def __enter__(self) -> FakeLease:
        if self.held_by:
            raise LeaseHeld(f"shop is locked by {self.held_by}")
        self._world.leased = True
        return self

    def __exit__(self, *_unused: object) -> None:
        self._world.leased = False

    def check(self) -> None:
        assert self._world.leased


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    FakeNodes.world = made
    FakeLease.held_by = ""
    clock = [1000.0]

    class Clock:
        time = staticmethod(time.time)
        monotonic = staticmethod(lambda: clock[0])
        sleep = staticmethod(lambda seconds: clock.__setitem__(0, clock[0] + seconds))

    for name in ("trivet.api.recover", "trivet.api.events", "trivet.api.agents"):
        monkeypatch.setattr(importlib.import_module(name), "Nodes", FakeNodes)
    monkeypatch.setattr(api_recover, "recorded", FakeLease.recorded)
    monkeypatch.setattr(api_recover, "time", Clock)
    monkeypatch.setattr(command, "load_environment", lambda _name: ENVIRONMENT)
    return made


def trivet(*words: str) -> tuple[int, str]:
    """Exit code and output; an error is the exit code 2 and its message."""
    result = CliRunner().invoke(app, list(words))
    if isinstance(result.exception, TrivetError):
        return result.exception.exit_code, f"{result.exception.message}\n{result.exception.next_command}"
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


# ---------------------------------------------------------------- recover


def test_nothing_is_done_to_a_healthy_environment(world: World) -> None:
    assert trivet("recover", "test", "--plan") == (0, "test: nothing to recover\n")
    code, output = trivet("recover", "test")
    assert code == 0 and "nothing was to be done" in output
    assert world.orders == []


def test_galera_is_elected_bootstrapped_and_joined(world: World) -> None:
    world.cluster = views.outage(-1, -1, -1)
    for name in NAMES:
        world.cluster = views.database_down(world.cluster, name, -1, "activating")
    code, output = trivet("recover", "test", "database", "--plan")
    assert code == 1
    assert output.count("repair settle") == 3 and "Galera: unsettled" in output and "seqno" in output
    assert world.orders == []
    code, output = trivet("recover", "test", "database")
    assert code == 0
    settled = [("n1", "settle"), ("n2", "settle"), ("n3", "settle")]
    joined = [("n1", "start", "mariadb"), ("n3", "start", "mariadb")]
    assert world.orders == [*settled, ("n2", "bootstrap", f"{UUID}:9"), *joined]
    assert "database: " in output


@pytest.mark.parametrize("missing", ["n1", "n3"])
def test_with_a_missing_report_nothing_is_bootstrapped_and_a_human_gets_the_evidence(
    world: World, missing: str
) -> None:
    world.cluster = views.outage(7, 9, 8)
    world.without_report.add(missing)
    code, output = trivet("recover", "test", "database")
    assert code == 2
    assert f"no report of {missing}" in output
    assert f"ssh 10.0.0.2 trivet-agent galera bootstrap --position {UUID}:9" in output
    assert world.orders == []


def test_only_the_service_that_is_named_is_touched(world: World) -> None:
    world.cluster = views.stopped(views.stopped(world.cluster, "n2", "nginx"), "n1", "redis-cache")
    assert trivet("recover", "test", "redis")[0] == 0
    assert world.orders == [("n1", "start", "redis-cache")]
    assert trivet("recover", "test")[0] == 0
    assert world.orders[1:] == [("n2", "start", "nginx")]


def test_two_nodes_are_restarted_one_after_the_other(world: World) -> None:
    world.cluster = views.silent(views.silent(world.cluster, "n1", "search"), "n2", "search")
    assert trivet("recover", "test", "search")[0] == 0
    assert world.orders == [("n1", "kill", "opensearch"), ("n2", "kill", "opensearch")]


def test_a_repair_that_does_not_help_ends(world: World) -> None:
    world.cluster = views.stopped(world.cluster, "n2", "nginx")
    world.works = False
    code, output = trivet("recover", "test")
    assert code == 2 and "tried 3 times" in output and "trivet events" in output
    assert world.orders == [("n2", "start", "nginx")] * 3


def test_a_lease_of_somebody_else_stops_it(world: World) -> None:
    world.cluster = views.stopped(world.cluster, "n2", "nginx")
    FakeLease.held_by = "alice, upscale"
    with pytest.raises(LeaseHeld):
        recover_call(ENVIRONMENT, None)
    FakeLease.held_by = ""
    world.cluster = views.leased(world.cluster, "n3")
    code, output = trivet("recover", "test")
    assert code == 2 and "left alone" in output and "upscale" in output
    assert world.orders == []


def test_a_pause_of_the_agents_makes_room_for_it(world: World) -> None:
    world.cluster = views.paused(views.stopped(world.cluster, "n2", "nginx"), "n2")
    assert trivet("recover", "test")[0] == 0
    assert world.orders == [("n2", "start", "nginx")]


def test_a_drained_service_is_somebodys_work(world: World) -> None:
    world.cluster = views.drained(views.stopped(world.cluster, "n2", "nginx"), "n2", "web")
    assert trivet("recover", "test")[0] == 0
    assert world.orders == []


def test_a_node_that_is_drained_altogether_is_left_alone_and_said_so(world: World) -> None:
    world.cluster = views.stopped(views.stopped(world.cluster, "n2", "nginx"), "n1", "nginx")
    world.cluster = views.drained(world.cluster, "n2", "web", "database", "redis", "search")
    code, output = trivet("recover", "test")
    assert code == 0 and "n2 is left alone: drained by alice" in output
    assert world.orders == [("n1", "start", "nginx")]


def test_a_silent_node_is_named(world: World) -> None:
    world.unreachable.add("n3")
    code, output = trivet("recover", "test", "--plan")
    assert code == 2 and "n3" in output


def test_an_unknown_service_is_refused(world: World) -> None:
    del world
    with pytest.raises(InputError, match="database, redis, search, files"):
        recover_call(ENVIRONMENT, "nginx")


@pytest.mark.parametrize(
    ("former", "word"), [("galera", "database"), ("elasticsearch", "search"), ("glusterfs", "files")]
)
def test_a_former_word_is_refused_with_the_one_of_today(world: World, former: str, word: str) -> None:
    del world
    with pytest.raises(InputError, match=word) as refusal:
        recover_call(ENVIRONMENT, former)
    assert refusal.value.next_command == f"trivet recover ENV {word}"


# ---------------------------------------------------------------- events


def test_one_timeline_of_all_nodes_and_of_changes(world: World) -> None:
    now = time.time()
    world.events = {
        "n1": [{"at": now - 30, "node": "n1", "kind": "noticed", "service": "web", "reason": "nginx does not run"}],
        "n2": [
            {"at": now - 9e5, "node": "n2", "kind": "noticed", "reason": "long ago"},
            {"at": now - 20, "node": "n2", "kind": "repairs", "remedy": {"kind": "start", "arguments": ["nginx"]}},
        ],
    }
    world.journals = {
        "20260101T000000": [
            {"seq": 1, "at": now - 9e5, "kind": "plan", "owner": "alice"},
            {"seq": 2, "at": now - 25, "kind": "begin", "node": "n3", "step": "drain"},
        ]
    }
    code, output = trivet("events", "test", "--since", "1h", "--json")
    found = json.loads(output)["events"]
    assert code == 0
    assert [(event["node"], event["kind"], event["text"]) for event in found] == [
        ("n1", "noticed", "nginx does not run"),
        ("n3", "change begin", "drain"),
        ("n2", "repairs", "start nginx"),
    ]
    assert "nginx does not run" in trivet("events", "test", "--since", "1h")[1]


def test_missing_events_are_never_an_empty_list(world: World) -> None:
    world.unreachable.add("n3")
    code, output = trivet("events", "test")
    assert code == 2 and "n3 was not reached" in output
    assert events_module(ENVIRONMENT, 0.0).silent == {"n3": "n3 was not reached: no route"}


def test_an_event_is_told_in_words() -> None:
    assert told({"kind": "paused", "by": "alice"}) == "by alice"
    assert told({"kind": "repaired", "text": "started nginx", "attempt": 2}) == "started nginx; attempt 2"


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("15m", 900), ("2h", 7200), ("7d", 604800)])
def test_durations(text: str, seconds: int) -> None:
    assert command.seconds_of(text) == seconds
    for wrong in ("", "5", "0m", "-1h", "1w", "1h30m"):
        with pytest.raises(InputError):
            command.seconds_of(wrong)


# ---------------------------------------------------------------- pause and resume


def test_every_agent_is_paused_and_resumed(world: World) -> None:
    code, output = trivet("agent", "pause", "test", "--for", "2h")
    assert code == 0 and output.count("paused until") == 3
    assert trivet("agent", "resume", "test")[0] == 0
    assert world.orders == [(name, verb) for verb in ("pause", "resume") for name in NAMES]


def test_an_agent_that_was_not_paused_is_an_error(world: World) -> None:
    world.unreachable.add("n2")
    code, output = trivet("agent", "pause", "test", "--json")
    assert code == 2 and "n2 was not reached" in output
