# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes stop hearing each other, or hear badly. Clients on the lab's machine reach every node all the time.

What containers on one bridge send each other is seen by nftables of family ``bridge`` only. What the machine itself
sends and gets does not pass the hook ``forward``, so that clients, SSH and the package cache are never touched.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from trivet.chaos.delay import delay_begins, delay_ends, delay_obstacle
from trivet.chaos.scenario import Aim, Ground, Scenario, Where

GROUP = "network"
LASTS_SECONDS = 30.0
LIMIT_SECONDS = 240.0
LOSS_PERCENT = 30
DELAY_MILLISECONDS = 200


def scenarios() -> Iterator[Scenario]:
    """Partitions, then loss and latency in one direction."""
    for name, sentence, where, inject in (
        ("partition-1-2", f"{Where.WRITER} and the two others do not hear each other", Where.WRITER, _cut_off),
        ("partition-1-1-1", "no node hears another", Where.ALL, _all_apart),
        ("loss", f"{LOSS_PERCENT} % of what {Where.WRITER} sends the others is lost", Where.WRITER, _lossy),
    ):
        yield Scenario(name, GROUP, sentence, where, inject, _whole_again, LASTS_SECONDS, LIMIT_SECONDS)
    yield Scenario(
        "latency",
        GROUP,
        f"what {Where.WRITER} sends, to clients too, takes {DELAY_MILLISECONDS} ms longer",
        Where.WRITER,
        _late,
        _in_time,
        LASTS_SECONDS,
        LIMIT_SECONDS,
        obstacle=delay_obstacle,
    )


def ruleset(table: str, rules: Sequence[str]) -> str:
    """A table of the suite's own with rules on what one port of a bridge sends to another; replaces an earlier one."""
    name = f"table bridge {table}"
    chain = "chain forward { type filter hook forward priority 0; policy accept; " + "; ".join(rules) + "; }"
    return f"{name}\ndelete {name}\n{name} {{ {chain}; }}\n"


def between(groups: Sequence[Sequence[str]], verdict: str = "drop") -> list[str]:
    """A rule for each ordered pair of groups of ports: what one sends the other."""
    rules = []
    for sender in groups:
        for receiver in groups:
            if sender is not receiver:
                rules.append(f"iifname {_set(sender)} oifname {_set(receiver)} {verdict}")
    return rules


def _set(ports: Sequence[str]) -> str:
    return "{ " + ", ".join(f'"{port}"' for port in ports) + " }"


def _apply(ground: Ground, rules: Sequence[str]) -> None:
    ground.host(["nft", "-f", "-"], stdin=ruleset(ground.table, rules))


def _ports(ground: Ground, nodes: Sequence[str]) -> list[str]:
    return [ground.port(node) for node in nodes]


def _cut_off(ground: Ground, aim: Aim) -> None:
    _apply(ground, between([_ports(ground, aim.victims), _ports(ground, aim.others)]))


def _all_apart(ground: Ground, aim: Aim) -> None:
    _apply(ground, between([[port] for port in _ports(ground, aim.victims)]))


def _lossy(ground: Ground, aim: Aim) -> None:
    one_way = between(
        [_ports(ground, aim.victims), _ports(ground, aim.others)], f"numgen random mod 100 < {LOSS_PERCENT} drop"
    )[:1]
    _apply(ground, one_way)


def _whole_again(ground: Ground, _aim: Aim) -> None:
    ground.allowed(["nft", "delete", "table", "bridge", ground.table])


def _late(ground: Ground, aim: Aim) -> None:
    delay_begins(ground, aim.victim, DELAY_MILLISECONDS)


def _in_time(ground: Ground, aim: Aim) -> None:
    delay_ends(ground, aim.victim)
