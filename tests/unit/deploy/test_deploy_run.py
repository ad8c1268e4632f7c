# SPDX-License-Identifier: GPL-3.0-or-later
"""A runner is killed in any step of a deploy, any number of times: who goes on comes to the same end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.deploy.test_deploy_plan import PLAN
from tests.unit.environments import environment
from trivet.deploy.deploys import _Run, _Work
from trivet.deploy.plan import DEPLOY_STEPS, Standing, Step
from trivet.deploy.steps import Steps
from trivet.errors import ChangeHalted, ChangeStopped
from trivet.run.events import unheard
from trivet.run.journal import Journal
from trivet.run.lease import HeldLease
from trivet.run.steps import ChangeUnderWay
from trivet.run.stop import StopRequest


class Killed(BaseException):
    """kill -9: nothing of the program runs after it."""


class World:
    """What the nodes have, as the steps change it."""

    def __init__(self, hold: bool) -> None:
        self.asks_for_hold = hold
        self.held = False
        self.crons = True
        self.prepared = False
        self.hooked_while_held: list[bool] = []
        self.serving = PLAN.before
        self.recorded = PLAN.before
        self.served_while_held: list[bool] = []
        self.done: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *_args, **_options: self._do(name)

    def hook(self, _instance: str, hook: str, _node: str) -> float:
        """The deploy hook changes the schema, the other does not."""
        if hook == "deploy":
            self.hooked_while_held.append(self.held)
        self._do(f"{hook} hook")
        return 0.1

    def _do(self, name: str) -> Any:
        self.done.append(name)
        if name == "prepare":
            self.prepared = True
        elif name == "ask":
            return self.asks_for_hold, "so it is"
        elif name == "hold":
            self.held = True
            return 0
        elif name == "release":
            self.held = False
        elif name == "rest":
            self.crons = False
        elif name == "work":
            self.crons = True
        elif name == "record":
            self.recorded = PLAN.instance
        elif name == "switch":
            self.served_while_held.append(self.held)
            self.serving = PLAN.instance
        return None

    @property
    def lost(self) -> dict[str, str]:
        return {}

    def expire(self) -> None:
        """The agents end a hold that nobody renews."""
        self.held = False


class Lines:
    """A journal in memory; writing the line of a step may be the last thing that its runner does."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = [{"kind": "plan"}]
        self.stop_requested_by = None
        self.killed_at: tuple[str, str] | None = None

    def write(self, kind: str, *, majority: bool = False, **values: Any) -> None:
        self.lines.append({"kind": kind, **values})
        if self.killed_at == (kind, values.get("step")):
            self.killed_at = None
            raise Killed


class Held:
    def check(self) -> None:
        """It is ours."""


def run(world: World, journal: Lines, stop: StopRequest | None = None) -> _Run:
    """One runner: begins, or goes on from the journal."""
    under_way = ChangeUnderWay(cast(HeldLease, Held()), cast(Journal, journal), unheard, stop or StopRequest())
    standing = Standing.of(journal.lines)
    fake = cast(Steps, world)
    made = _Run(
        environment(), PLAN, _Work(composed=cast(Any, Composed()), release=cast(Any, Composed())), under_way, fake
    )
    made.held = standing.held
    made.through(standing.remaining(DEPLOY_STEPS))
    return made


class Composed:
    """Stands for what was composed and built."""

    instance = name = archive = sha256 = ""
    accounts = ()


MOMENTS = st.lists(
    st.tuples(st.sampled_from(["begin", "end"]), st.sampled_from([step.value for step in Step])), max_size=5
)


@given(st.booleans(), MOMENTS)
def test_every_killed_runner_s_work_is_gone_on_with(hold: bool, moments: list[tuple[str, str]]) -> None:
    world, journal = World(hold), Lines()
    for moment in moments:
        journal.killed_at = moment
        try:
            run(world, journal)
        except Killed:
            world.expire()
            continue
        break
    journal.killed_at = None
    run(world, journal)
    assert (world.serving, world.recorded) == (PLAN.instance, PLAN.instance)
    assert world.crons and not world.held
    if hold:
        assert all(world.hooked_while_held), "the schema was changed while requests came"
        assert world.served_while_held[-1], "the release was switched while requests came"
    else:
        assert "hold" not in world.done


@pytest.mark.parametrize("step", [step for step in Step if step not in (Step.SWITCH, Step.RELEASE)])
def test_a_wish_to_stop_is_heeded_before_every_step_but_the_switch(step: Step) -> None:
    world, journal, stop = World(hold=True), Lines(), StopRequest()
    original = journal.write

    def write(kind: str, **values: Any) -> None:
        original(kind, **values)
        before = DEPLOY_STEPS.index(step) - 1
        if kind == "end" and before >= 0 and values["step"] == DEPLOY_STEPS[before]:
            stop.by = "SIGINT"

    journal.write = write  # type: ignore[method-assign]
    if step is DEPLOY_STEPS[0]:
        stop.by = "SIGINT"
    with pytest.raises(ChangeStopped, match=f"before {step}"):
        run(world, journal, stop)


def test_a_failed_post_deploy_hook_is_told_and_the_release_is_live() -> None:
    class Failing(World):
        def _do(self, name: str) -> Any:
            if name == "post_deploy hook":
                raise ChangeHalted("the post_deploy hook failed with status code 3")
            return super()._do(name)

    world, journal = Failing(hold=False), Lines()
    made = run(world, journal)
    assert made.problem is not None and "status code 3" in made.problem.message
    assert world.serving == PLAN.instance and world.crons


def test_requests_that_do_not_end_take_the_deploy_back_before_the_hook() -> None:
    class Slow(World):
        def _do(self, name: str) -> Any:
            return 3 if name == "hold" else super()._do(name)

    world = Slow(hold=True)
    with pytest.raises(ChangeHalted, match="3 requests were still in flight"):
        run(world, Lines())
    assert "deploy hook" not in world.done and world.serving == PLAN.before
