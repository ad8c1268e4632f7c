# SPDX-License-Identifier: GPL-3.0-or-later
"""What a change will do: the nodes in order with reasons, their steps, how long, and what refuses it. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from trivet.rotation.change import WHAT_HAPPENS, Change, Step


@dataclass(frozen=True, slots=True)
class Roles:
    """What a node holds that must be handed over.

    :param gateways: gateway addresses it answers.
    :param home: the gateway address that is at home on it.
    """

    writer: bool = False
    redis_primaries: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    home: str = ""

    def reasons(self) -> list[str]:
        """Why the node should go late."""
        reasons = []
        if self.writer:
            reasons.append("holds the database writer")
        if self.redis_primaries:
            reasons.append("holds the Redis primary of " + " and ".join(self.redis_primaries))
        foreign = [address for address in self.gateways if address != self.home]
        if foreign:
            reasons.append("holds the foreign gateway address " + ", ".join(foreign))
        return reasons


@dataclass(frozen=True, slots=True)
class PlannedNode:
    """A node in the order of the rotation, and why it stands there.

    :param actions: what each service of it will do, in words.
    """

    name: str
    reason: str
    actions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a change is not made, and what to run next."""

    reason: str
    next_command: str | None = None


class Refusing(Protocol):
    """A plan that may be refused."""

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """Why it is."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A change before it is applied.

    :param expected: seconds of each step as they were in the past; empty without a history.
    :param refusals: why it would not be made as things are; an applied plan has none.
    :param warnings: what the operator should know, and what refuses nothing.
    """

    environment: str
    change: Change
    nodes: tuple[PlannedNode, ...]
    expected: Mapping[str, float] = field(default_factory=dict)
    refusals: tuple[Refusal, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps of each node."""
        return self.change.steps

    @property
    def node_seconds(self) -> float | None:
        """Seconds that a node is expected to take; None when a step was never done before."""
        if any(step.value not in self.expected for step in self.steps):
            return None
        return round(sum(self.expected[step.value] for step in self.steps), 1)

    @property
    def seconds(self) -> float | None:
        """Seconds that the whole change is expected to take."""
        return None if self.node_seconds is None else round(self.node_seconds * len(self.nodes), 1)

    def differences(self, earlier: Plan) -> list[str]:
        """What has changed in the cluster since an earlier plan of the same change, in words."""
        words = []
        mine, theirs = [node.name for node in self.nodes], [node.name for node in earlier.nodes]
        if mine != theirs:
            words.append(f"the order is now {', '.join(mine)} and was {', '.join(theirs)}")
        before = {node.name: node.reason for node in earlier.nodes}
        words += [
            f"{node.name} now {node.reason}, and then {before[node.name]}"
            for node in self.nodes
            if node.name in before and node.reason != before[node.name]
        ]
        return words

    def to_dict(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "environment": self.environment,
            "change": self.change.to_dict(),
            "nodes": [
                {
                    "name": node.name,
                    "reason": node.reason,
                    "actions": list(node.actions),
                    "expected_seconds": self.node_seconds,
                }
                for node in self.nodes
            ],
            "steps": [
                {"step": step.value, "what": WHAT_HAPPENS[step], "expected_seconds": self.expected.get(step.value)}
                for step in self.steps
            ],
            "expected_seconds": self.seconds,
            "refusals": [{"reason": item.reason, "next": item.next_command} for item in self.refusals],
            "warnings": list(self.warnings),
        }


def ordered(roles: Mapping[str, Roles]) -> tuple[PlannedNode, ...]:
    """The nodes, those that hold fewest roles first: each hand-over costs customers some latency.

    :param roles: by node name, in the order of the inventory, which decides among equals.
    """
    positions = {name: position for position, name in enumerate(roles)}
    names: Sequence[str] = sorted(roles, key=lambda name: (len(roles[name].reasons()), positions[name]))
    return tuple(
        PlannedNode(name, ", ".join(roles[name].reasons()) or "holds no role", _actions(roles[name])) for name in names
    )


def _actions(roles: Roles) -> tuple[str, ...]:
    """What each service of a node will do."""
    database = "hands the writer over, then leaves" if roles.writer else "leaves"
    instances = " and ".join(roles.redis_primaries)
    redis = f"hands the primary of {instances} over by Sentinel, then stops" if instances else "stops as a replica"
    addresses = ", ".join(roles.gateways)
    return (
        f"gateway: {f'{addresses} moves to the next node and comes home' if addresses else 'holds no address'}",
        "web: no new requests; those in flight are answered",
        f"database: {database} the cluster cleanly and rejoins by IST from a donor's cache (SST if that is too short)",
        f"redis: {redis} and resyncs",
        "search: shards stay where they are while it is away, and catch up",
        "files: its copy heals before the node serves again",
    )


def expected_seconds(history: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Seconds of each step, the median over the changes that are done.

    :param history: summaries of journals, as ``trivet-agent journal list`` gives them.
    """
    seen: dict[str, list[float]] = {}
    for summary in history:
        if summary.get("state") == "done":
            for step, seconds in summary.get("seconds", {}).items():
                seen.setdefault(step, []).append(float(seconds))
    return {step: round(statistics.median(values), 1) for step, values in seen.items()}
