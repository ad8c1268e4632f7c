# SPDX-License-Identifier: GPL-3.0-or-later
"""No primary is drained: the proxies go on using it, since they have no other."""

from __future__ import annotations

from trivet.health.config import NodeConfig
from trivet.health.external import Deadline
from trivet.node.drain import Drain
from trivet.node.errors import AgentError
from trivet.services.redis.collect import collect

SECONDS = 3.0


def refuse_primary(node: NodeConfig) -> None:
    """Refuse to drain the Redis of a primary.

    Raises:
        AgentError: an instance here is the primary; names the command that hands it over.
    """
    found = collect(node, Deadline(SECONDS))
    for name, instance in found.instances.items():
        if instance.role == "master":
            raise AgentError(f"{node.name} is the primary of {name}: first `trivet-agent redis failover {name}`")


DRAIN = Drain(refuse_primary)
