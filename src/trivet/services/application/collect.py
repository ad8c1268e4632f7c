# SPDX-License-Identifier: GPL-3.0-or-later
"""The releases of this node, and what the shared volume says."""

from __future__ import annotations

import json

from trivet.health.collector import Collect
from trivet.health.config import NodeConfig
from trivet.health.external import Deadline, NoAnswer, run
from trivet.services.application.contract import STORE, UNIT
from trivet.services.application.facts import ApplicationFacts
from trivet.services.application.instance import current
from trivet.services.application.releases import RECORD
from trivet.services.files.contract import MOUNT


def collect(config: NodeConfig, deadline: Deadline) -> ApplicationFacts:
    """Gather the facts of the releases on this node."""
    running = tuple(
        sorted(
            unit.removeprefix(UNIT).removesuffix(".service")
            for unit, state in deadline.units().items()
            if unit.startswith(UNIT) and state == "active"
        )
    )
    # A program of its own: a volume that hangs must not hang the collector with it.
    path = config.terms[MOUNT] / STORE / RECORD
    try:
        read = run(["cat", str(path)], deadline)
        if read.code != 0 and "No such file" not in read.stderr:
            raise NoAnswer(read.complaint)
        recorded = json.loads(read.stdout)["instance"] if read.code == 0 else None
    except (NoAnswer, ValueError, KeyError) as problem:
        return ApplicationFacts(current=current(), running=running, error=str(problem))
    return ApplicationFacts(current=current(), recorded=recorded, asked=True, running=running)


COLLECT = Collect(facts=ApplicationFacts, full=collect)
