# SPDX-License-Identifier: GPL-3.0-or-later
"""How long everything must be healthy before the next node, and who is asked what meanwhile."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.unit.environments import NAMES, environment
from tests.unit.rotation.simulation import change_of
from trivet.health.findings import Finding, State
from trivet.rotation import steps as steps_module
from trivet.rotation.change import Kind
from trivet.rotation.steps import SOAK_SECONDS, NodeSteps
from trivet.verdict.assess import Verdict

BUSY = Finding("search", "node-1", State.BUSY, "is recovering shards")
LOOK = 1.6


class Soaked:
    """A soak of the second node on a clock of its own.

    :param busy: whether the environment is busy at a time, in seconds from the begin.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, busy: Callable[[float], bool]) -> None:
        self.now = 1000.0
        self.looks: list[tuple[float, bool]] = []
        self._busy = busy
        monkeypatch.setattr(steps_module, "time", self)
        monkeypatch.setattr(steps_module, "provider_for", lambda *_args: None)
        monkeypatch.setattr(NodeSteps, "_look", lambda _steps, heal_from=None: self.look(heal_from is None))
        described = environment()
        node = described.nodes[1]
        taken = NodeSteps(described, None, None, node, change_of(Kind.RESIZE), "us", lambda _text: None)  # type: ignore[arg-type]
        taken.soak()

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def look(self, whole: bool) -> Verdict:
        asked = self.now - 1000.0
        self.looks.append((asked, whole))
        self.now += LOOK
        return Verdict("test", NAMES, (), (BUSY,) if self._busy(asked) else ())


def test_it_ends_with_a_look_at_everything_once_all_was_healthy_long_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    soaked = Soaked(monkeypatch, busy=lambda _at: False)
    assert [whole for _, whole in soaked.looks] == [False, False, True]
    assert soaked.looks[-1][0] == pytest.approx(SOAK_SECONDS)
    assert soaked.now - 1000.0 == pytest.approx(SOAK_SECONDS + LOOK)


def test_it_begins_anew_with_whatever_is_not_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    soaked = Soaked(monkeypatch, busy=lambda at: 3.0 < at < 9.0)
    first_healthy = min(at for at, _ in soaked.looks if at >= 9.0)
    assert soaked.looks[-1] == (pytest.approx(first_healthy + SOAK_SECONDS), True)
    assert not any(whole for _, whole in soaked.looks[:-1])


def test_the_last_look_may_begin_it_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    soaked = Soaked(monkeypatch, busy=lambda at: 5.9 < at < 7.0)
    assert [whole for _, whole in soaked.looks].count(True) == 2
    assert soaked.looks[-1][0] >= 7.0 + SOAK_SECONDS
