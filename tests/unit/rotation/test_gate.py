# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the gate waits: long for what is busy, short for what is broken, also on the node that is drained."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from tests.unit.environments import NAMES, environment
from tests.unit.rotation.simulation import change_of
from trivet.errors import ChangeHalted, RemoteError
from trivet.health.findings import Finding, State
from trivet.rotation import steps as steps_module
from trivet.rotation.change import Kind
from trivet.rotation.steps import BROKEN_SECONDS, GATE_SECONDS, NodeSteps
from trivet.rotation.turn import DRAIN_EXPIRES_SECONDS
from trivet.verdict.assess import Verdict

NODE = "node-2"
DRAINED = Finding("web", NODE, State.BUSY, "drained by us", by_drain=True)
BROKEN_THERE = Finding("web", NODE, State.BUSY, "does not answer (drained by us)", softened=True)
BUSY_THERE = Finding("search", NODE, State.BUSY, "is recovering shards")


class Clock:
    """Time passes only while somebody waits."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class FakeNodes:
    """Agents that do all they are told, and when they were told to keep the drain."""

    def __init__(self, clock: Clock, warm: RemoteError | None = None) -> None:
        self.clock = clock
        self.warm = warm
        self.drained_at: list[float] = []
        self.searched: list[str] = []

    def agent(self, _node: object, *words: str, timeout: float = 30) -> dict[str, Any]:
        if words[0] == "drain":
            self.drained_at.append(self.clock.now)
        if words[0] == "search":
            self.searched.append(words[1])
        if words[:2] == ("search", "warm"):
            if self.warm:
                raise self.warm
            return {"searches": 8, "first_ms": 120.0, "last_ms": 15.0}
        return {}


def gate(
    monkeypatch: pytest.MonkeyPatch,
    *findings: Finding,
    well_after: float = 10**9,
    looks: list[bool] | None = None,
    warm: RemoteError | None = None,
    told: list[str] | None = None,
) -> tuple[float, FakeNodes]:
    """Pass the gate while these are found; the seconds that it took.

    :param looks: is given, of each look, whether every node was asked everything.
    :param warm: why the search engine does not answer its first searches.
    :param told: is given the lines of progress.
    """
    clock = Clock()
    nodes = FakeNodes(clock, warm)
    began = clock.now
    monkeypatch.setattr(steps_module, "time", clock)
    monkeypatch.setattr(steps_module, "provider_for", lambda *_args: None)

    def look(_self: object, heal_from: object = None) -> Verdict:
        if looks is not None:
            looks.append(heal_from is None)
        left = findings if clock.now - began < well_after else ()
        return Verdict("test", NAMES, (), (DRAINED, *left))

    monkeypatch.setattr(NodeSteps, "_look", look)
    described = environment()
    tell = [].append if told is None else told.append
    taken = NodeSteps(described, nodes, None, described.node(NODE), change_of(Kind.RESIZE), "us", tell)  # type: ignore[arg-type]
    try:
        taken.gate()
    finally:
        nodes.clock = clock
    return clock.now - began, nodes


def test_the_own_drain_alone_does_not_keep_the_node_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert gate(monkeypatch)[0] == 0.0


@pytest.mark.parametrize(
    ("finding", "seconds"), [(BROKEN_THERE, BROKEN_SECONDS), (BUSY_THERE, GATE_SECONDS)], ids=["broken", "busy"]
)
def test_what_is_broken_on_the_drained_node_is_waited_for_less_than_what_is_busy(
    finding: Finding, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed, _ = gate(monkeypatch, finding, well_after=seconds - 5)
    assert passed == pytest.approx(seconds - 5, abs=5)
    with pytest.raises(ChangeHalted, match=f"{seconds:.0f} s") as raised:
        gate(monkeypatch, finding)
    assert finding.reason in raised.value.message


def test_what_lets_the_node_in_was_seen_from_all_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[bool] = []
    gate(monkeypatch, looks=looks)
    assert looks == [True]
    looks.clear()
    gate(monkeypatch, BUSY_THERE, well_after=7.0, looks=looks)
    assert looks == [True, False, False, False, False, True]


def test_a_long_gate_keeps_the_drain_from_expiring(monkeypatch: pytest.MonkeyPatch) -> None:
    passed, nodes = gate(monkeypatch, BUSY_THERE, well_after=GATE_SECONDS - 10)
    looked = [1000.0, *nodes.drained_at, 1000.0 + passed]
    assert max(later - earlier for earlier, later in pairwise(looked)) < DRAIN_EXPIRES_SECONDS / 10


def test_the_engine_searches_before_customers_can_reach_its_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    _, nodes = gate(monkeypatch)
    assert nodes.searched == ["warm", "allocation"]


def test_an_engine_that_does_not_search_is_told_and_judged_by_the_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    _, nodes = gate(monkeypatch, warm=RemoteError("no copy here"), told=told)
    assert nodes.searched == ["warm", "allocation"]
    assert told == ["the first searches will be slow: no copy here"]
