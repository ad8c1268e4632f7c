# SPDX-License-Identifier: GPL-3.0-or-later
"""A change under way, step by step: what holds before each one, and what is written and told of it.

What the steps are, and what a failed one means for the nodes, is the change's own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from trivet.errors import LeaseHeld
from trivet.run.events import Listener, StepBegan, StepEnded
from trivet.run.journal import Journal
from trivet.run.lease import HeldLease
from trivet.run.stop import StopRequest


@dataclass(frozen=True, slots=True)
class ChangeUnderWay:
    """What every step of a change is made with.

    :param stop: the operator's wish to stop; another one's comes by the journal.
    """

    lease: HeldLease
    journal: Journal
    listener: Listener
    stop: StopRequest

    def check_lease(self, before: str, **subject: Any) -> None:
        """Stop without another act when the lease is lost: whoever has it by now may be at the same node.

        :param before: the step that would be next.
        :param subject: what else the line in the journal says of it.
        :raises LeaseHeld: naming the reason.
        """
        try:
            self.lease.check()
        except LeaseHeld as error:
            self.journal.leave_nodes_alone()
            self.journal.write("lease lost", **subject, before=before, error=error.message)
            raise

    def stopped_by(self) -> str:
        """Who asked to stop, which is written down; empty when nobody did."""
        by = self.stop.by or self.journal.stop_requested_by or ""
        if by:
            self.journal.write("stop requested", by=by)
        return by

    def begin(self, step: str, *, node: str | None = None, majority: bool = False, **subject: Any) -> None:
        """Write down that a step begins, before anything of it is done.

        :param node: the node that it is done for; None when for all nodes of the change at once.
        :param majority: refuse to go on when fewer than a majority of the nodes have it on disk.
        :raises ChangeHalted: when they have not.
        """
        self.journal.write("begin", majority=majority, **_said(step, node, subject))
        self.listener(StepBegan(step, node))

    def do(self, step: str, work: Callable[[], None], *, node: str | None = None, **subject: Any) -> float:
        """Do a step that was begun; seconds of wall clock. That it failed is written down before its error goes on."""
        began = time.monotonic()
        try:
            work()
        except BaseException as error:
            self.journal.write("failed", **_said(step, node, subject), error=words(error))
            raise
        seconds = round(time.monotonic() - began, 2)
        self.journal.write("end", **_said(step, node, subject), seconds=seconds)
        self.listener(StepEnded(step, seconds, node))
        return seconds

    @contextmanager
    def halting(self, remaining: Callable[[], list[str]]) -> Iterator[None]:
        """Have the journal say that the change ended before its end.

        :param remaining: names of the nodes that are not finished.
        """
        try:
            yield
        except BaseException as error:
            self.journal.write("halted", error=words(error), remaining=remaining())
            raise


def words(error: BaseException) -> str:
    """An error in words; its kind where it has none."""
    return str(error) or type(error).__name__


def _said(step: str, node: str | None, subject: dict[str, Any]) -> dict[str, Any]:
    return {**({} if node is None else {"node": node}), **subject, "step": step}
