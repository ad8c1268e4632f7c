# SPDX-License-Identifier: GPL-3.0-or-later
"""Rolling changes against a simulated cluster: order, gates, what a failure leaves, and the journal."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.unit.environments import NAMES, environment
from tests.unit.rotation.simulation import Handle, Killed, World, change_of
from trivet.errors import ChangeHalted, ChangeStopped, InputError, LeaseHeld, RemoteError
from trivet.model import Node
from trivet.rotation import engine
from trivet.rotation import rotations as rotations_module
from trivet.rotation.change import Change, Kind, Step
from trivet.rotation.cluster import Cluster
from trivet.rotation.engine import Planner
from trivet.rotation.rotations import Rotations
from trivet.run.events import Replanned, Reported, RunBegan, StepBegan, StepEnded
from trivet.run.report import ReportWriter
from trivet.run.stop import StopRequest

RESIZE = change_of(Kind.RESIZE)
BEFORE_TOUCHING = [Step.HAND_OVER, Step.DRAIN, Step.GATEWAY]
AFTER_TOUCHING = [Step.STOP, Step.RESIZE, Step.START, Step.GATE]


@pytest.fixture(autouse=True)
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(engine, "SETTLE_SECONDS", -1.0)
    monkeypatch.setattr(engine, "LOOK_SECONDS", 0.0)
    # As in life, no two runs have one process: their journals would have one name.
    numbers = itertools.count()
    monkeypatch.setattr(rotations_module, "run_owner", lambda: f"operator@laptop:{next(numbers)}")


def rotations(world: World, events: list[Any] | None = None, handle: Handle | None = None, **given: Any) -> Rotations:
    listener = (events if events is not None else []).append
    return Rotations(environment(), listener, connect=handle or Handle(world), **given)


def reported(verbs: Rotations, events: list[Any]) -> None:
    with ReportWriter(environment().label, events.append) as writer:
        verbs.bound(writer, StopRequest()).apply(RESIZE)


def journal(world: World, node: str = NAMES[0]) -> list[dict[str, Any]]:
    copies = world.machines[node].journals
    return copies[max(copies)] if copies else []


def all_steps(*names: str, change: Change = RESIZE) -> list[tuple[str, str]]:
    return [(name, step.value) for name in names for step in change.steps]


def test_one_node_after_the_other_and_the_writer_last() -> None:
    world, events = World(), []
    report = rotations(world, events).apply(RESIZE)
    assert world.steps == all_steps("node-2", "node-3", "node-1")
    assert [(time.node, time.step) for time in report.times] == world.steps
    assert world.least_serving == 2
    assert (world.recorded, world.lease) == ("12", None)
    kinds = ["plan", "snapshot", *["begin", "end"] * 27, "snapshot", "done"]
    for name in NAMES:
        assert [line["kind"] for line in journal(world, name)] == kinds
        assert [line["seq"] for line in journal(world, name)] == list(range(1, len(kinds) + 1))
    assert report.lines == journal(world)
    assert [type(event) for event in events] == [RunBegan, *[StepBegan, StepEnded] * 27]


def test_a_change_first_completes_the_nodes_copies_of_earlier_ones() -> None:
    world = World()
    rotations(world).apply(RESIZE)
    whole = journal(world)
    world.machines["node-2"].journals.clear()
    del journal(world, "node-3")[-1]
    rotations(world).apply(change_of(Kind.RESTART))
    for name in NAMES:
        earlier, own = sorted(world.machines[name].journals.items())
        assert earlier[1] == whole
        assert own[1] == journal(world)


@pytest.mark.parametrize("failing", [None, Step.START])
def test_every_change_leaves_its_report(failing: Step | None) -> None:
    world, events = World(), []
    if failing:
        world.fails["node-3", failing] = ChangeHalted("in vain")
        with pytest.raises(ChangeHalted):
            reported(rotations(world), events)
    else:
        reported(rotations(world), events)
    told = next(event for event in events if isinstance(event, Reported))
    shown = json.loads(Path(told.json).read_text())
    assert shown["change"]["outcome"] == ("halted" if failing else "done")
    assert shown["ok"] is (failing is None)
    assert "<html" in Path(told.html).read_text()


def test_this_machine_keeps_the_same_journal_as_the_nodes() -> None:
    world = World()
    report = rotations(world).apply(RESIZE)
    assert [json.loads(line) for line in report.journal.read_text().splitlines()] == journal(world)


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_of_change_goes_through_the_same_engine(kind: Kind) -> None:
    world, change = World(), change_of(kind)
    rotations(world).apply(change)
    assert sorted(world.steps) == sorted(all_steps(*change.nodes, change=change))
    assert world.least_serving == 2
    assert rotations(world).history()[0]["state"] == "done"


@pytest.mark.parametrize("step", BEFORE_TOUCHING)
def test_a_failure_before_the_node_is_touched_undoes_its_drain(step: Step) -> None:
    world = World(fails={("node-3", step): RemoteError("node-3: no answer", "trivet status test")})
    with pytest.raises(ChangeHalted) as raised:
        rotations(world).apply(RESIZE)
    assert "node-3: no answer (the drain was undone, nothing was changed" in raised.value.message
    assert raised.value.next_command == "trivet status test"
    assert world.machines["node-3"].serves
    assert [line["kind"] for line in journal(world)][-4:] == ["begin", "failed", "drain undone", "halted"]
    assert (world.recorded, world.lease) == ("6", None)


@pytest.mark.parametrize("step", AFTER_TOUCHING)
def test_a_failure_after_the_node_was_touched_leaves_it_drained(step: Step) -> None:
    world = World(fails={("node-2", step): ChangeHalted("waited in vain")})
    with pytest.raises(ChangeHalted, match=r"waited in vain.*the node stays drained"):
        rotations(world).apply(RESIZE)
    assert {entry[0] for entry in world.steps} == {"node-2"}, "no second node is touched"
    assert world.machines["node-2"].drained
    assert [line["kind"] for line in journal(world)][-4:] == ["begin", "failed", "left drained", "halted"]
    assert rotations(world).status()["state"] == "halted"


@pytest.mark.parametrize("step", list(RESIZE.steps))
@pytest.mark.parametrize("verb", ["resume", "rollback", "abort"])
def test_every_failed_step_can_be_continued_taken_back_or_ended(step: Step, verb: str) -> None:
    world = World(fails={("node-3", step): RemoteError("no answer")})
    with pytest.raises(ChangeHalted):
        rotations(world).apply(RESIZE)
    getattr(rotations(world), verb)()
    sizes = [machine.size for machine in world.machines.values()]
    expected = {
        "resume": ["12", "12", "12"],
        "rollback": ["6", "6", "6"],
        "abort": ["6", "12", "12" if step in (Step.START, Step.GATE, Step.UNDRAIN, Step.SOAK) else "6"],
    }
    assert sizes == expected[verb]
    assert all(machine.serves and machine.configured_for == machine.size for machine in world.machines.values())
    assert world.allocation == "all"
    assert world.homes == {name: name for name in NAMES}
    assert world.least_serving == 2
    states = [item["state"] for item in rotations(world).history()]
    assert states == {"resume": ["done"], "rollback": ["done", "rolled back"], "abort": ["aborted"]}[verb]
    assert world.recorded == {"resume": "12", "rollback": "6", "abort": "6"}[verb]


def test_a_second_change_waits_until_the_first_is_over() -> None:
    world = World(fails={("node-2", Step.DRAIN): RemoteError("no answer")})
    with pytest.raises(ChangeHalted):
        rotations(world).apply(RESIZE)
    before = list(world.acts)
    with pytest.raises(InputError, match=r"resize to size 12 by .* is not over") as raised:
        rotations(world).apply(change_of(Kind.PATCH))
    assert raised.value.next_command is not None
    assert "trivet rotation status test" in raised.value.next_command
    assert world.acts == before


@pytest.mark.parametrize("kind", [Kind.RESTART, Kind.PATCH, Kind.REPLACE])
def test_what_cannot_be_taken_back_is_refused_with_its_reason(kind: Kind) -> None:
    world = World(fails={("node-1", Step.START): RemoteError("no answer")})
    with pytest.raises(ChangeHalted):
        rotations(world).apply(change_of(kind))
    with pytest.raises(InputError, match=f"a {kind} cannot be rolled back: "):
        rotations(world).rollback()
    rotations(world).resume()
    assert all(machine.serves for machine in world.machines.values())


@pytest.mark.parametrize("verb", ["resume", "abort", "rollback", "request_stop"])
def test_without_a_broken_off_change_there_is_nothing_to_go_on_with(verb: str) -> None:
    world = World()
    rotations(world).apply(change_of(Kind.RESTART))
    with pytest.raises(InputError, match="no change that was broken off"):
        getattr(rotations(world), verb)()


def test_a_node_is_not_stopped_while_another_does_not_serve() -> None:
    def lose(world: World) -> None:
        world.machines["node-1"].powered = False

    world = World(writer="node-3", then={("node-2", Step.GATEWAY): lose})
    with pytest.raises(ChangeHalted, match="node-2 stays as it is, since another node does not serve: node-1"):
        rotations(world).apply(Change(Kind.RESIZE, ("node-2",), size="12", size_before="6"))
    assert world.machines["node-2"].serves
    assert ("node-2", Step.STOP.value) not in world.steps


def test_a_machine_is_not_removed_while_another_node_does_not_serve() -> None:
    def lose(world: World) -> None:
        world.machines["node-1"].powered = False

    world = World(writer="node-3", then={("node-2", Step.STOP): lose})
    with pytest.raises(ChangeHalted, match="node-2 stays as it is, since another node does not serve: node-1"):
        rotations(world).apply(Change(Kind.REPLACE, ("node-2",)))
    assert ("node-2", Step.REPLACE.value) not in world.steps


def test_a_provider_that_cannot_keep_the_address_replaces_nothing() -> None:
    aws = dataclasses.replace(environment(), variables={"trivet_provider": "aws"})
    with pytest.raises(InputError, match="another address"):
        engine.check_input(cast("Cluster", SimpleNamespace(environment=aws)), Change(Kind.REPLACE, ("node-2",)))


def test_the_next_node_waits_for_a_fresh_verdict() -> None:
    world = World(then={("node-2", Step.SOAK): lambda world: setattr(world.machines["node-3"], "broken", True)})
    with pytest.raises(ChangeHalted, match="no longer healthy: node-3: web: does not answer"):
        rotations(world).apply(RESIZE)
    assert world.steps == all_steps("node-2")
    assert world.recorded == "6"
    world.machines["node-3"].broken = False
    rotations(world).resume()
    assert world.steps == all_steps("node-2", "node-3", "node-1"), "what was finished is not done again"


def test_roles_that_moved_meanwhile_are_planned_anew_and_said() -> None:
    events: list[Any] = []
    world = World(then={("node-2", Step.SOAK): lambda world: setattr(world, "writer", "node-3")})
    rotations(world, events).apply(RESIZE)
    assert list(dict.fromkeys(name for name, _ in world.steps)) == ["node-2", "node-1", "node-3"]
    told = [event.reason for event in events if isinstance(event, Replanned)]
    assert told == ["node-1 goes before node-3, which now holds the database writer"]
    assert [line["reason"] for line in journal(world) if line["kind"] == "replanned"] == told


def test_what_differs_from_the_plan_that_was_agreed_to_is_said_first() -> None:
    world, events = World(), []
    shown = rotations(world).plan(RESIZE)
    world.writer = "node-2"
    rotations(world, events).apply(RESIZE, shown)
    first = [event for event in events if isinstance(event, Replanned)]
    assert first[0].reason == "the order is now node-1, node-3, node-2 and was node-2, node-3, node-1"
    assert events.index(first[0]) < next(n for n, event in enumerate(events) if isinstance(event, StepBegan))


@pytest.mark.parametrize("shown", [True, False])
def test_a_command_opens_the_cluster_once_plans_once_and_checks_under_the_lease(
    shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, opened, planned = World(), [], []
    handle = Handle(world)
    plan = Planner.plan

    def connect(described: Any) -> Handle:
        opened.append(described.name)
        return handle(described)

    def counted(self: Any, change: Change, recent: bool = False) -> Any:
        planned.append(world.lease is not None)
        return plan(self, change, recent)

    monkeypatch.setattr(Planner, "plan", counted)
    with Rotations(environment(), connect=connect) as verbs:
        agreed = verbs.plan(RESIZE) if shown else None
        verbs.bound(lambda event: None, StopRequest()).apply(RESIZE, agreed)
    assert opened == ["test"]
    assert planned == [False, True]


def test_an_operator_stops_it_before_a_node_is_touched() -> None:
    stop = StopRequest()
    world = World(then={("node-2", Step.DRAIN): lambda world: setattr(stop, "by", "SIGINT")})
    with pytest.raises(ChangeStopped, match=r"stopped by SIGINT \(the drain was undone") as raised:
        rotations(world, stop=stop).apply(RESIZE)
    assert raised.value.next_command == "trivet rotation resume test"
    assert all(machine.serves for machine in world.machines.values())
    rotations(world).resume()
    assert {machine.size for machine in world.machines.values()} == {"12"}


def test_a_touched_node_is_finished_before_the_run_stops() -> None:
    stop = StopRequest()
    world = World(then={("node-2", Step.STOP): lambda world: setattr(stop, "by", "SIGTERM")})
    with pytest.raises(ChangeStopped, match="stopped by SIGTERM"):
        rotations(world, stop=stop).apply(RESIZE)
    assert world.steps == all_steps("node-2")
    assert all(machine.serves for machine in world.machines.values())


def test_asked_twice_it_stops_after_the_step_that_runs() -> None:
    stop = StopRequest()

    def twice(world: World) -> None:
        stop.by, stop.at_once = "SIGINT", True

    world = World(then={("node-2", Step.STOP): twice})
    with pytest.raises(ChangeStopped, match="the node stays drained"):
        rotations(world, stop=stop).apply(RESIZE)
    assert world.steps[-1] == ("node-2", Step.STOP.value)
    rotations(world).abort()
    assert all(machine.serves for machine in world.machines.values())


def test_another_operator_asks_a_run_to_stop_by_its_journal() -> None:
    world = World(then={("node-2", Step.HAND_OVER): lambda world: rotations(world).request_stop() and None})
    with pytest.raises(ChangeStopped, match="stopped by "):
        rotations(world).apply(RESIZE)
    assert all(machine.serves for machine in world.machines.values())
    rotations(world).resume()
    assert {machine.size for machine in world.machines.values()} == {"12"}


def test_without_a_majority_for_the_journal_nothing_is_taken_away() -> None:
    def lose(world: World) -> None:
        for name in ("node-1", "node-3"):
            world.machines[name].powered = False

    world = World(then={("node-2", Step.HAND_OVER): lose})
    with pytest.raises(ChangeHalted):
        rotations(world).apply(RESIZE)
    assert ("node-2", Step.STOP.value) not in world.steps


def test_a_node_comes_back_even_when_the_others_are_lost_meanwhile() -> None:
    def lose(world: World) -> None:
        for name in ("node-1", "node-3"):
            world.machines[name].powered = False

    world = World(then={("node-2", Step.RESIZE): lose})
    with pytest.raises(ChangeHalted, match="does not stay healthy"):
        rotations(world).apply(RESIZE)
    assert world.machines["node-2"].serves


def test_a_living_run_keeps_others_out() -> None:
    world = World(lease=("somebody@else:7", "a backup"), lease_alive=True)
    for verb in (lambda: rotations(world).apply(RESIZE),):
        with pytest.raises(LeaseHeld, match="somebody@else:7 for a backup"):
            verb()
    assert world.steps == []


def test_a_run_that_lost_its_lease_takes_no_drain_back_when_a_step_fails() -> None:
    """Whoever has the lease by now may be stopping that very node."""

    def fail_and_lose(_world: World) -> None:
        handle.lose_lease()
        raise RemoteError("no answer")

    world = World(then={("node-2", Step.DRAIN): fail_and_lose})
    handle = Handle(world)
    with pytest.raises(ChangeHalted, match="the drain could not be undone"):
        rotations(world, handle=handle).apply(RESIZE)
    assert world.machines["node-2"].drained


def test_a_lost_lease_ends_the_run_before_the_next_step_and_leaves_the_nodes_journals_alone() -> None:
    world = World()
    handle = Handle(world)
    world.then["node-2", Step.DRAIN] = lambda world: handle.lose_lease()
    with pytest.raises(LeaseHeld):
        rotations(world, handle=handle).apply(RESIZE)
    assert ("node-2", Step.GATEWAY.value) not in world.steps
    assert journal(world)[-1] == {**journal(world)[-1], "kind": "end", "step": "drain"}


@pytest.mark.parametrize(
    ("world", "words"),
    [
        (World(machines={**World().machines, "node-2": World().machines["node-2"].__class__(broken=True)}), "healthy"),
        (World(strangers=("trivet_environment is 'new' in the inventory and 'test' on node-1",)), "trivet_environment"),
        (World(session_mib=4000), "MiB of memory"),
        (World(kept={"node-1": ("shop from node-2: in a transaction",)}), "would cut shop from node-2: in a trans"),
    ],
)
def test_a_refused_change_touches_nothing(world: World, words: str) -> None:
    plan = rotations(world).plan(RESIZE)
    assert words in plan.refusals[0].reason
    with pytest.raises(InputError, match=words):
        rotations(world).apply(RESIZE)
    assert world.acts == []


@pytest.mark.parametrize(
    ("change", "count", "words"),
    [
        (Change(Kind.RESIZE, NAMES, size="13"), 3, "size '13' is not in the table"),
        (RESIZE, 1, "a rotation needs three"),
        (Change(Kind.RESTART, ("node-9",)), 3, "no node 'node-9'"),
        (Change(Kind.PATCH, ("node-1", "node-1")), 3, "node-1 is named twice"),
        (Change(Kind.PATCH, ("web-1",)), 3, "web-1 is a web node"),
    ],
)
def test_bad_input_is_refused_before_a_node_is_asked(change: Change, count: int, words: str) -> None:
    world = World()
    described = dataclasses.replace(environment(count), web_nodes=(Node("web-1", 11, "192.0.2.41"),))
    with pytest.raises(InputError, match=words):
        Rotations(described, connect=Handle(world)).apply(change)
    assert world.acts == []


def test_a_wish_to_stop_before_the_begin_leaves_no_journal() -> None:
    world = World()
    with pytest.raises(ChangeStopped, match="before anything was touched"):
        rotations(world, stop=StopRequest(by="SIGINT")).apply(RESIZE)
    assert (world.acts, rotations(world).history()) == ([], [])


def test_an_aborted_rollback_ends_the_change_that_it_was_to_take_back_too() -> None:
    world = World(fails={("node-3", Step.START): RemoteError("no answer")})
    with pytest.raises(ChangeHalted):
        rotations(world).apply(RESIZE)
    world.fails[("node-3", Step.START)] = RemoteError("no answer")
    with pytest.raises(ChangeHalted):
        rotations(world).rollback()
    rotations(world).abort()
    assert [item["state"] for item in rotations(world).history()] == ["aborted", "aborted"]


def test_a_rollback_gives_the_size_back_that_the_machines_had_whatever_the_inventory_says() -> None:
    world = World()
    rotations(world).apply(RESIZE)
    # The inventory says 6 as before: with some providers it is the operator who writes the new size down.
    larger = Change(Kind.RESIZE, NAMES, size="24", size_before="6")
    assert "trivet_size 6: a rollback gives size 12 back" in rotations(world).plan(larger).warnings[0]
    world.fails[("node-3", Step.START)] = RemoteError("no answer")
    with pytest.raises(ChangeHalted):
        rotations(world).apply(larger)
    rotations(world).rollback()
    assert {machine.size for machine in world.machines.values()} == {"12"}


def test_machines_of_the_size_that_the_inventory_says_are_no_warning() -> None:
    assert rotations(World()).plan(RESIZE).warnings == ()


def test_a_machine_that_the_provider_does_not_know_is_refused() -> None:
    world = World(refused_checks="node-2 is not an instance of lab x")
    with pytest.raises(RemoteError, match="not an instance"):
        rotations(world).apply(RESIZE)
    assert world.acts == []


def test_a_node_whose_machine_could_not_be_made_again_is_not_touched() -> None:
    world = World(refused_new="quota exceeded")
    with pytest.raises(RemoteError, match="quota exceeded"):
        rotations(world).apply(change_of(Kind.REPLACE))
    assert world.acts == []
    rotations(world).apply(change_of(Kind.RESTART))


def test_the_next_plan_expects_what_the_last_change_took() -> None:
    world = World()
    assert rotations(world).plan(RESIZE).seconds is None
    rotations(world).apply(RESIZE)
    world.recorded = "12"
    plan = rotations(world).plan(change_of(Kind.RESIZE))
    assert plan.seconds is not None
    assert set(plan.expected) == {step.value for step in RESIZE.steps}
    assert rotations(world).plan(change_of(Kind.PATCH)).seconds is None


def test_a_killed_run_is_told_apart_from_a_living_one() -> None:
    world = World()
    with pytest.raises(Killed):
        rotations(world, handle=Handle(world, kill_at=40)).apply(RESIZE)
    status = rotations(world).status()
    assert status["state"] == "running"
    assert (status["current"], status["remaining"]) == ("node-2", list(NAMES))
    assert not world.lease_alive


def scaling_journal(world: World, *, kind: str = "scale-out", over: bool = False) -> None:
    """The journal of a change of web nodes, left on the nodes after its first step was begun."""
    change = {
        "kind": kind,
        "nodes": ["shop-web-1", "shop-web-2"],
        "summary": f"{kind} of shop-web-1, shop-web-2",
        "command": f"trivet {kind} test --web 2",
    }
    joined = {"node": "shop-web-1, shop-web-2", "nodes": change["nodes"], "step": "create"}
    lines: list[dict[str, Any]] = [
        {"seq": 1, "at": 1.0, "kind": "plan", "owner": "operator@laptop:0", "plan": {"change": change}},
        {"seq": 2, "at": 2.0, "kind": "begin", **joined},
    ]
    lines.append({"seq": 3, "at": 3.0, "kind": "done" if over else "halted", "error": "no answer"})
    for machine in world.machines.values():
        machine.journals[f"30000101-000000-{kind}"] = [dict(line) for line in lines]


@pytest.mark.parametrize("verb", ["resume", "rollback", "abort"])
@pytest.mark.parametrize("kind", ["scale-out", "scale-in"])
def test_a_change_of_web_nodes_goes_on_with_its_own_command_only(verb: str, kind: str) -> None:
    world = World()
    scaling_journal(world, kind=kind)
    with pytest.raises(InputError, match=f"the {kind} of shop-web-1, shop-web-2 is not over") as raised:
        getattr(rotations(world), verb)()
    assert raised.value.next_command == f"trivet {kind} test --web 2"
    assert (world.steps, world.lease) == ([], None)


@pytest.mark.parametrize("over", [False, True])
def test_status_and_history_tell_of_web_nodes_too(over: bool) -> None:
    world = World()
    scaling_journal(world, over=over)
    status = rotations(world).status()
    where = {name: status[name] for name in ("state", "finished", "current", "step", "remaining")}
    nodes = ["shop-web-1", "shop-web-2"]
    assert where == (
        {"state": "done", "finished": nodes, "current": None, "step": None, "remaining": []}
        if over
        else {
            "state": "halted",
            "finished": [],
            "current": "shop-web-1, shop-web-2",
            "step": "create",
            "remaining": nodes,
        }
    )
    assert [item["change"]["kind"] for item in rotations(world).history()] == ["scale-out"]


def test_a_halted_change_of_web_nodes_neither_hides_nor_refuses_a_rolling_one() -> None:
    world = World()
    scaling_journal(world)
    world.fails[("node-2", Step.START)] = RemoteError("no answer")
    with pytest.raises(ChangeHalted):
        rotations(world).apply(RESIZE)
    assert rotations(world).status()["change"]["kind"] == "resize"
    rotations(world).resume()
    assert world.recorded == "12"
    assert rotations(world).status()["change"]["kind"] == "scale-out"


def test_the_change_that_runs_is_the_one_that_is_asked_to_stop() -> None:
    world = World()
    scaling_journal(world)
    world.then[("node-2", Step.HAND_OVER)] = lambda world: rotations(world).request_stop() and None
    with pytest.raises(ChangeStopped):
        rotations(world).apply(RESIZE)
    assert "stop requested" in [line["kind"] for line in rotations(world).status()["lines"]]
