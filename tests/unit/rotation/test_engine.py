# SPDX-License-Identifier: GPL-3.0-or-later
"""The loop of a rotation against a made-up cluster: order, what a failure leaves behind, and the journal."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from trivet.errors import InputError, LeaseHeld, RemoteError, RotationHalted
from trivet.health.findings import Finding, State
from trivet.health.verdict import Verdict
from trivet.model import Environment, Node, Size
from trivet.model.size import size_named
from trivet.remote import Observation
from trivet.rotation import engine
from trivet.rotation.plan import Step

NAMES = ("node-1", "node-2", "node-3")
BEFORE_TOUCHING = [Step.HAND_OVER, Step.DRAIN, Step.GATEWAY]
AFTER_TOUCHING = [Step.STOP, Step.RESIZE, Step.START, Step.GATE, Step.UNDRAIN, Step.SOAK]


def environment(count: int = 3) -> Environment:
    return Environment(
        name="test",
        inventory=Path("inventories/test"),
        nodes=tuple(Node(NAMES[n], n + 1, f"192.0.2.{n + 11}") for n in range(count)),
        gateways=tuple(f"192.0.2.{n + 21}" for n in range(count)),
        size="6",
        domain="shop.example",
    )


@dataclass
class World:
    """What the engine talks to: nodes, provider, verdicts and steps. Everything done is in `done`, in order."""

    writer: str = "node-1"
    done: list[tuple[str, ...]] = field(default_factory=list)
    findings: tuple[Finding, ...] = ()
    fails: dict[tuple[str, Step], BaseException] = field(default_factory=dict)
    falls_ill_after: tuple[str, Step] | None = None
    refusing: tuple[str, ...] = ()
    undo_fails: bool = False
    memory_mib: int | None = None

    @property
    def steps(self) -> list[tuple[str, ...]]:
        return [entry for entry in self.done if entry[0] in NAMES]

    def observe(self, _nodes: object) -> Observation:
        return Observation({}, Verdict("test", NAMES, (), self.findings))


class FakeNodes:
    """In the place of SSH: the lease's votes are all that the engine itself asks of nodes."""

    world: World

    def __init__(self, environment: Environment) -> None:
        self.environment = environment

    def __enter__(self) -> FakeNodes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.world.done.append(("closed",))

    def agent(self, node: Node, *arguments: str, timeout: float = 30.0) -> dict[str, Any]:
        assert arguments[:2] == ("lease", "acquire")
        if node.name in self.world.refusing:
            raise RemoteError(f"{node.name}: held by somebody@else since noon for a backup")
        self.world.done.append(("vote", node.name))
        return {}

    def run(self, node: Node, command: list[str], timeout: float = 30.0) -> None:
        assert command[1:3] == ["lease", "release"]
        self.world.done.append(("vote back", node.name))


class FakeProvider:
    def __init__(self, world: World) -> None:
        self.world = world

    def check(self, node: Node) -> None:
        self.world.done.append(("checked", node.name))

    def target(self, size: str) -> Size:
        named = size_named(size)
        return Size(named.name, named.cpus, self.world.memory_mib or named.memory_mib)

    def record(self, size: str) -> None:
        self.world.done.append(("recorded", size))


class FakeSteps:
    world: World

    def __init__(self, _environment: object, _nodes: object, _provider: object, node: Node, *_rest: object) -> None:
        self.node = node.name

    def apply(self, step: Step) -> None:
        self.world.done.append((self.node, step.value))
        if (self.node, step) in self.world.fails:
            raise self.world.fails[self.node, step]
        if step is Step.HAND_OVER and self.world.writer == self.node:
            self.world.writer = NAMES[(NAMES.index(self.node) + 1) % 3]
        if (self.node, step) == self.world.falls_ill_after:
            self.world.findings = (Finding("search", "node-3", State.BROKEN, "does not answer"),)

    def undo_drain(self) -> None:
        self.world.done.append((self.node, "undo drain"))
        if self.world.undo_fails:
            raise RemoteError(f"{self.node}: still no answer")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    FakeNodes.world = FakeSteps.world = made
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(engine, "Nodes", FakeNodes)
    monkeypatch.setattr(engine, "NodeSteps", FakeSteps)
    monkeypatch.setattr(engine, "observe", made.observe)
    monkeypatch.setattr(engine, "provider_for", lambda _environment: FakeProvider(made))
    monkeypatch.setattr(engine, "check_secrets", lambda _environment: None)
    monkeypatch.setattr(engine, "writer", lambda _facts: made.writer)
    monkeypatch.setattr(engine, "gateway_holders", lambda _facts: {})
    monkeypatch.setattr(engine, "redis_primary", lambda _facts, _instance: None)
    monkeypatch.setattr(engine, "SETTLE_SECONDS", -1.0)
    return made


def journal(tmp_path: Path) -> list[dict[str, Any]]:
    files = list(tmp_path.rglob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def all_steps(*names: str) -> list[tuple[str, ...]]:
    return [(name, step.value) for name in names for step in Step]


def test_one_node_after_the_other_and_the_writer_last(world: World, tmp_path: Path) -> None:
    events: list[Any] = []
    report = engine.Rotation(environment(), "12", events.append).apply()
    assert world.steps == all_steps("node-2", "node-3", "node-1")
    assert [(time.node, time.step) for time in report.times] == world.steps
    lines = journal(tmp_path)
    assert [line["kind"] for line in lines] == ["plan", *["begin", "end"] * 27, "done"]
    for begin, end in zip(lines[1:-1:2], lines[2:-1:2], strict=True):
        assert (begin["node"], begin["step"]) == (end["node"], end["step"])
    assert [event["event"] for event in events] == ["plan", *["step begins", "step ends"] * 27]
    # The inventory gets its new size, and the environment is free again, only when all is done.
    assert world.done.index(("recorded", "12")) > world.done.index(("node-1", Step.SOAK.value))
    assert world.done[-4:] == [*(("vote back", name) for name in NAMES), ("closed",)]


def test_the_order_of_those_that_are_left_follows_the_roles(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.writer = "node-2"
    monkeypatch.setattr(engine, "gateway_holders", lambda _facts: {"192.0.2.29": ["node-1"]})
    engine.Rotation(environment(), "12").apply()
    # node-3 holds nothing; node-1 and node-2 hold one role each, and node-1 stands first in the inventory.
    assert list(dict.fromkeys(entry[0] for entry in world.steps)) == ["node-3", "node-1", "node-2"]


@pytest.mark.parametrize("step", BEFORE_TOUCHING)
def test_a_failure_before_the_node_is_touched_undoes_its_drain(step: Step, world: World, tmp_path: Path) -> None:
    world.fails["node-3", step] = RemoteError("node-3: no answer", "trivet status test")
    with pytest.raises(RotationHalted) as raised:
        engine.Rotation(environment(), "12").apply()
    assert "node-3: no answer (the drain was undone, nothing was changed" in raised.value.message
    assert raised.value.next_command == "trivet status test"
    tried = [("node-3", earlier.value) for earlier in list(Step)[: list(Step).index(step) + 1]]
    assert world.steps == [*all_steps("node-2"), *tried, ("node-3", "undo drain")]
    *_, begun, failed, undone, halted = journal(tmp_path)
    last = [begun, failed, undone]
    assert [line["kind"] for line in (*last, halted)] == ["begin", "failed", "drain undone", "halted"]
    assert (last[1]["node"], last[1]["step"], last[1]["error"]) == ("node-3", step.value, "node-3: no answer")
    assert ("recorded", "12") not in world.done
    assert ("vote back", "node-1") in world.done


def test_a_drain_that_cannot_be_undone_does_not_hide_the_first_failure(world: World, tmp_path: Path) -> None:
    world.fails["node-2", Step.DRAIN] = RemoteError("node-2: no answer")
    world.undo_fails = True
    with pytest.raises(RotationHalted, match="node-2: no answer"):
        engine.Rotation(environment(), "12").apply()
    last = journal(tmp_path)[-3:-1]
    assert [(line["kind"], line["error"]) for line in last] == [
        ("failed", "node-2: no answer"),
        ("drain stands", "node-2: still no answer"),
    ]
    assert ("vote back", "node-1") in world.done


@pytest.mark.parametrize("step", AFTER_TOUCHING)
def test_a_failure_after_the_node_was_touched_leaves_it_as_it_is(step: Step, world: World, tmp_path: Path) -> None:
    world.fails["node-2", step] = RotationHalted("waited in vain")
    words = {Step.UNDRAIN: "the node may be in use again", Step.SOAK: "the node is in use again"}
    with pytest.raises(RotationHalted, match=rf"waited in vain.*{words.get(step, 'the node stays drained')}"):
        engine.Rotation(environment(), "12").apply()
    assert {entry[0] for entry in world.steps} == {"node-2"}, "no second node is touched"
    assert ("node-2", "undo drain") not in world.done
    left = "left in use" if step in words else "left drained"
    assert [line["kind"] for line in journal(tmp_path)][-4:] == ["begin", "failed", left, "halted"]
    assert ("recorded", "12") not in world.done
    assert ("vote back", "node-1") in world.done


def test_an_interrupted_run_undoes_the_drain_too(world: World, tmp_path: Path) -> None:
    world.fails["node-2", Step.DRAIN] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        engine.Rotation(environment(), "12").apply()
    assert world.steps[-1] == ("node-2", "undo drain")
    assert journal(tmp_path)[-1]["error"] == "KeyboardInterrupt"
    assert ("vote back", "node-1") in world.done


def test_an_environment_that_is_not_healthy_is_not_touched(world: World, tmp_path: Path) -> None:
    world.findings = (Finding("database", "node-2", State.BUSY, "is joining"),)
    for attempt in (engine.Rotation(environment(), "12").plan, engine.Rotation(environment(), "12").apply):
        with pytest.raises(InputError, match="node-2: database: is joining"):
            attempt()
    assert world.steps == journal(tmp_path) == []
    assert not [entry for entry in world.done if entry[0] == "vote"]


def test_the_next_node_waits_for_a_fresh_verdict(world: World, tmp_path: Path) -> None:
    world.falls_ill_after = ("node-2", Step.SOAK)
    with pytest.raises(RotationHalted, match="no longer healthy: node-3: search: does not answer"):
        engine.Rotation(environment(), "12").apply()
    assert world.steps == all_steps("node-2")
    assert ("recorded", "12") not in world.done


@pytest.mark.parametrize("refusing", [NAMES[:2], NAMES])
def test_without_a_majority_for_its_lease_nothing_is_touched(
    refusing: tuple[str, ...], world: World, tmp_path: Path
) -> None:
    world.refusing = refusing
    with pytest.raises(LeaseHeld, match="somebody@else since noon for a backup"):
        engine.Rotation(environment(), "12").apply()
    assert world.steps == journal(tmp_path) == []
    assert [entry for entry in world.done if entry[0] == "vote back"] == [("vote back", name) for name in NAMES]


def test_one_node_that_refuses_its_vote_is_no_majority(world: World) -> None:
    world.refusing = ("node-3",)
    engine.Rotation(environment(), "12").apply()
    assert world.steps == all_steps("node-2", "node-3", "node-1")


def test_a_lost_lease_ends_the_run_before_the_next_step(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(_lease: object) -> None:
        if world.steps and world.steps[-1] == ("node-2", Step.DRAIN.value):
            raise LeaseHeld("the lease could not be renewed")

    monkeypatch.setattr(engine.Lease, "check", check)
    with pytest.raises(LeaseHeld):
        engine.Rotation(environment(), "12").apply()
    assert ("node-2", Step.GATEWAY.value) not in world.done


@pytest.mark.parametrize(
    ("size", "count", "memory_mib", "words"),
    [
        ("13", 3, None, "size '13' is not in the table"),
        ("12", 1, None, "a rotation needs three"),
        ("6", 3, 1024, "gives a node 1024 MiB"),
    ],
)
def test_bad_input_is_refused_before_a_node_is_asked(
    size: str, count: int, memory_mib: int | None, words: str, world: World
) -> None:
    world.memory_mib = memory_mib
    with pytest.raises(InputError, match=words):
        engine.Rotation(environment(count), size).apply()
    assert world.done == []


def test_a_plan_touches_nothing(world: World, tmp_path: Path) -> None:
    plan = engine.Rotation(environment(), "12").plan()
    assert [node.name for node in plan.nodes] == ["node-2", "node-3", "node-1"]
    assert (plan.size_before, plan.size_after) == ("6", "12")
    assert world.done == [("closed",)]
    assert journal(tmp_path) == []
