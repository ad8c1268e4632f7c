# SPDX-License-Identifier: GPL-3.0-or-later
"""The activities of an environment: what pushes did to it, as its grid machine keeps them."""

from __future__ import annotations

import json
from typing import Any

from trivet.ansible import load_environment
from trivet.errors import InputError, RemoteError
from trivet.push.activity import activities, log_of, to_dict
from trivet.push.settings import ACTIVITIES
from trivet.remote import Nodes

__all__ = ["listed", "log"]

SECONDS = 60.0


def listed(environment: str, limit: int) -> list[dict[str, Any]]:
    """The last activities, the newest first. Asks the grid machine, unless this is it.

    :param environment: what an operator types for it; on the grid machine it may be empty, for all.
    :raises InputError: none is named, or it has no grid machine.
    :raises RemoteError: the grid machine does not answer.
    """
    if ACTIVITIES.is_dir():
        return [to_dict(record) for record in activities(ACTIVITIES, environment)[:limit]]
    found: list[dict[str, Any]] = json.loads(_asked(environment, "list", "--limit", str(limit), "--json"))["activities"]
    return found


def log(environment: str, name: str = "") -> str:
    """What an activity told.

    :param name: of the activity; empty for the newest of the environment.
    :raises InputError: there is none, or the environment has no grid machine.
    :raises RemoteError: the grid machine does not answer.
    """
    if not ACTIVITIES.is_dir():
        return _asked(environment, "log", *([name] if name else []))
    known = [record.id for record in activities(ACTIVITIES, environment)]
    if not name and not known:
        raise InputError(f"there is no activity of {environment} yet")
    return log_of(ACTIVITIES, name or known[0])


def _asked(name: str, verb: str, *words: str) -> str:
    if not name:
        raise InputError("name the environment: its grid machine keeps what pushes did", "trivet activity list ENV")
    environment = load_environment(name)
    if environment.grid is None:
        raise InputError(f"{environment.name} has no grid machine (group trivet_grid of {environment.inventory})")
    with Nodes(environment) as nodes:
        result = nodes.run(environment.grid, ["trivet", "activity", verb, environment.label, *words], SECONDS)
    if result.code != 0:
        raise RemoteError(f"{environment.grid.name}: {result.error or result.output.strip()}")
    return result.output
