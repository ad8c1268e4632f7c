# SPDX-License-Identifier: GPL-3.0-or-later
"""The facts of all nodes beside what is expected: what every rule looks at."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from trivet.health.expectation import Expectation, NodeExpectation
from trivet.health.facts import ClusterFacts, Drain, Flag, NodeFacts, ServiceFacts, Unreachable, Vote
from trivet.health.findings import Finding, State
from trivet.services.contract import Terms

COMING_OR_GOING = ("activating", "reloading", "deactivating")
"""States of a systemd unit that end by themselves."""
NOT_RUNNING = ("inactive", "failed", "masked")
"""States of a systemd unit without a process."""


@dataclass(frozen=True)
class Cluster:
    """Expectation and facts; all its answers are pure."""

    expectation: Expectation
    facts: ClusterFacts

    @property
    def terms(self) -> Terms:
        """The environment's ports, paths and names."""
        return self.expectation.terms

    def members(self) -> Iterator[tuple[str, NodeFacts]]:
        """The expected members of the clusters that answered, in order."""
        yield from self._answering(self.expectation.nodes)

    def machines(self) -> Iterator[tuple[str, NodeFacts]]:
        """All expected nodes that answered, members first: web servers, hosts and local proxies are everywhere."""
        yield from self._answering(self.expectation.machines)

    def _answering(self, nodes: Iterable[NodeExpectation]) -> Iterator[tuple[str, NodeFacts]]:
        for node in nodes:
            facts = self.facts.get(node.name)
            if isinstance(facts, NodeFacts):
                yield node.name, facts

    def unreachable(self) -> dict[str, Unreachable]:
        """The expected nodes that did not answer."""
        silent = {
            node.name: self.facts.get(node.name, Unreachable("nobody asked it")) for node in self.expectation.machines
        }
        return {name: facts for name, facts in silent.items() if isinstance(facts, Unreachable)}

    def drain(self, service: str, node: str) -> Drain | None:
        """The drain flag that takes a service out on a node."""
        facts = self.facts.get(node)
        return facts.drained(service) if isinstance(facts, NodeFacts) else None

    def drained(self, service: str) -> frozenset[str]:
        """The members where the service is drained."""
        return frozenset(name for name, _ in self.members() if self.drain(service, name))

    def lease_of(self, owner: str) -> Vote | None:
        """A vote that an owner has in the environment's lease; None when no node that answered gave it one."""
        votes = (facts.host.vote for _, facts in self.members() if facts.host.vote)
        return next((vote for vote in votes if vote.owner == owner), None)

    def told(self, flag: Flag, what: str) -> tuple[str, str | None]:
        """A flag in words, and what to run when nobody is known to need it any more.

        Args:
            what: what was done, such as ``drained``.
        """
        words = f"{what} by {flag.owner}"
        if isinstance(flag, Drain) and flag.reason:
            words += f": {flag.reason}"
        lease = self.lease_of(flag.owner)
        if lease is not None:
            return f"{words}, whose run holds the lease for: {lease.purpose}", None
        if flag.expires is not None:
            words += f", until {utc(flag.expires)}"
        return f"{words}; no run of that owner holds the lease", self.clean_command

    @property
    def clean_command(self) -> str:
        """The command line that lists and removes what was left behind."""
        return f"trivet clean {self.expectation.argument}"

    def absence(self, service: str, absent: frozenset[str], passing: frozenset[str]) -> State:
        """How bad it is that nodes are missing from a service's cluster.

        Busy when each is accounted for, by a drain flag or by being on its way (``passing``), else broken.
        Nodes that cannot be named are accounted for by nothing.
        """
        return State.BUSY if absent and absent <= self.drained(service) | passing else State.BROKEN

    def on(self, node: str, command: str) -> str:
        """The command line that runs ``command`` on a node."""
        return f"ssh {self.expectation.address_of(node)} {command}"

    def logs(self, node: str, unit: str) -> str:
        """The command line that shows what a unit said last."""
        return self.on(node, f"journalctl -u {unit} -n 50 --no-pager")

    def unit(self, service: str, node: str, unit: str, state: str) -> Finding | None:
        """The finding for a unit that is not active; None for one that is."""
        if state == "active":
            return None
        judged = State.UNKNOWN if state == "unknown" else State.BROKEN
        if state in COMING_OR_GOING:
            judged = State.BUSY
        return Finding(service, node, judged, f"{unit} is {state}", self.logs(node, unit))

    def silent(self, service: str, node: str, facts: ServiceFacts, unit: str, state: str) -> Finding | None:
        """The finding for a service that did not answer; None when it did.

        Args:
            unit: name of the systemd unit to look at.
            state: the unit's state, ``unknown`` when nobody looked.
        """
        if facts.error is None:
            return None
        if state in COMING_OR_GOING:
            return Finding(service, node, State.BUSY, f"{unit} is {state}", self.logs(node, unit))
        if facts.down or state in NOT_RUNNING:
            shown = f" (unit {state})" if state != "unknown" else ""
            reason = f"{unit} does not run{shown}: {facts.error}"
            return Finding(service, node, State.BROKEN, reason, self.logs(node, unit))
        return Finding(service, node, State.UNKNOWN, f"no answer: {facts.error}", self.logs(node, unit))


def utc(moment: float) -> str:
    """A moment in words.

    Args:
        moment: epoch seconds.
    """
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(moment))


@dataclass(frozen=True)
class Rules:
    """What healthy means for one service: yields what is wrong, and notes. Pure."""

    findings: Callable[[Cluster], Iterator[Finding]]


def listed(names: Iterator[str] | frozenset[str] | tuple[str, ...] | list[str]) -> str:
    """Names for a sentence, in order, without doubles."""
    return ", ".join(sorted(set(names)))


def times(count: int, noun: str) -> str:
    """``1 shard``, ``2 shards``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
