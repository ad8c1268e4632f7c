# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node says of its instances of Redis and its Sentinel."""

from __future__ import annotations

from dataclasses import dataclass, field

from trivet.health.facts import ServiceFacts


@dataclass(frozen=True, kw_only=True)
class RedisReplica:
    """A replica in its primary's list."""

    address: str
    port: int
    state: str
    """``online``, or ``wait_bgsave`` and ``send_bulk`` during a full resync."""
    offset: int = 0
    lag_seconds: int = 0


@dataclass(frozen=True, kw_only=True)
class RedisInstance(ServiceFacts):
    """One Redis instance of this node."""

    role: str = ""
    """``master`` or ``slave``, in Redis's own words."""
    loading: bool = False
    offset: int = 0
    """Replication offset: written (primary) or applied (replica), in bytes."""
    replicas: tuple[RedisReplica, ...] = ()
    primary_address: str = ""
    primary_link_up: bool = False
    primary_sync_in_progress: bool = False
    failover_state: str = "no-failover"
    used_memory: int = 0
    max_memory: int = 0
    """Bytes; ``max_memory`` 0 means unlimited."""
    uncounted_memory: int = 0
    """What of ``used_memory`` Redis leaves out when it compares it with ``max_memory``: buffers of replicas."""

    @property
    def memory_percent(self) -> float:
        """How full the instance is, as Redis counts; 0 when it is unlimited."""
        counted = max(0, self.used_memory - self.uncounted_memory)
        return 100 * counted / self.max_memory if self.max_memory > 0 else 0.0


@dataclass(frozen=True, kw_only=True)
class SentinelView(ServiceFacts):
    """What this node's Sentinel believes of one instance."""

    address: str = ""
    port: int = 0
    flags: tuple[str, ...] = ()
    failover_state: str = "none"
    other_sentinels: int = 0
    quorum: str = ""
    """The answer to ``SENTINEL CKQUORUM``: begins with OK, or with the error's name."""
    tilt: bool = False


@dataclass(frozen=True, kw_only=True)
class RedisFacts(ServiceFacts):
    """The instances of Redis on this node and its Sentinel's view of each, by instance name."""

    NAME = "redis"

    instances: dict[str, RedisInstance] = field(default_factory=dict)
    sentinels: dict[str, SentinelView] = field(default_factory=dict)


FACTS = RedisFacts
