# SPDX-License-Identifier: GPL-3.0-or-later
"""Scenarios on one lab, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from trivet.chaos.events import RowMade, ScenarioBegan, SuiteNoted
from trivet.chaos.parts import Parts
from trivet.chaos.row import Row, skipped_row, unbroken_row
from trivet.chaos.scenario import Scenario
from trivet.chaos.scenarios import catalogue
from trivet.chaos.trial import Trial, in_short, moment, take_back
from trivet.errors import ChaosHalted, NotBroken
from trivet.run.events import Listener, unheard


class Suite:
    """Runs scenarios, each on a healthy lab only.

    :param lab: its name, for the commands that errors name.
    :param listener: takes what is done.
    """

    def __init__(self, lab: str, parts: Parts, listener: Listener = unheard) -> None:
        self._lab = lab
        self._parts = parts
        self._listener = listener

    def undo_left(self) -> None:
        """Undo what a killed suite had broken.

        :raises GridError: it cannot be undone.
        """
        left = self._parts.record.found()
        if left is None:
            return
        name, aim = left
        self._listener(SuiteNoted(f"an earlier run was killed during {name}: undoing it"))
        for scenario in catalogue():
            if scenario.name == name:
                take_back(scenario, aim, self._parts)

    def run(self, scenarios: Sequence[Scenario]) -> Iterator[Row]:
        """The rows, each as its scenario ends.

        Whatever ends a scenario early, Ctrl-C too, what it has broken is undone first.

        :raises ChaosHalted: the lab is not healthy before a scenario, or after one whatever was done.
        """
        for number, scenario in enumerate(scenarios, 1):
            reason = scenario.obstacle(self._parts.ground)
            if reason is None:
                place = f"{number}/{len(scenarios)}"
                self._listener(ScenarioBegan(scenario.name, place, scenario.sentence))
                row = self._tried(scenario)
            else:
                row = skipped_row(scenario, moment(), reason)
            self._listener(RowMade(row))
            yield row
            if row.left:
                raise ChaosHalted(
                    f"{self._lab} is not healthy after {scenario.name}: {in_short(row.said)}",
                    f"trivet status {self._lab}",
                )

    def _tried(self, scenario: Scenario) -> Row:
        try:
            return Trial(self._lab, scenario, self._parts, self._listener).run()
        except NotBroken as error:
            return unbroken_row(scenario, moment(), error.message)
