# SPDX-License-Identifier: GPL-3.0-or-later
"""The runs of an environment: what was done to it, by whom, when, and how it ended."""

from __future__ import annotations

from trivet.model import Environment
from trivet.remote import Nodes
from trivet.run.runs import RunDetails, RunSummary, list_runs, read_run

__all__ = ["SHOWN_RUNS", "RunDetails", "RunSummary", "run_details", "runs"]

SHOWN_RUNS = 20


def runs(environment: Environment, limit: int = SHOWN_RUNS) -> tuple[RunSummary, ...]:
    """The newest runs, the newest first: changes, converges, recoveries, cleanings, programs of the operator's.

    :param limit: how many at most.
    """
    with Nodes(environment) as nodes:
        return list_runs(nodes, limit)


def run_details(environment: Environment, id: str) -> RunDetails:
    """One run with the lines of its journal.

    :raises InputError: when there is none of that id.
    """
    with Nodes(environment) as nodes:
        return read_run(nodes, id)
