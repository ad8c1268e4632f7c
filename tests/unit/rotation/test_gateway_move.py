# SPDX-License-Identifier: GPL-3.0-or-later
"""Moving gateway addresses: who is asked what, in which order, and what a run that was broken off has left."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from simulation import NAMES, environment

from trivet.errors import RemoteError, RotationHalted
from trivet.model import Environment, Node
from trivet.remote.result import RemoteResult
from trivet.rotation import gateway_move
from trivet.rotation.gateway_move import ANNOUNCED_SECONDS, GatewayMove


class Ring:
    """Three nodes whose agents do what they are told about one address, and what they were told.

    :param refuses: words of a question that fails.
    """

    def __init__(self, held: str, forwards: Iterable[str] = (), refuses: str = "") -> None:
        self.environment: Environment = environment()
        self.address = self.environment.gateways[1]
        self.held = held
        self.forwards = set(forwards)
        self.refuses = refuses
        self.told: list[str] = []
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    @contextmanager
    def sessions(self, _nodes: object, *_commands: str) -> Iterator[None]:
        yield

    def run(self, node: Node, command: list[str], timeout: float = 30.0) -> RemoteResult:
        self.told.append(f"{node.name} {' '.join(command)}")
        return RemoteResult(node.name, 0, "", "")

    def agents(self, nodes: Iterable[Node], *words: str) -> dict[str, dict[str, Any]]:
        return {node.name: self.agent(node, *words) for node in nodes}

    def agent(self, node: Node, *words: str, timeout: float = 30.0) -> dict[str, Any]:
        if words[:2] == ("gateway", "held"):
            forwards = {self.address: {}} if node.name in self.forwards else {}
            return {"held": [self.address] if node.name == self.held else [], "forwards": forwards, "releases": {}}
        verb = words[1]
        self.told.append(f"{node.name} {verb}")
        if self.told[-1] == self.refuses:
            raise RemoteError(f"{node.name} refuses")
        if verb == "forward":
            self.forwards.add(node.name)
        elif verb == "clear":
            self.forwards.discard(node.name)
        elif verb == "take":
            self.held = node.name
        return {"connections": 0}


@pytest.fixture
def moving(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes the move of a ring, whose clock stands unless somebody waits."""

    def made(ring: Ring) -> GatewayMove:
        monkeypatch.setattr(gateway_move, "time", ring)
        return GatewayMove(ring, "us", lambda _words: None)  # type: ignore[arg-type]

    return made


def test_an_address_goes_only_when_nobody_is_cut_off_and_everybody_may_take_it_afterwards(moving: Any) -> None:
    ring = Ring(held=NAMES[1])
    old, new, other = ring.environment.nodes[1], ring.environment.nodes[2], ring.environment.nodes[0]
    move = moving(ring)
    move.move(ring.address, old, new)
    assert ring.told == [
        f"{new.name} allow",
        f"{old.name} forward",
        f"{old.name} systemctl reload haproxy",
        f"{old.name} connections",
        f"{other.name} release",
        f"{old.name} release",
        f"{new.name} take",
        f"{old.name} allow",
        f"{other.name} allow",
    ]
    assert ring.forwards == {old.name}, "who has not learnt of the new holder yet is still forwarded"
    assert ring.now == 1000.0
    move.settle(old)
    assert ring.now == 1000.0 + ANNOUNCED_SECONDS
    assert ring.forwards == set()


def test_nobody_waits_for_what_has_passed_meanwhile(moving: Any) -> None:
    ring = Ring(held=NAMES[1])
    move = moving(ring)
    move.move(ring.address, *ring.environment.nodes[1:])
    ring.now += 10 * ANNOUNCED_SECONDS
    move.settle(ring.environment.nodes[1])
    assert ring.now == 1000.0 + 10 * ANNOUNCED_SECONDS


def test_an_address_comes_home_from_wherever_it_is(moving: Any) -> None:
    ring = Ring(held=NAMES[2])
    home = ring.environment.nodes[1]
    assert [node.name for node in moving(ring).come_home(home)] == [NAMES[2]]
    assert ring.held == home.name


def test_the_forward_that_a_killed_run_has_left_is_found_though_the_address_is_home(moving: Any) -> None:
    ring = Ring(held=NAMES[1], forwards=[NAMES[2]])
    move = moving(ring)
    left = move.come_home(ring.environment.nodes[1])
    assert [node.name for node in left] == [NAMES[2]]
    assert ring.told == []
    move.settle(left[0])
    assert ring.now == 1000.0 + ANNOUNCED_SECONDS, "nobody knows when it was moved"
    assert ring.forwards == set()


def test_an_address_that_no_node_holds_is_not_moved(moving: Any) -> None:
    ring = Ring(held="")
    with pytest.raises(RotationHalted, match="is held by no node"):
        moving(ring).come_home(ring.environment.nodes[1])
    assert ring.told == []


@pytest.mark.parametrize("step", ["forward", "connections"])
def test_an_address_that_cannot_go_yet_stays_and_its_connections_with_it(step: str, moving: Any) -> None:
    ring = Ring(held=NAMES[1], refuses=f"{NAMES[1]} {step}")
    with pytest.raises(RotationHalted, match=f"stays on {NAMES[1]}"):
        moving(ring).move(ring.address, *ring.environment.nodes[1:])
    assert ring.held == NAMES[1]
    assert ring.told[-5:] == [
        f"{NAMES[0]} allow",
        f"{NAMES[1]} retain",
        f"{NAMES[2]} systemctl reload haproxy",
        f"{NAMES[2]} connections",
        f"{NAMES[1]} clear",
    ]


def test_everybody_may_take_an_address_that_did_not_arrive(moving: Any) -> None:
    ring = Ring(held=NAMES[1], refuses=f"{NAMES[2]} take")
    with pytest.raises(RotationHalted, match=f"did not come to {NAMES[2]}"):
        moving(ring).move(ring.address, *ring.environment.nodes[1:])
    assert ring.told[-2:] == [f"{NAMES[1]} allow", f"{NAMES[0]} allow"]
