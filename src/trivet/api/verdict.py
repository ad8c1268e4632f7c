# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict on an environment, one look or look after look over the same connections."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from trivet.health.findings import Finding, State
from trivet.model import Environment
from trivet.remote import Nodes, observe
from trivet.services.registry import SERVICES
from trivet.verdict.assess import Verdict

__all__ = ["SERVICES", "Finding", "State", "Verdict", "looking"]


@contextmanager
def looking(environment: Environment) -> Iterator[Callable[[], Verdict]]:
    """Open an environment to look at it; each call of what it yields is a look at every node."""
    with Nodes(environment) as nodes:
        yield lambda: observe(nodes).verdict
