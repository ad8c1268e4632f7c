# SPDX-License-Identifier: GPL-3.0-or-later
"""What an environment should look like: the measure of a verdict."""

from __future__ import annotations

from dataclasses import dataclass, field

from trivet.services.contract import Terms


@dataclass(frozen=True)
class NodeExpectation:
    """A node that should be there.

    A web node that is not ``in_service`` is being made or taken away: no HAProxy should have it.
    """

    name: str
    address: str
    in_service: bool = True


@dataclass(frozen=True)
class Thresholds:
    """From where on the room of a host, or a lag, counts."""

    disk_free_percent: float = 5.0
    inodes_free_percent: float = 5.0
    memory_available_percent: float = 4.0
    clock_seconds: float = 0.5
    """How far a clock may certainly be off, against another node's or its time server."""
    replica_lag_bytes: int = 4 * 1024 * 1024
    replica_lag_seconds: int = 10
    redis_full_percent: float = 97.0
    """Of an instance that evicts nothing: soon it refuses every write."""
    redis_filling_percent: float = 85.0
    """From where on that is noted, while there is time to give it more."""


@dataclass(frozen=True)
class Expectation:
    """An environment as it should be: three nodes, or one that has neither partners nor a Sentinel quorum.

    ``nodes`` are the members of the clusters; ``web_nodes`` run the web tier only and use what the others serve.
    """

    environment: str
    nodes: tuple[NodeExpectation, ...]
    gateways: tuple[str, ...] = ()
    """Address number i is at home on node number i."""
    redis_instances: tuple[str, ...] = ("cache", "session")
    terms: Terms = field(default_factory=Terms)
    """The environment's ports, paths and names."""
    thresholds: Thresholds = field(default_factory=Thresholds)
    label: str = ""
    """What an operator types for ENV, where that is not the environment's name."""
    web_nodes: tuple[NodeExpectation, ...] = ()

    @property
    def argument(self) -> str:
        """What an operator types for ENV."""
        return self.label or self.environment

    @property
    def count(self) -> int:
        """How many members the clusters should have."""
        return len(self.nodes)

    @property
    def machines(self) -> tuple[NodeExpectation, ...]:
        """Every node that should be there, members first."""
        return self.nodes + self.web_nodes

    def address_of(self, node: str) -> str:
        """The address of a node.

        Raises:
            KeyError: there is no such node.
        """
        return {item.name: item.address for item in self.machines}[node]

    def node_at(self, name_or_address: str) -> str | None:
        """The node of that name or address; None for a stranger."""
        matches = (item.name for item in self.nodes if name_or_address in (item.name, item.address))
        return next(matches, None)

    def home_of(self, gateway: str) -> str | None:
        """The node where a gateway address is at home; None when there are more addresses than nodes."""
        position = self.gateways.index(gateway)
        return self.nodes[position].name if position < len(self.nodes) else None
