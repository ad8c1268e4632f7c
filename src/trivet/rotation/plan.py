# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rotation will do: the order of the nodes with its reasons, and the steps of each. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Step(StrEnum):
    """The steps of one node, in their order. From STOP on the node is touched: a failure leaves it drained."""

    HAND_OVER = "hand over"
    DRAIN = "drain"
    GATEWAY = "gateway"
    STOP = "stop"
    RESIZE = "resize"
    START = "start"
    GATE = "gate"
    UNDRAIN = "undrain"
    SOAK = "soak"


WHAT_HAPPENS: Mapping[Step, str] = {
    Step.HAND_OVER: "database writer and Redis primaries move to another node; new connections are held meanwhile",
    Step.DRAIN: "every HAProxy sends nothing new to the node; requests in flight end; shards are flushed",
    Step.GATEWAY: "its gateway addresses move to the next node without cutting a connection",
    Step.STOP: "services stop in the order in which they use each other",
    Step.RESIZE: "the provider stops the machine, gives it its new size and starts it",
    Step.START: "services are configured for the new size, started, and rejoin",
    Step.GATE: "every service of the node is healthy in a fresh verdict, or the rotation halts",
    Step.UNDRAIN: "the proxies use the node again, its gateway address comes home",
    Step.SOAK: "the whole environment stays healthy under load before the next node",
}


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
    """A node in the order of the rotation, and why it stands there."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """A rotation to a size, before it is applied."""

    environment: str
    size_before: str
    size_after: str
    nodes: tuple[PlannedNode, ...]
    steps: tuple[Step, ...] = tuple(Step)

    def to_dict(self) -> dict[str, object]:
        """As JSON data."""
        return {
            "environment": self.environment,
            "size_before": self.size_before,
            "size_after": self.size_after,
            "nodes": [{"name": node.name, "reason": node.reason} for node in self.nodes],
            "steps": [{"step": step.value, "what": WHAT_HAPPENS[step]} for step in self.steps],
        }


def ordered(roles: Mapping[str, Roles]) -> tuple[PlannedNode, ...]:
    """The nodes, those that hold fewest roles first: each hand-over costs customers some latency.

    :param roles: by node name, in the order of the inventory, which decides among equals.
    """
    positions = {name: position for position, name in enumerate(roles)}
    names: Sequence[str] = sorted(roles, key=lambda name: (len(roles[name].reasons()), positions[name]))
    planned = []
    for name in names:
        reasons = roles[name].reasons()
        planned.append(
            PlannedNode(name, ("last ones: " if reasons else "first: ") + (", ".join(reasons) or "holds no role"))
        )
    return tuple(planned)
