# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs that are begun anew when they were broken off: what their journals say, and that nobody waits for them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, cast

import pytest

from tests.unit.run.agents import Agents
from trivet.agent.journal import KEPT_JOURNALS, OPEN_STATES
from trivet.agent.lease import VoteFile
from trivet.errors import InputError, LeaseHeld
from trivet.remote import Nodes
from trivet.run.copies import NodeJournals
from trivet.run.journal import Journal, changes
from trivet.run.lease import Lease, run_owner
from trivet.run.recorded import recorded
from trivet.run.runs import BROKEN_OFF, UNKNOWN, RunSummary, list_runs, read_run

LABEL = "test"
RESIZE = {"kind": "resize", "summary": "resize to size 12", "nodes": ["node-1", "node-2", "node-3"]}


class Killed(BaseException):
    """The runner got signal 9: nothing of it runs any more."""


@pytest.fixture
def agents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Agents:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return Agents(tmp_path, monkeypatch)


def nodes_of(agents: Agents) -> Nodes:
    return cast("Nodes", agents)


def newest(agents: Agents) -> RunSummary:
    return list_runs(nodes_of(agents), 20)[0]


def kill(agents: Agents, kind: str, monkeypatch: pytest.MonkeyPatch, leased: bool = True) -> None:
    """Begin a run and let its runner die: no line follows, and the votes stay until they expire."""
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "write", _dying(Journal.write))
        patch.setattr(Lease, "_give_back", lambda self: None)
        with pytest.raises(Killed), recorded(nodes_of(agents), kind, kind, leased=leased):
            raise Killed


def _dying(write: Any) -> Any:
    def dies(self: Journal, kind: str, **values: Any) -> None:
        if kind == "plan":
            write(self, kind, **values)

    return dies


def expire(tmp_path: Path) -> None:
    """The lease of a dead runner is over."""
    for name in ("node-1", "node-2", "node-3"):
        VoteFile(tmp_path / name / "lease.json").release(run_owner())


def test_a_run_is_written_down_with_who_what_for_seconds_and_result(agents: Agents) -> None:
    with recorded(nodes_of(agents), "converge", "converge") as run:
        seen = newest(agents)
        assert (seen.state, seen.kind, seen.owner) == ("running", "converge", run_owner())
        run.result = {"changed": 3}
    seen = newest(agents)
    assert (seen.state, seen.what, seen.result, seen.error) == ("done", "converge", {"changed": 3}, None)
    assert seen.began and time.time() - seen.began < 60 and seen.seconds is not None
    for name, lines in NodeJournals(nodes_of(agents)).read(seen.id).items():
        assert [line["kind"] for line in lines] == ["plan", "done"], name


@pytest.mark.parametrize("raised", [True, False])
def test_a_run_that_failed_says_why(agents: Agents, *, raised: bool) -> None:
    if raised:
        with pytest.raises(InputError), recorded(nodes_of(agents), "recover", "recover redis"):
            raise InputError("node-3 is paused")
    else:
        with recorded(nodes_of(agents), "recover", "recover redis") as run:
            run.failure = "node-3 is paused"
    assert (newest(agents).state, newest(agents).error) == ("failed", "node-3 is paused")


def test_who_is_refused_the_lease_writes_nothing(agents: Agents, tmp_path: Path) -> None:
    for name in ("node-1", "node-2"):
        VoteFile(tmp_path / name / "lease.json").acquire("bob@desk:1", "resize to size 12", 60.0)
    with pytest.raises(LeaseHeld, match=r"test is locked by bob@desk:1 since .* UTC \(resize to size 12\)"):
        recorded(nodes_of(agents), "clean", "clean").__enter__()
    assert list_runs(nodes_of(agents), 20) == ()


def test_a_first_converge_is_known_here_until_the_nodes_have_agents(agents: Agents) -> None:
    agents.silent = {"node-1", "node-2", "node-3"}
    with recorded(nodes_of(agents), "converge", "converge", leased=False):
        assert newest(agents).state == "running"
        agents.silent = set()
    run = newest(agents)
    assert run.state == "done"
    for lines in NodeJournals(nodes_of(agents)).read(run.id).values():
        assert [line["kind"] for line in lines] == ["plan", "done"]


@pytest.mark.parametrize("leased", [True, False])
def test_a_killed_converge_is_broken_off_once_its_lease_is_gone_and_refuses_no_change(
    agents: Agents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, leased: bool
) -> None:
    kill(agents, "converge", monkeypatch, leased)
    assert newest(agents).state == "running", "its lease, or without one its process, is there"
    expire(tmp_path)
    if not leased:
        monkeypatch.setattr("trivet.run.runs._runs_here", lambda process: False)
    assert newest(agents).state == BROKEN_OFF
    open_changes = [
        item for item in changes(NodeJournals(nodes_of(agents)).summaries()) if item["state"] in OPEN_STATES
    ]
    assert open_changes == []
    with recorded(nodes_of(agents), "converge", "converge"):
        pass
    assert [run.state for run in list_runs(nodes_of(agents), 20)] == ["done", BROKEN_OFF]


def test_without_a_majority_that_says_who_has_the_lease_nothing_is_known(
    agents: Agents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill(agents, "converge", monkeypatch)
    expire(tmp_path)
    agents.silent = {"node-1", "node-2"}
    assert newest(agents).state == UNKNOWN


def test_a_hundred_converges_push_out_neither_a_rotation_that_is_not_over_nor_one_that_is(agents: Agents) -> None:
    copies = NodeJournals(nodes_of(agents))
    begun = {}
    for state in ("done", "halted"):
        journal = Journal.begin(LABEL, "alice@laptop:1", copies)
        journal.write("plan", owner="alice@laptop:1", plan={"environment": "test", "change": RESIZE})
        journal.write(state, error="in vain")
        begun[journal.id] = state
    for _ in range(100):
        with recorded(nodes_of(agents), "converge", "converge", leased=False):
            pass
    for known in copies.summaries().values():
        found = {item["id"]: item for item in known}
        assert len(found) == KEPT_JOURNALS + 2
        assert {name: found[name]["state"] for name in begun} == begun


def test_one_run_is_shown_with_its_lines_and_another_is_no_run(agents: Agents) -> None:
    with recorded(nodes_of(agents), "clean", "clean") as run:
        run.result = {"flags": []}
    details = read_run(nodes_of(agents), run.journal)
    assert [line["kind"] for line in details.lines] == ["plan", "done"]
    assert details.to_dict()["state"] == "done"
    with pytest.raises(InputError, match="has no run 20200101-000000-nobody") as raised:
        read_run(nodes_of(agents), "20200101-000000-nobody")
    assert raised.value.next_command == "trivet runs test"


def test_a_limit_shows_the_newest(agents: Agents) -> None:
    ids = []
    for _ in range(3):
        with recorded(nodes_of(agents), "clean", "clean") as run:
            ids.append(run.journal)
    assert [run.id for run in list_runs(nodes_of(agents), 2)] == ids[:0:-1]
