# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of a deploy that fails: undone, or left alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.unit.deploy.test_deploy_plan import PLAN
from tests.unit.deploy.test_deploy_run import Lines, World
from tests.unit.environments import environment
from trivet.deploy import deploys
from trivet.deploy.deploys import Deploys
from trivet.errors import ChangeHalted, LeaseHeld


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """The nodes, which every ``Steps`` is about."""
    made = World(hold=True)
    monkeypatch.setattr(deploys, "Steps", lambda *_arguments: made)
    return made


def failed(error: BaseException, *, held: bool, beyond_return: bool) -> Lines:
    journal = Lines()
    run = SimpleNamespace(held=held, beyond_return=beyond_return)
    made = Deploys(environment())
    made._failed(cast(Any, None), cast(Any, journal), PLAN, cast(Any, run), error)
    return journal


def test_what_no_customer_has_seen_is_undone(world: World) -> None:
    journal = failed(ChangeHalted("the deploy hook failed"), held=True, beyond_return=False)
    assert world.done == ["release", "discard", "work"]
    assert journal.lines[-1] == {"kind": "run failed", "error": "the deploy hook failed", "by": journal.lines[-1]["by"]}


@pytest.mark.parametrize(
    ("error", "beyond_return"),
    [(LeaseHeld("the lease is another one's"), False), (ChangeHalted("nginx refuses"), True)],
)
def test_without_the_lease_and_after_the_record_nothing_is_undone(
    world: World, error: Exception, beyond_return: bool
) -> None:
    journal = failed(error, held=True, beyond_return=beyond_return)
    assert world.done == []
    assert journal.lines[-1]["kind"] == "halted"
