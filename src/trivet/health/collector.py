# SPDX-License-Identifier: GPL-3.0-or-later
"""How the facts of one service are gathered on a node."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from trivet.health.config import NodeConfig
from trivet.health.external import Deadline
from trivet.health.facts import ServiceFacts

Collector = Callable[[NodeConfig, Deadline], ServiceFacts]


@dataclass(frozen=True, kw_only=True)
class Collect:
    """The collector of a service, and cheaper ones for who needs less."""

    facts: type[ServiceFacts]
    full: Collector
    often: Collector | None = None
    """For looks that follow each other, without what is dear."""
    own: Collector | None = None
    """For the healer, without what is not this node's alone."""
    members_only: bool = False
    """Whether a web node has nothing of it."""
