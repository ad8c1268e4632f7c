# SPDX-License-Identifier: GPL-3.0-or-later
"""The power of machines is cut, and comes back."""

from __future__ import annotations

from collections.abc import Iterator

from trivet.chaos.scenario import Aim, Goal, Ground, Scenario, Where

GROUP = "power"
OFF_SECONDS = 30.0
BACK_SECONDS = 300.0
ONE_NODE = Goal(other_gap=3, home_gap=3)
ALL_NODES = Goal(orders_again=90)


def scenarios() -> Iterator[Scenario]:
    """One node by what it holds, and all three at once."""
    for name, where in (
        ("power-off-quiet", Where.QUIET),
        ("power-off-writer", Where.WRITER),
        ("power-off-session-primary", Where.SESSION_PRIMARY),
    ):
        sentence = f"power of {where} cut, back after {OFF_SECONDS:g} s"
        yield _scenario(name, sentence, where, ONE_NODE)
    sentence = f"power of all three nodes cut at once, back after {OFF_SECONDS:g} s"
    yield _scenario("power-off-all", sentence, Where.ALL, ALL_NODES)


def _scenario(name: str, sentence: str, where: Where, goal: Goal) -> Scenario:
    return Scenario(name, GROUP, sentence, where, _off, _on, OFF_SECONDS, BACK_SECONDS, goal=goal)


def _off(ground: Ground, aim: Aim) -> None:
    ground.power_off(aim.victims)


def _on(ground: Ground, aim: Aim) -> None:
    ground.power_on(aim.victims)
