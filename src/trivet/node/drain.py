# SPDX-License-Identifier: GPL-3.0-or-later
"""What a service's folder says of its drain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from trivet.health.config import NodeConfig


@dataclass(frozen=True)
class Drain:
    """What a service asks for before its drain flag is set."""

    refuse: Callable[[NodeConfig], None]
    """Raises ``AgentError`` when it may not be drained now; names the command to run first."""
