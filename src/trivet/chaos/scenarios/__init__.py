# SPDX-License-Identifier: GPL-3.0-or-later
"""All scenarios, each group in a module of its own: what lives where is the folder."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from trivet.chaos.scenario import Scenario
from trivet.chaos.scenarios import data, network, outage, power, resources, services
from trivet.errors import InputError

GROUPS = (services, power, outage, network, resources, data)


def catalogue() -> tuple[Scenario, ...]:
    """Every scenario, in the order of a whole run."""
    return tuple(scenario for group in GROUPS for scenario in group.scenarios())


def chosen(words: Sequence[str]) -> tuple[Scenario, ...]:
    """The scenarios that the words name: names, patterns such as ``kill-*``, or groups; without words all.

    :raises InputError: when a word names none.
    """
    every = catalogue()
    if not words:
        return every
    names: set[str] = set()
    for word in words:
        found = {item.name for item in every if word == item.group or fnmatchcase(item.name, word)}
        if not found:
            raise InputError(f"there is no scenario {word!r}", "trivet chaos LAB --list")
        names |= found
    return tuple(item for item in every if item.name in names)
