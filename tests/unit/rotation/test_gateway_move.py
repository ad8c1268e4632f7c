# SPDX-License-Identifier: GPL-3.0-or-later
"""Moving gateway addresses: who is asked what, in which order, and what a run that was broken off has left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.environments import NAMES, environment
from trivet.errors import ChangeHalted, RemoteError
from trivet.model import Environment, Node
from trivet.remote.result import RemoteResult
from trivet.services.gateway import turn as gateway_move
from trivet.services.gateway.turn import ANNOUNCED_SECONDS, CONNECTIONS_SECONDS, GatewayMove


class Ring:
    """Three nodes whose agents do what they are told about one address, and what they were told.

    :param refuses: words of a question that fails.
    """

    def __init__(self, held: str, forwards: Iterable[str] = (), refuses: str = "") -> None:
        self.environment: Environment = environment()
        self.address = self.environment.gateways[1]
        self.held = held
        self.forwards = set(forwards)
        self.releases: set[str] = set()
        self.refuses = refuses
        self.told: list[str] = []
        self.asked: list[tuple[str, ...]] = []
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
            releases = {self.address: {}} if node.name in self.releases else {}
            return {
                "held": [self.address] if node.name == self.held else [],
                "forwards": forwards,
                "releases": releases,
            }
        verb = words[1]
        self.told.append(f"{node.name} {verb}")
        self.asked.append(words)
        if self.told[-1] == self.refuses:
            raise RemoteError(f"{node.name} refuses")
        if verb == "forward":
            self.forwards.add(node.name)
        elif verb in ("clear", "end"):
            self.forwards.discard(node.name)
        elif verb == "take":
            self.held = node.name
        return {"connections": 0}


class Later:
    """What is done in a thread, at the moment when its result is asked for."""

    def __init__(self, act: Callable[[], None]) -> None:
        self.result = act


@pytest.fixture
def moving(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes the move of a ring, whose clock stands unless somebody waits; what is for later is done when asked for."""

    def made(ring: Ring) -> GatewayMove:
        monkeypatch.setattr(gateway_move, "time", ring)
        monkeypatch.setattr(GatewayMove, "_later", staticmethod(Later))
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


def test_an_address_comes_home_from_wherever_it_is_and_nobody_forwards_it(moving: Any) -> None:
    ring = Ring(held=NAMES[2], forwards=[NAMES[0]])
    moving(ring).come_home(ring.environment.nodes[1])
    assert ring.held == NAMES[1]
    assert ring.forwards == set()


def test_what_a_killed_run_has_left_is_found_though_the_address_is_home(moving: Any) -> None:
    ring = Ring(held=NAMES[1], forwards=[NAMES[2]])
    ring.releases = {NAMES[0]}
    moving(ring).come_home(ring.environment.nodes[1])
    assert ring.told == [f"{NAMES[0]} allow", f"{NAMES[2]} end"]
    assert ring.now == 1000.0, "it was moved long ago"


def test_a_forward_ends_by_itself_while_its_runner_waits_for_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway_move, "ANNOUNCED_SECONDS", 0.05)
    ring = Ring(held=NAMES[1])
    move = GatewayMove(ring, "us", lambda _words: None)  # type: ignore[arg-type]
    move.move(ring.address, *ring.environment.nodes[1:])
    assert ring.forwards == {NAMES[1]}
    deadline = time.monotonic() + 5
    while ring.forwards and time.monotonic() < deadline:
        time.sleep(0.01)
    assert ring.forwards == set()
    move.settle(ring.environment.nodes[1])


def test_two_addresses_of_a_node_end_each_by_itself(moving: Any) -> None:
    ring = Ring(held=NAMES[1])
    first, second = ring.environment.gateways[1], ring.environment.gateways[0]
    move = moving(ring)
    for address in (first, second):
        move.move(address, *ring.environment.nodes[1:])
    ring.asked.clear()
    move.settle(ring.environment.nodes[1])
    assert ring.asked == [("gateway", "end", word) for word in (first, second, "all")]


def test_a_forward_that_does_not_end_is_an_error_of_whoever_relies_on_it(moving: Any) -> None:
    ring = Ring(held=NAMES[1], refuses=f"{NAMES[1]} end")
    move = moving(ring)
    move.move(ring.address, *ring.environment.nodes[1:])
    with pytest.raises(RemoteError, match="refuses"):
        move.settle(ring.environment.nodes[1])


def test_an_address_that_no_node_holds_is_not_moved(moving: Any) -> None:
    ring = Ring(held="")
    with pytest.raises(ChangeHalted, match="is held by no node"):
        moving(ring).come_home(ring.environment.nodes[1])
    assert ring.told == []


@pytest.mark.parametrize("step", ["forward", "connections"])
def test_an_address_that_cannot_go_yet_stays_and_its_connections_with_it(step: str, moving: Any) -> None:
    ring = Ring(held=NAMES[1], refuses=f"{NAMES[1]} {step}")
    with pytest.raises(ChangeHalted, match=f"stays on {NAMES[1]}"):
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
    with pytest.raises(ChangeHalted, match=f"did not come to {NAMES[2]}"):
        moving(ring).move(ring.address, *ring.environment.nodes[1:])
    assert ring.told[-2:] == [f"{NAMES[1]} allow", f"{NAMES[0]} allow"]


def test_the_runner_waits_longer_than_an_idle_connection_stays_open() -> None:
    defaults = Path(__file__).resolve().parents[3] / "roles/haproxy/defaults/main.yml"
    assert yaml.safe_load(defaults.read_text())["haproxy_keep_alive_timeout_seconds"] < CONNECTIONS_SECONDS
