# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 of the runner at every act of every step, then resume, rollback or abort: the same end as without it.

An act is anything that changes the cluster or one node's copy of the journal. Each is tried twice: killed just before
and just after its effect. Whoever goes on may be at another machine, which has no copy of the journal.
"""

from __future__ import annotations

import functools
import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.unit.environments import NAMES, environment
from tests.unit.rotation.simulation import Handle, Killed, World, change_of
from trivet.errors import ChangeHalted, InputError, RemoteError
from trivet.rotation import engine
from trivet.rotation import rotations as rotations_module
from trivet.rotation.change import Change, Kind, Step
from trivet.rotation.rotations import Rotations


@pytest.fixture(autouse=True)
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(engine, "SETTLE_SECONDS", -1.0)
    monkeypatch.setattr(engine, "LOOK_SECONDS", 0.0)
    # Reports have tests of their own (test_rotations.py); thousands of them would only cost time here.
    # As in life, no two runs have one process: their journals would have one name.
    numbers = itertools.count()
    monkeypatch.setattr(rotations_module, "run_owner", lambda: f"operator@laptop:{next(numbers)}")


@functools.cache
def acts_of(kind: Kind) -> int:
    """How many acts an undisturbed change has."""
    handle = Handle(World())
    Rotations(environment(), connect=handle).apply(change_of(kind))
    return handle.count


@functools.cache
def undisturbed(kind: Kind) -> dict[str, Any]:
    world = World()
    Rotations(environment(), connect=Handle(world)).apply(change_of(kind))
    return world.shape()


def begin(world: World, change: Change, kill_at: int, after: bool) -> None:
    with pytest.raises(Killed):
        Rotations(environment(), connect=Handle(world, kill_at, after)).apply(change)
    assert world.least_serving >= 2


def finish(world: World, verb: str, change: Change) -> None:
    """Do a verb until it is done; a change of which no line reached a node never began, and is made anew."""
    rotations = Rotations(environment(), connect=Handle(world))
    try:
        getattr(rotations, verb)()
    except InputError as error:
        assert "no change that was broken off" in error.message
        world.lease = None  # It expires: nobody renews it.
        if verb == "resume" and world.shape() != undisturbed(change.kind):
            rotations.apply(change)


def check_healthy(world: World) -> None:
    assert all(machine.serves and machine.configured_for == machine.size for machine in world.machines.values())
    assert world.allocation == "all"
    assert world.homes == {name: name for name in NAMES}
    assert world.least_serving >= 2
    assert not world.lease_alive, "only a dead run leaves its lease, which expires"
    states = [item["state"] for item in Rotations(environment(), connect=Handle(world)).history()]
    assert not {"running", "halted"} & set(states)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("kind", list(Kind))
def test_resumed_after_a_kill_at_every_act_it_ends_like_an_undisturbed_run(kind: Kind, after: bool) -> None:
    for kill_at in range(1, acts_of(kind) + 1):
        world = World()
        begin(world, change_of(kind), kill_at, after)
        finish(world, "resume", change_of(kind))
        check_healthy(world)
        assert world.shape() == undisturbed(kind), f"killed at act {kill_at}: {world.acts[kill_at - 1 : kill_at]}"


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_rolled_back_after_a_kill_at_every_act_nothing_has_changed(after: bool) -> None:
    for kill_at in range(1, acts_of(Kind.RESIZE) + 1):
        world = World()
        begin(world, change_of(Kind.RESIZE), kill_at, after)
        finish(world, "rollback", change_of(Kind.RESIZE))
        check_healthy(world)
        done = [line for copy in world.machines["node-1"].journals.values() for line in copy if line["kind"] == "done"]
        sizes = {machine.size for machine in world.machines.values()}
        assert sizes == {"6"} or (sizes == {"12"} and len(done) == 1), f"killed at act {kill_at}"


def halted_at(step: Step) -> World:
    """A resize that halted at its second node."""
    world = World(fails={("node-3", step): RemoteError("no answer")})
    with pytest.raises(ChangeHalted):
        Rotations(environment(), connect=Handle(world)).apply(change_of(Kind.RESIZE))
    return world


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", [Step.DRAIN, Step.STOP, Step.RESIZE, Step.START, Step.GATE, Step.UNDRAIN, Step.SOAK])
def test_a_rollback_that_is_killed_at_any_act_goes_on_to_the_former_size(step: Step, after: bool) -> None:
    handle = Handle(halted_at(step))
    Rotations(environment(), connect=handle).rollback()
    for kill_at in range(1, handle.count + 1):
        world = halted_at(step)
        with pytest.raises(Killed):
            Rotations(environment(), connect=Handle(world, kill_at, after)).rollback()
        begun = any(len(machine.journals) > 1 for machine in world.machines.values())
        rotations = Rotations(environment(), connect=Handle(world))
        try:
            rotations.resume() if begun else rotations.rollback()
        except InputError as error:
            assert "no change that was broken off" in error.message
            world.lease = None  # It expires: nobody renews it.
        check_healthy(world)
        assert {machine.size for machine in world.machines.values()} == {"6"}, f"killed at act {kill_at}"


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_aborted_after_a_kill_at_every_act_every_node_serves_at_some_size(after: bool) -> None:
    for kill_at in range(1, acts_of(Kind.RESIZE) + 1):
        world = World()
        begin(world, change_of(Kind.RESIZE), kill_at, after)
        finish(world, "abort", change_of(Kind.RESIZE))
        check_healthy(world)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(list(Kind)),
    kills=st.lists(st.tuples(st.integers(1, 150), st.booleans(), st.booleans()), min_size=1, max_size=5),
)
# The last line of a change on one node only, and that node is the first that the next change replaces.
@example(kind=Kind.REPLACE, kills=[(2, False, False), (80, False, False), (1, False, False), (2, False, False)])
def test_resumed_after_many_kills_from_any_machine_it_ends_the_same(
    kind: Kind, kills: list[tuple[int, bool, bool]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World()
    change = change_of(kind)
    verb = "apply"
    for number, (kill_at, after, elsewhere) in enumerate(kills):
        if elsewhere:
            monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / f"machine-{number}"))
        rotations = Rotations(environment(), connect=Handle(world, kill_at, after))
        try:
            rotations.apply(change) if verb == "apply" else rotations.resume()
        except Killed:
            verb = "resume"
        except InputError:
            # No line reached a node. The lease of the dead run expires, and the change is made anew.
            verb, world.lease = "apply", None
        assert world.least_serving >= 2
    if world.shape() != undisturbed(kind) or Rotations(environment(), connect=Handle(world)).status().get("state") in (
        "running",
        "halted",
    ):
        finish(world, "resume", change)
    check_healthy(world)
    assert world.shape() == undisturbed(kind)
