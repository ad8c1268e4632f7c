# SPDX-License-Identifier: GPL-3.0-or-later
"""What is left of a deploy that was broken off, and whether it may be undone."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from trivet.deploy.plan import (
    DEPLOY,
    DEPLOY_STEPS,
    ROLLBACK,
    ROLLBACK_STEPS,
    Data,
    DeployPlan,
    Standing,
    Step,
    left_behind,
    other_change,
)

PLAN = DeployPlan(
    kind=DEPLOY,
    environment="production",
    label="production",
    application="shop",
    release="shop-0123456789ab",
    instance="shop-0123456789ab-01234567",
    before="shop-0123456789aa-01234567",
    nodes=("node-1", "node-2", "node-3"),
    hook_node="node-1",
    hold="auto",
    commit="c0ffee",
)

REACHED = st.tuples(st.sampled_from(DEPLOY_STEPS), st.booleans()).filter(
    lambda reached: reached[1] or reached[0] not in (Step.HOLD, Step.RELEASE)
)
"""A step, and whether requests were to wait: without that two steps are never begun."""


def lines_until(step: Step, held: bool, *, ended: bool) -> list[dict[str, Any]]:
    """A journal whose runner died in a step, or just after it."""
    lines: list[dict[str, Any]] = [{"kind": "plan"}]
    for each in DEPLOY_STEPS:
        if each in (Step.HOLD, Step.RELEASE) and not held:
            continue
        lines.append({"kind": "begin", "step": each.value})
        if each is step and not ended:
            break
        if each is Step.ASK:
            lines.append({"kind": "decided", "hold": held})
        lines.append({"kind": "end", "step": each.value, "seconds": 1.0})
        if each is step:
            break
    return lines


def test_a_plan_survives_its_journal() -> None:
    assert DeployPlan.from_dict(PLAN.to_dict()) == PLAN


@given(REACHED, st.booleans())
def test_whoever_goes_on_does_every_step_that_is_left(reached: tuple[Step, bool], ended: bool) -> None:
    step, held = reached
    standing = Standing.of(lines_until(step, held, ended=ended))
    left = standing.remaining(DEPLOY_STEPS)
    assert set(DEPLOY_STEPS) - standing.ended <= set(left) | {Step.HOLD, Step.RELEASE}
    # Requests that were let go when the runner died wait again before the schema or the switch is touched.
    if held and DEPLOY_STEPS.index(Step.HOLD) < DEPLOY_STEPS.index(step) < DEPLOY_STEPS.index(Step.RELEASE):
        assert left[0] is Step.HOLD
    assert left.count(Step.HOLD) <= 1


@given(REACHED, st.booleans())
def test_it_may_be_undone_until_a_node_may_have_taken_it(reached: tuple[Step, bool], ended: bool) -> None:
    step, held = reached
    standing = Standing.of(lines_until(step, held, ended=ended))
    assert standing.may_be_undone == (DEPLOY_STEPS.index(step) < DEPLOY_STEPS.index(Step.RECORD))


def test_a_rollback_asks_nothing_and_runs_no_hook() -> None:
    assert not {Step.HOOK, Step.ASK, Step.HOLD, Step.POST_DEPLOY, Step.SHIP} & set(ROLLBACK_STEPS)
    assert {Step.WARM, Step.RECORD, Step.SWITCH} < set(ROLLBACK_STEPS)
    assert tuple(step for step in DEPLOY_STEPS if step in ROLLBACK_STEPS) == ROLLBACK_STEPS


def test_another_change_that_is_not_over_refuses() -> None:
    done = {"state": "done", "change": {"summary": "restart"}, "owner": "anna"}
    halted = {"state": "halted", "change": {"summary": "resize to size 12", "kind": "resize"}, "owner": "anna"}
    assert other_change("production", [done]) == ()
    (refusal,) = other_change("production", [halted, done])
    assert "resize to size 12 by anna is not over" in refusal.reason
    assert refusal.next_command == "trivet rotation status production"
    deploy = {"state": "running", "change": PLAN.to_dict()["change"], "owner": "anna"}
    assert other_change("production", [deploy])[0].next_command == "trivet deploy production --resume"


def test_kinds_of_change_are_told_apart() -> None:
    assert {DEPLOY, ROLLBACK} == {"deploy", "rollback"}
    assert PLAN.purpose == "deploy of shop-0123456789ab"


def test_a_release_that_would_not_find_its_data_is_refused() -> None:
    serving = Data("shop", frozenset({"shop", "shop_extra"}), frozenset({"/srv/shared/files/var"}))
    more = Data("shop", serving.databases | {"shop_more"}, serving.mounts | {"/srv/shared/media"})
    assert left_behind("production", serving, serving) == left_behind("production", serving, more) == ()
    (refusal,) = left_behind("production", serving, Data("store", frozenset({"store"}), serving.mounts))
    assert "application shop is called store now" in refusal.reason
    assert refusal.reason.endswith("database shop, database shop_extra")
    (refusal,) = left_behind("production", serving, Data("shop", serving.databases, frozenset({"/srv/shared/other"})))
    assert "names have changed" in refusal.reason and "folder /srv/shared/files/var" in refusal.reason
    assert refusal.next_command == "give back the name, or: trivet deploy production DIR --leave-data"
