# SPDX-License-Identifier: GPL-3.0-or-later
"""Which looks are made anew, and which are those of a moment ago."""

from __future__ import annotations

from typing import Any

import pytest

from trivet.rotation import looks as looks_module
from trivet.rotation.looks import RECENT_SECONDS, Looks


class World:
    """Counts looks, on a clock of its own; each takes a second."""

    def __init__(self) -> None:
        self.now = 0.0
        self.made: list[bool] = []

    def monotonic(self) -> float:
        return self.now

    def observe(self, _nodes: object, *, apart: float, heal_from: object) -> Any:
        assert apart > 0
        self.made.append(heal_from is None)
        self.now += 1.0
        return len(self.made)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    monkeypatch.setattr(looks_module, "time", made)
    monkeypatch.setattr(looks_module, "observe", made.observe)
    return made


def made_looks() -> Any:
    return Looks(None)  # type: ignore[arg-type]


def test_a_look_is_always_a_new_one(world: World) -> None:
    looks = made_looks()
    assert [looks.look(), looks.look()] == [1, 2]


def test_a_recent_look_is_the_last_one_of_everything(world: World) -> None:
    looks = made_looks()
    assert looks.recent() == 1
    assert looks.look() == 2
    assert looks.look(heal_from=object()) == 3
    assert looks.recent() == 2
    assert world.made == [True, True, False]


def test_a_recent_look_began_a_moment_ago_or_is_made_anew(world: World) -> None:
    looks = made_looks()
    looks.look()
    world.now = RECENT_SECONDS - 0.1
    assert looks.recent() == 1
    world.now = RECENT_SECONDS
    assert looks.recent() == 2
