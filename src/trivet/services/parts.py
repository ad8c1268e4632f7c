# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of all services of one kind, for the loops of the house.

They are found by the names of folder and module. So a loop loads nothing but what it asks for: on a node every import
is time, and what only the controller has (``turn.py``, ``faults.py``) is not there.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import TypeVar

from trivet.services.registry import SERVICES

FOLDERS = ("proxy", *SERVICES)
"""What others rest on comes first."""

_Part = TypeVar("_Part")


def parts(module: str, kind: type[_Part]) -> dict[str, _Part]:
    """The part of each service that has it, by the folder.

    Args:
        module: such as ``rules``; the part has the same name in capitals.
        kind: what every such part is.

    Raises:
        TypeError: a part is something else.
    """
    found = {}
    for folder in having(module):
        part = getattr(importlib.import_module(f"trivet.services.{folder}.{module}"), module.upper())
        if not isinstance(part, kind):
            raise TypeError(f"{module.upper()} of {folder} is no {kind.__name__}")
        found[folder] = part
    return found


def having(module: str) -> list[str]:
    """The folders that have such a module."""
    return [folder for folder in FOLDERS if importlib.util.find_spec(f"trivet.services.{folder}.{module}")]
