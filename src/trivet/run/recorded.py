# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that is begun anew when it was broken off, such as a converge: under the lease, and in a journal of its own.

Its journal has two lines, what was begun and how it ended. Nobody waits for one that has no end: its runner was killed,
and when its lease is gone it counts as broken off.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from trivet.errors import LeaseHeld
from trivet.health.facts import LeaseMode
from trivet.remote import Nodes
from trivet.run.copies import NodeJournals
from trivet.run.journal import Journal
from trivet.run.lease import HeldLease, Lease, run_owner


@dataclass(slots=True)
class Recorded:
    """A run under way.

    :param journal: the id of its journal.
    :param result: what it did, for its journal.
    :param failure: why it counts as failed though nothing was raised; empty when it does not.
    """

    lease: HeldLease
    owner: str
    journal: str
    result: dict[str, Any] = field(default_factory=dict)
    failure: str = ""


@contextmanager
def recorded(
    nodes: Nodes, kind: str, purpose: str, *, mode: LeaseMode = LeaseMode.HANDS_OFF, leased: bool = True
) -> Iterator[Recorded]:
    """Hold the lease of an environment for a run, and write down that it began and how it ended.

    A node that does not answer, or has no agent yet, keeps no line until it does: no run waits for a majority here.

    :param kind: what it is, in one word.
    :param purpose: what for, in words for another operator.
    :param mode: what others are kept from meanwhile.
    :param leased: whether the nodes have agents that can give their votes; without, only this machine knows of the run
        until it ends.
    :raises LeaseHeld: when another run has the environment: then nothing is written.
    """
    owner = run_owner()
    if not leased:
        with _written(nodes, kind, purpose, _Unleased(), owner) as run:
            yield run
        return
    with Lease(nodes, owner, purpose, mode=mode) as lease, _written(nodes, kind, purpose, lease, owner) as run:
        yield run


class _Unleased:
    """In the place of a lease where no majority has an agent: nobody else can have it either."""

    def check(self) -> None:
        """Always held."""


@contextmanager
def _written(nodes: Nodes, kind: str, purpose: str, lease: HeldLease, owner: str) -> Iterator[Recorded]:
    environment = nodes.environment
    journal = Journal.begin(environment.label, owner, NodeJournals(nodes))
    names = [node.name for node in environment.machines]
    change = {"kind": kind, "summary": purpose, "nodes": names, "resumable": False}
    process = _process() if isinstance(lease, _Unleased) else None
    journal.write("plan", owner=owner, plan={"environment": environment.name, "change": change}, process=process)
    run = Recorded(lease, owner, journal.id)
    began = time.monotonic()
    try:
        yield run
    except BaseException as error:
        if isinstance(error, LeaseHeld):
            journal.leave_nodes_alone()
        journal.write("run failed", error=str(error) or type(error).__name__, **_end(run, began))
        raise
    if run.failure:
        journal.write("run failed", error=run.failure, **_end(run, began))
    else:
        journal.write("done", **_end(run, began))


def _end(run: Recorded, began: float) -> dict[str, Any]:
    return {"seconds": round(time.monotonic() - began, 1), "result": run.result}


def _process() -> dict[str, Any]:
    return {"host": socket.gethostname(), "pid": os.getpid()}
