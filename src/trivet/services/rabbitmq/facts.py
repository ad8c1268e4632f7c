# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node says of its broker."""

from __future__ import annotations

from dataclasses import dataclass

from trivet.health.facts import ServiceFacts


@dataclass(frozen=True, kw_only=True)
class Queues:
    """Queues that something is wrong with: how many, and the names of the first of them."""

    count: int = 0
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        more = ", …" if self.count > len(self.names) else ""
        return f"{', '.join(self.names)}{more}"


@dataclass(frozen=True, kw_only=True)
class RabbitmqFacts(ServiceFacts):
    """The cluster as this node's broker sees it, and its copies of the queues."""

    NAME = "rabbitmq"

    unit: str = "unknown"
    up: bool = False
    """Whether it serves. One that waits for its cluster, or sees no majority of it, runs and does not."""
    members: tuple[str, ...] = ()
    """The brokers of its cluster, by their Erlang names."""
    running: tuple[str, ...] = ()
    """Those that it sees serve, itself among them."""
    partitions: tuple[str, ...] = ()
    """Those that it was cut off from, and has not been restarted since."""
    alarms: tuple[str, ...] = ()
    """``memory``, ``disk`` or ``file_descriptor_limit``: publishers wait."""
    maintenance: bool = False
    """Whether it has stepped aside: it takes no clients, and its copies do not run."""
    queues: int = 0
    leaders: int = 0
    """Quorum queues whose leader is here."""
    not_member: Queues = Queues()
    """Quorum queues without a copy here."""
    stopped: Queues = Queues()
    """Quorum queues whose copy here does not run."""
    leaderless: Queues = Queues()
    """Quorum queues that have no leader, as far as this node knows."""
    unsynchronised: Queues = Queues()
    """Classic mirrored queues, led here, that some other node has no whole copy of."""


FACTS = RabbitmqFacts
