# SPDX-License-Identifier: GPL-3.0-or-later
"""Moving gateway addresses: the commands with the kernel, nftables and keepalived replaced by a small model."""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trivet.services.gateway import command as gateway

FIRST, SECOND = "203.0.113.11", "203.0.113.12"
CONFIG: dict[str, Any] = {
    "id": 1,
    "name": "n1",
    "address": "10.0.0.1",
    "interface": "eth0",
    "gateways": [FIRST, SECOND, "203.0.113.13"],
    "nodes": [{"name": f"n{n}", "id": n, "address": f"10.0.0.{n}"} for n in (1, 2, 3)],
}


class Node:
    """Addresses, rules and nftables transactions of a pretended node."""

    def __init__(self, releases: Path) -> None:
        self.releases = releases
        self.addresses = {FIRST}
        self.rules: dict[int, list[str]] = {0: [], 32766: [], 32767: []}
        self.tables: set[str] = set()
        self.transactions: list[str] = []
        self.connections = 0

    def execute(self, *words: str, stdin: str | None = None, missing_ok: bool = False) -> str:
        match words:
            case ("ip", "-json", "-4", "address", *_):
                held = [a for a in self.addresses if not self.released(a)]
                return json.dumps([{"addr_info": [{"local": a} for a in ["10.0.0.1", *held]]}])
            case ("ip", "-json", "-4", "rule", "show"):
                return json.dumps([{"priority": priority} for priority in self.rules])
            case ("ip", "-4", "rule", "add", "priority", priority, *selector):
                self.rules[int(priority)] = selector
            case ("ip", "-4", "rule", "delete", "priority", priority, *_):
                del self.rules[int(priority)]
            case ("ip", "-4", "route", "replace", *_, table):
                self.tables.add(table)
            case ("ip", "-4", "route", "flush", "table", table):
                assert missing_ok
                self.tables.discard(table)
            case ("nft", "-f", "-"):
                self.transactions.append(stdin or "")
            case ("ss", *_):
                return "line\n" * self.connections
            case _:
                raise AssertionError(words)
        return ""

    def released(self, address: str) -> bool:
        file = self.releases / f"{CONFIG['gateways'].index(address) + 1}.release"
        return file.exists() and file.read_text(encoding="ascii") == "1\n"


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    model = Node(tmp_path)
    monkeypatch.setattr(gateway, "DIRECTORY", tmp_path)
    monkeypatch.setattr(gateway, "execute", model.execute)
    monkeypatch.setattr(gateway, "check_kernel", lambda: None)
    monkeypatch.setattr(gateway, "check_listens", lambda _address: None)
    yield model


def run(*words: str) -> dict[str, Any]:
    parser = argparse.ArgumentParser()
    gateway.add_commands(parser.add_subparsers(required=True))
    args = parser.parse_args(["gateway", *words])
    answer: dict[str, Any] = args.run(args, CONFIG)
    return answer


def test_forward_puts_the_rule_of_local_behind_its_own(node: Node) -> None:
    answer = run("forward", FIRST, "10.0.0.2", "--owner", "rotation", "--expires", "60")
    assert (answer["next"], answer["owner"], answer["retained"]) == ("10.0.0.2", "rotation", False)
    assert answer["expires"] - answer["since"] == pytest.approx(60)
    assert node.rules[11] == ["fwmark", "0x7e1", "to", f"{FIRST}/32", "lookup", "2018"]
    assert 0 not in node.rules and node.rules[100] == ["lookup", "local"]


def test_forward_twice_is_the_same_as_once(node: Node) -> None:
    run("forward", FIRST, "10.0.0.2")
    rules = dict(node.rules)
    run("forward", FIRST, "10.0.0.2")
    assert node.rules == rules
    assert node.transactions[0] == node.transactions[1]


@pytest.mark.parametrize(
    ("address", "next_address", "message"),
    [
        ("203.0.113.99", "10.0.0.2", "not a gateway address"),
        (FIRST, "10.0.0.1", "not the address of another node"),
        (FIRST, "10.0.0.9", "not the address of another node"),
    ],
)
def test_forward_refuses_what_is_not_of_the_environment(
    node: Node, address: str, next_address: str, message: str
) -> None:
    with pytest.raises(gateway.GatewayError, match=message):
        run("forward", address, next_address)
    assert not node.transactions and 100 not in node.rules


def test_forward_does_not_change_the_next_holder_of_flows_on_their_way(node: Node) -> None:
    run("forward", FIRST, "10.0.0.2")
    with pytest.raises(gateway.GatewayError, match="already"):
        run("forward", FIRST, "10.0.0.3")
    assert run("held")["forwards"][FIRST]["next"] == "10.0.0.2"


def test_clear_of_the_last_forward_restores_everything(node: Node) -> None:
    before = dict(node.rules)
    run("forward", FIRST, "10.0.0.2")
    run("forward", SECOND, "10.0.0.3")
    assert run("clear", FIRST)["cleared"] == [FIRST]
    assert set(node.rules) == {12, 100, 32766, 32767}
    assert "delete set inet trivet_handover flows_1" in node.transactions[-1]
    run("clear", SECOND)
    assert set(node.rules) == set(before) and not node.tables
    assert node.transactions[-1].splitlines()[-1] == "delete table inet trivet_handover"
    assert not (node.releases / "handover.json").exists()


def test_clear_all_works_without_any_record(node: Node) -> None:
    node.rules[100], node.rules[12] = ["lookup", "local"], ["leftover"]
    del node.rules[0]
    assert run("clear", "all")["cleared"] == []
    assert set(node.rules) == {0, 32766, 32767}


def test_retained_forward_lets_new_connections_stay(node: Node) -> None:
    run("forward", FIRST, "10.0.0.2")
    assert run("retain", FIRST)["retained"]
    assert "== syn delete @flows_1" in node.transactions[-1]
    assert "meta mark set 0x7e1 notrack" in node.transactions[-1]


def test_release_leaves_and_allow_makes_eligible(node: Node) -> None:
    assert run("release", FIRST)["was_held"]
    assert run("held")["held"] == []
    assert not run("release", SECOND)["was_held"]
    run("allow", "all")
    assert run("held") == {"held": [FIRST], "forwards": {}, "releases": {}}


def test_take_waits_for_the_address(node: Node) -> None:
    assert run("take", FIRST)["address"] == FIRST
    with pytest.raises(gateway.GatewayError, match="did not come here"):
        run("take", SECOND, "--timeout", "0")


def test_release_says_when_the_address_stays(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, "released", lambda _address: False)
    with pytest.raises(gateway.GatewayError, match="still on eth0"):
        run("release", FIRST, "--timeout", "0")


def test_connections_are_counted(node: Node) -> None:
    node.connections = 3
    assert run("connections", FIRST)["connections"] == 3
    node.connections = 0
    assert run("connections", FIRST, "--wait", "5")["connections"] == 0


def test_a_forward_left_behind_is_retained_then_cleared(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    run("forward", FIRST, "10.0.0.2", "--expires", "-1")
    assert "new connections stay here" in gateway.end_forward(FIRST, CONFIG)
    first = gateway.read_state()["forwards"][FIRST]
    assert first["retained"] and first["expires"] > time.time() + 60
    gateway.end_forward(FIRST, CONFIG)
    assert gateway.read_state()["forwards"][FIRST] == first, "a retained forward gets no more time"
    state = gateway.read_state()
    state["forwards"][FIRST]["expires"] = 0
    gateway.write_state(state)
    assert gateway.end_forward(FIRST, CONFIG) == "forward removed"
    assert gateway.end_forward(FIRST, CONFIG) == "was gone already"
    assert not (gateway.DIRECTORY / "handover.json").exists()


def test_a_forward_of_an_address_that_has_moved_is_cleared_at_once(node: Node) -> None:
    run("forward", FIRST, "10.0.0.2")
    node.addresses.clear()
    assert gateway.end_forward(FIRST, CONFIG) == "forward removed"


def test_all_forwards_are_ended_each_in_its_way(node: Node) -> None:
    run("forward", FIRST, "10.0.0.2")
    run("forward", SECOND, "10.0.0.2")
    ended = run("end", "all")["ended"]
    assert ended[SECOND] == "forward removed"
    assert ended[FIRST].startswith("new connections stay here")
    assert run("end", SECOND)["ended"] == {}


def test_nft_accepts_the_ruleset() -> None:
    forwards = {
        address: {"number": number, "next": "10.0.0.2", "retained": number == 2}
        for number, address in enumerate((FIRST, SECOND), start=1)
    }
    for text in (gateway.ruleset(forwards), gateway.ruleset(forwards, (3,)), gateway.ruleset({})):
        result = subprocess.run(["nft", "-c", "-f", "-"], input=text, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
