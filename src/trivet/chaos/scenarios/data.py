# SPDX-License-Identifier: GPL-3.0-or-later
"""State on a disk or in a cluster that contradicts itself, as the services tell it."""

from __future__ import annotations

from collections.abc import Iterator

from trivet.chaos.faults import DATA, Faults
from trivet.chaos.scenario import Scenario
from trivet.services.parts import parts

GROUP = DATA
ORDER = ("database", "redis", "files")


def scenarios() -> Iterator[Scenario]:
    """Galera's state file, a stale mark of a transfer, two primaries of each Redis, a damaged copy, a split-brain."""
    faults = parts("faults", Faults)
    for service in ORDER:
        yield from faults[service].damages()
