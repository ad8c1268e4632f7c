# SPDX-License-Identifier: GPL-3.0-or-later
"""One scenario, once: customers, a failure, its undoing, a healthy lab again, a row."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from trivet.chaos.aim import aim_at
from trivet.chaos.events import Injecting, Mending, SuiteNoted, Undone
from trivet.chaos.eyes import Eyes
from trivet.chaos.load import Load
from trivet.chaos.parts import Parts
from trivet.chaos.row import Row, customers_of, row_of
from trivet.chaos.scenario import Aim, Scenario
from trivet.chaos.timeline import Look, detected, recovered, settled
from trivet.errors import ChaosHalted, TrivetError
from trivet.run.events import Listener

SIGNALS = (signal.SIGINT, signal.SIGTERM)
WORDS = 3
"""Findings that an error names; the row has them all."""


class Trial:
    """Runs a scenario on a lab; see :meth:`run`.

    :param lab: its name, for the commands that errors name.
    """

    def __init__(self, lab: str, scenario: Scenario, parts: Parts, listener: Listener) -> None:
        self._lab = lab
        self._scenario = scenario
        self._parts = parts
        self._listener = listener
        self._at = moment()

    def run(self) -> Row:
        """The row. What was broken is undone, however this ends.

        :raises ChaosHalted: the lab is not healthy to begin with.
        """
        parts = self._parts
        with parts.eyes() as eyes:
            if self._settled(eyes, parts.pace.healthy) is None:
                raise ChaosHalted(
                    f"{self._lab} is not healthy before {self._scenario.name}: {in_short(said(eyes.looks()))}",
                    f"trivet status {self._lab}",
                )
            parts.come_home()
            parts.ground.agents_forget()
            aim = aim_at(self._scenario.where, parts.ground.nodes, eyes.facts())
            load = parts.load(self._scenario.name)
            load.start()
            try:
                return self._measured(aim, eyes, load)
            except BaseException:
                with shielded(), suppress(TrivetError):
                    load.stop(hurry=True)
                raise

    def _measured(self, aim: Aim, eyes: Eyes, load: Load) -> Row:
        clock, pace, scenario = self._parts.clock, self._parts.pace, self._scenario
        clock.sleep(pace.before)
        load.mark("during")
        injected = clock.time()
        self._listener(Injecting(self._scenario.name, tuple(aim.victims)))
        with self._taken_back(aim):
            scenario.inject(self._parts.ground, aim)
            clock.sleep(scenario.lasts)
            undone = self._undo(aim, load, injected)
            looks = self._settled(eyes, scenario.limit)
            words = () if looks else said(eyes.looks())
            left = not looks and not self._mended(aim, eyes)
        load.mark("after")
        clock.sleep(pace.after)
        report = load.stop()
        return row_of(
            scenario,
            self._at,
            aim.victims,
            customers_of(report, self._parts.homes, aim.victims, load.orders()),
            detected(looks or eyes.looks(), eyes.sightings(), injected),
            recovered(looks, injected, undone) if looks else None,
            words,
            left=left,
        )

    @contextmanager
    def _taken_back(self, aim: Aim) -> Iterator[None]:
        """Note what is broken in this context; if it ends early, take it back."""
        self._parts.record.note(self._scenario.name, aim)
        try:
            yield
        except BaseException:
            take_back(self._scenario, aim, self._parts)
            raise
        self._parts.record.clear()

    def _undo(self, aim: Aim, load: Load, injected: float) -> float | None:
        """Take the injection back, if it has an undoing; the moment at which that was done."""
        if self._scenario.undo is None:
            return None
        with shielded():
            self._scenario.undo(self._parts.ground, aim)
        load.mark("undone")
        undone = self._parts.clock.time()
        self._listener(Undone(self._scenario.name, round(undone - injected, 1)))
        return undone

    def _mended(self, aim: Aim, eyes: Eyes) -> bool:
        """Do what a human would, and wait; whether the lab is healthy then."""
        found = in_short(said(eyes.looks()))
        self._listener(Mending(self._scenario.name, f"not healthy within {self._scenario.limit:g} s: {found}"))
        if self._scenario.mend is not None:
            try:
                self._scenario.mend(self._parts.ground, aim)
            except TrivetError as error:
                self._listener(SuiteNoted(f"mending failed: {error.message}", self._scenario.name))
        return self._settled(eyes, self._parts.pace.mended) is not None

    def _settled(self, eyes: Eyes, seconds: float) -> list[Look] | None:
        """Wait until the verdict has been healthy for a while from now on; the looks then, None when not in time."""
        clock, pace = self._parts.clock, self._parts.pace
        since = clock.time()
        while not settled(looks := eyes.looks(), since, pace.stable):
            if clock.time() - since >= seconds:
                return None
            clock.sleep(pace.poll)
        return looks


def take_back(scenario: Scenario, aim: Aim, parts: Parts) -> None:
    """Undo an injection that was not seen to its end, else mend it, and clear the note of it. Signals wait meanwhile.

    :raises GridError: it cannot be; the note stays, for the next run.
    """
    act = scenario.undo or scenario.mend
    with shielded():
        if act is not None:
            act(parts.ground, aim)
        parts.record.clear()


@contextmanager
def shielded() -> Iterator[None]:
    """Put Ctrl-C and SIGTERM off until what must be done is done; it is bounded in time.

    :raises KeyboardInterrupt: at the end, when one of them came.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {number: signal.signal(number, lambda got, _frame: came.append(got)) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        raise KeyboardInterrupt


def said(looks: Sequence[Look]) -> tuple[str, ...]:
    """What the latest verdict says that is not healthy."""
    return looks[-1].words if looks else ()


def in_short(words: Sequence[str]) -> str:
    """The worst of it, for one line."""
    return "; ".join(words[:WORDS]) or "not for long enough"


def moment() -> str:
    """Now, in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
