# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node says of the application's releases."""

from __future__ import annotations

from dataclasses import dataclass

from trivet.health.facts import ServiceFacts


@dataclass(frozen=True, kw_only=True)
class ApplicationFacts(ServiceFacts):
    """Which instance serves on a node, and which one should."""

    NAME = "application"

    current: str | None = None
    """The instance that customers get from this node; None where no release has been deployed."""
    recorded: str | None = None
    """The instance of the environment, as the shared volume has it."""
    asked: bool = False
    """Whether the shared volume was asked."""
    running: tuple[str, ...] = ()
    """Instances whose PHP-FPM runs: two while one takes over from the other."""


FACTS = ApplicationFacts
