# SPDX-License-Identifier: GPL-3.0-or-later
"""The lease as a runner holds it: lost at once when another has it, kept through a short outage."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, cast

import pytest

from tests.unit.environments import environment
from trivet.errors import LeaseHeld, RemoteError
from trivet.health.facts import LeaseMode
from trivet.model import Node
from trivet.remote import Nodes
from trivet.run import lease as lease_module
from trivet.run.lease import Lease

OWN, OTHER = "operator@laptop:1", "operator@desk:2"


class Votes:
    """Three nodes' votes, by owner; None of a node that does not answer."""

    def __init__(self) -> None:
        self.environment = environment()
        self.owners: dict[str, str | None] = dict.fromkeys(("node-1", "node-2", "node-3"), OWN)
        self.renewals = 0
        self.asked: list[tuple[str, ...]] = []

    def agent(self, node: Node, *words: str, timeout: float) -> dict[str, Any]:
        self.asked.append(words)
        owner = self.owners[node.name]
        if owner is None:
            raise RemoteError(f"{node.name} does not answer")
        if words[1] == "acquire":
            self.renewals += 1
            if owner != OWN:
                raise RemoteError(f"the lease is held by {owner}")
            return {}
        return {"lease": {"owner": owner, "purpose": "resize", "since_text": "12:00", "expires": time.time() + 90}}

    def run(self, *_words: object, **_options: object) -> None:
        return None


@pytest.fixture
def votes(monkeypatch: pytest.MonkeyPatch) -> Votes:
    monkeypatch.setattr(lease_module, "RENEW_SECONDS", 0.01)
    return Votes()


def wait_until(done: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def lost(lease: Lease) -> bool:
    try:
        lease.check()
    except LeaseHeld:
        return True
    return False


def test_a_lease_that_another_has_by_now_is_lost_at_once(votes: Votes) -> None:
    with Lease(cast("Nodes", votes), OWN, "resize") as lease:
        assert not lost(lease)
        votes.owners = dict.fromkeys(votes.owners, OTHER)
        assert wait_until(lambda: lost(lease))
        with pytest.raises(LeaseHeld, match=OTHER):
            lease.check()


def test_a_lease_outlives_a_short_outage(votes: Votes) -> None:
    with Lease(cast("Nodes", votes), OWN, "resize") as lease:
        votes.owners = dict.fromkeys(votes.owners)
        time.sleep(0.2)
        assert not lost(lease)
        votes.owners = dict.fromkeys(votes.owners, OWN)
        renewals = votes.renewals
        assert wait_until(lambda: votes.renewals > renewals)
        assert not lost(lease)


def test_it_is_lost_when_it_could_not_be_renewed_until_others_may_have_it(
    votes: Votes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Lease(cast("Nodes", votes), OWN, "resize") as lease:
        votes.owners = dict.fromkeys(votes.owners)
        later = lease_module._now() + lease_module.LEASE_SECONDS
        monkeypatch.setattr(lease_module, "_now", lambda: later)
        assert lost(lease)


def test_who_is_refused_reads_who_has_it_since_when_what_for_and_where_to_look(votes: Votes) -> None:
    votes.owners = dict.fromkeys(votes.owners, OTHER)
    with pytest.raises(LeaseHeld) as raised, Lease(cast("Nodes", votes), OWN, "backup"):
        pass
    assert raised.value.message == f"test is locked by {OTHER} since 12:00 UTC (resize)"
    assert raised.value.next_command == "wait, or see: trivet runs test"


def test_nodes_that_do_not_answer_are_told_when_nobody_has_the_lease(votes: Votes) -> None:
    votes.owners = dict.fromkeys(votes.owners)
    with pytest.raises(LeaseHeld, match="no majority of the nodes of test gave its vote: node-1 does not answer"):
        Lease(cast("Nodes", votes), OWN, "backup").__enter__()


@pytest.mark.parametrize(("mode", "said"), [(LeaseMode.HANDS_OFF, ()), (LeaseMode.NO_CHANGE, ("--mode", "no-change"))])
def test_an_agent_is_told_the_mode_only_where_an_older_one_would_keep_others_off_anyway(
    votes: Votes, mode: LeaseMode, said: tuple[str, ...]
) -> None:
    with Lease(cast("Nodes", votes), OWN, "backup", mode=mode):
        assert votes.asked[-1][8:] == said


def test_the_lease_of_a_dead_run_of_this_machine_is_taken_over_at_once(
    votes: Votes, monkeypatch: pytest.MonkeyPatch
) -> None:
    votes.owners = dict.fromkeys(votes.owners, OTHER)
    told: list[str] = []

    def run(node: Node, command: list[str], **_options: object) -> None:
        if command[1:3] == ["lease", "release"] and command[-1] == votes.owners[node.name]:
            votes.owners[node.name] = OWN

    monkeypatch.setattr(votes, "run", run)
    monkeypatch.setattr(lease_module, "died_here", lambda owner, since: owner == OTHER)
    with Lease(cast("Nodes", votes), OWN, "deploy", patience=True, at_once=True, tell=told.append) as lease:
        assert not lost(lease)
    assert told == [f"took the lease over from {OTHER}, whose run on this machine is dead"]
