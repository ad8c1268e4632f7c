# SPDX-License-Identifier: GPL-3.0-or-later
"""Redis and Sentinel, per instance: one primary, replicas in sync, all Sentinels of one mind, a quorum."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from trivet.health.cluster import Cluster, Rules, listed
from trivet.health.facts import NodeFacts
from trivet.health.findings import Finding, State
from trivet.services.proxy.facts import HOLD_SERVER, ProxiesFacts
from trivet.services.proxy.findings import hold_findings
from trivet.services.redis.facts import RedisFacts, RedisInstance, SentinelView
from trivet.services.redis.roles import redis_primaries

SERVICE = "redis"
_NEVER_EVICTS = ("session",)
"""Instances that refuse writes when they are full (``noeviction``); a cache makes room for itself."""
_NOT_ASKED = RedisInstance(error="its facts are missing")
_NO_VIEW = SentinelView(error="its facts are missing")


def findings(cluster: Cluster) -> Iterator[Finding]:
    """Judge Redis on all nodes."""
    for name in cluster.expectation.redis_instances:
        judge = _Judge(cluster, name)
        for finding in judge.findings():
            yield replace(finding, reason=f"{name}: {finding.reason}")


@dataclass(frozen=True)
class _Judge:
    """The look at one instance on all nodes."""

    cluster: Cluster
    name: str

    def findings(self) -> Iterator[Finding]:
        for node, facts in self.cluster.members():
            instance = _within(facts.of(RedisFacts), self.name)
            yield from self._of_instance(node, instance)
            yield from self._of_memory(node, instance)
            if self._with_sentinel():
                yield from self._of_sentinel(node, _view_within(facts.of(RedisFacts), self.name))
        yield from self._of_primaries()
        yield from self._of_proxies()
        yield from hold_findings(self.cluster, SERVICE, (f"redis_{self.name}_primary",))

    def _with_sentinel(self) -> bool:
        return self.cluster.expectation.count > 1

    def _command(self, node: str) -> str:
        return self.cluster.on(node, "trivet-agent redis status")

    def _failing_over(self) -> bool:
        """A Sentinel moves the primary, or a primary hands over by itself."""
        return any(
            "failover_in_progress" in _view_within(facts.of(RedisFacts), self.name).flags
            or _view_within(facts.of(RedisFacts), self.name).failover_state not in ("none", "no-failover", "")
            or _within(facts.of(RedisFacts), self.name).failover_state != "no-failover"
            for _, facts in self.cluster.members()
        )

    def _unless_failing_over(self) -> State:
        return State.BUSY if self._failing_over() else State.BROKEN

    def _primary(self) -> tuple[str, NodeFacts] | None:
        members = dict(self.cluster.members())
        primaries = redis_primaries(members, self.name)
        return (primaries[0], members[primaries[0]]) if len(primaries) == 1 else None

    def _of_instance(self, node: str, instance: RedisInstance) -> Iterator[Finding]:
        if silent := self.cluster.silent(SERVICE, node, instance, f"redis-{self.name}", "unknown"):
            yield silent
        elif instance.loading:
            yield Finding(SERVICE, node, State.BUSY, "loads its data", self._command(node))
        elif instance.role == "slave":
            yield from self._of_replica(node, instance)
        elif instance.role != "master":
            reason = f"is neither primary nor replica ({instance.role or 'no role'})"
            yield Finding(SERVICE, node, State.BROKEN, reason, self._command(node))

    def _of_memory(self, node: str, instance: RedisInstance) -> Iterator[Finding]:
        """Room for what must not be evicted; a replica is looked at too, as it may be the next primary."""
        limits = self.cluster.expectation.thresholds
        if self.name not in _NEVER_EVICTS or instance.memory_percent < limits.redis_filling_percent:
            return
        percent, room = f"{instance.memory_percent:.1f} %", f"{instance.max_memory // 2**20} MiB"
        # A live setting: a converge is not held up by a verdict as a rotation is.
        command = f"raise redis_{self.name}_maxmemory_mib, then: trivet converge {self.cluster.expectation.argument}"
        if instance.memory_percent > limits.redis_full_percent:
            reason = f"{percent} of its {room} are used, and it evicts nothing: when it is full it refuses writes"
            yield Finding(SERVICE, node, State.BROKEN, reason, command)
        else:
            yield Finding(SERVICE, node, State.HEALTHY, f"{percent} of its {room} are used", command)

    def _of_replica(self, node: str, replica: RedisInstance) -> Iterator[Finding]:
        primary = self._primary()
        address = self.cluster.expectation.address_of(primary[0]) if primary else None
        follows = self.cluster.expectation.node_at(replica.primary_address)
        if primary and follows != primary[0]:
            reason = f"replicates from {follows or replica.primary_address}, while {primary[0]} is primary"
            yield Finding(SERVICE, node, self._unless_failing_over(), reason, self._command(node))
        elif replica.primary_sync_in_progress:
            yield Finding(SERVICE, node, State.BUSY, "copies all data from its primary", self._command(node))
        elif not replica.primary_link_up:
            reason = f"has no link to its primary {address or replica.primary_address}"
            yield Finding(SERVICE, node, self._unless_failing_over(), reason, self._command(node))
        elif primary:
            yield from self._of_lag(node, replica, _within(primary[1].of(RedisFacts), self.name))

    def _of_lag(self, node: str, replica: RedisInstance, primary: RedisInstance) -> Iterator[Finding]:
        limits = self.cluster.expectation.thresholds
        listing = next(
            (item for item in primary.replicas if self.cluster.expectation.node_at(item.address) == node),
            None,
        )
        if listing is None:
            yield Finding(SERVICE, node, State.BUSY, "is not in its primary's list yet", self._command(node))
        elif listing.state != "online":
            reason = f"is {listing.state} in its primary's list"
            yield Finding(SERVICE, node, State.BUSY, reason, self._command(node))
        elif (
            listing.lag_seconds > limits.replica_lag_seconds
            or primary.offset - replica.offset > limits.replica_lag_bytes
        ):
            behind = max(0, primary.offset - replica.offset)
            reason = f"is {behind} bytes and {listing.lag_seconds} s behind its primary"
            yield Finding(SERVICE, node, State.BUSY, reason, self._command(node))

    def _of_sentinel(self, node: str, view: SentinelView) -> Iterator[Finding]:
        if silent := self.cluster.silent(SERVICE, node, view, "redis-sentinel", "unknown"):
            yield silent
            return
        command = self._command(node)
        if view.tilt:
            yield Finding(SERVICE, node, State.BUSY, "its Sentinel is in TILT and only watches", command)
        if not view.quorum.startswith("OK"):
            reason = f"its Sentinel has no quorum: {view.quorum or 'no answer'}"
            yield Finding(SERVICE, node, State.BROKEN, reason, command)
        others = self.cluster.expectation.count - 1
        if view.other_sentinels != others:
            reason = f"its Sentinel knows {view.other_sentinels} of {others} others"
            yield Finding(SERVICE, node, State.BROKEN, reason, command)
        down = [flag for flag in view.flags if flag in ("s_down", "o_down", "disconnected")]
        if down:
            reason = f"its Sentinel holds the primary for down ({listed(down)})"
            yield Finding(SERVICE, node, self._unless_failing_over(), reason, command)
        primary = self._primary()
        believed = self.cluster.expectation.node_at(view.address)
        if primary and believed != primary[0]:
            reason = f"its Sentinel names {believed or view.address}, while {primary[0]} is primary"
            yield Finding(SERVICE, node, self._unless_failing_over(), reason, command)

    def _of_primaries(self) -> Iterator[Finding]:
        members = dict(self.cluster.members())
        primaries = redis_primaries(members, self.name)
        if self._failing_over():
            yield Finding(SERVICE, None, State.BUSY, "a failover is in progress")
        if len(primaries) > 1:
            reason = f"{len(primaries)} nodes call themselves primary: {listed(primaries)}"
            yield Finding(SERVICE, None, self._unless_failing_over(), reason, self._command(primaries[0]))
        elif not primaries and members:
            instances = [_within(facts.of(RedisFacts), self.name) for facts in members.values()]
            unseen = any(instance.error is not None and not instance.down for instance in instances)
            state = State.UNKNOWN if unseen else self._unless_failing_over()
            yield Finding(SERVICE, None, state, "no node is primary", self._command(next(iter(members))))
        if primaries and self._with_sentinel():
            believed = {
                view.address
                for facts in members.values()
                if (view := _view_within(facts.of(RedisFacts), self.name)).error is None
            }
            if len(believed) > 1:
                reason = f"the Sentinels do not agree on the primary ({listed(frozenset(believed))})"
                yield Finding(SERVICE, None, self._unless_failing_over(), reason, self._command(primaries[0]))

    def _of_proxies(self) -> Iterator[Finding]:
        """Every HAProxy must send to the primary, and to nobody else."""
        primary = self._primary()
        if primary is None:
            return
        for node, facts in self.cluster.machines():
            if facts.of(ProxiesFacts).error is not None:
                continue
            statuses = {
                item.server: item
                for item in facts.of(ProxiesFacts).backend(f"redis_{self.name}_primary")
                if item.server != HOLD_SERVER
            }
            targets = {name for name, server in statuses.items() if server.usable}
            if targets == {primary[0]}:
                continue
            reason = f"its HAProxy sends to {listed(frozenset(targets)) or 'nobody'}, not to {primary[0]} alone"
            command = self.cluster.on(node, "trivet-agent proxy states")
            yield Finding(SERVICE, node, self._unless_failing_over(), reason, command)


def _within(facts: RedisFacts, name: str) -> RedisInstance:
    """An instance's facts; when all of Redis could not be asked, that is the instance's error too."""
    if facts.error is not None:
        return RedisInstance(error=facts.error, down=facts.down)
    return facts.instances.get(name, _NOT_ASKED)


def _view_within(facts: RedisFacts, name: str) -> SentinelView:
    if facts.error is not None:
        return SentinelView(error=facts.error, down=facts.down)
    return facts.sentinels.get(name, _NO_VIEW)


RULES = Rules(findings)
