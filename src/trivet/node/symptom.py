# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong on a node that its agent could repair, and the look that it is seen by. Pure.

A symptom names its remedy, or none where only a human may decide. What is busy (a state transfer, a unit on its way, an
instance that loads, shards that move) is no symptom. How long a symptom must last, who acts and how often is decided
in ``trivet.agent.repair``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from trivet.health.config import NodeConfig
from trivet.health.facts import NodeFacts

DOWN_LOOKS = 2
"""systemd restarts what crashed within seconds; this is for what stays down."""
HUNG_LOOKS = 4
DISTURBED_LOOKS = 6
"""For what often mends itself: a member that finds its cluster again, a limit that a run is about to lift."""
OUTAGE_LOOKS = 3
DOWN = ("inactive", "failed")
SILENCE = re.compile(
    r"timed out|did not end in|still hangs|no answer in|ERROR 20\d\d|refuses connections|nobody listens|not mounted"
    r"|Resource temporarily unavailable"
    r"|closed the connection|closed connection|reset by peer|Connection failed|Transport endpoint is not connected"
)
"""How a service that is alive and does not answer is told of. All else (too many connections, no room, a question that
was not put in time) is no reason to restart it. ``ERROR 20xx`` are the errors of MariaDB's client; a unix socket whose
queue is full, since nobody accepts, is "temporarily unavailable"."""
START = "start"
"""An act of every unit."""
KILL = "kill"
"""Another: restart what does not react to a polite stop."""


@dataclass(frozen=True)
class Remedy:
    """An act and what it is done to, such as units, or an instance and an address."""

    kind: str
    """The act's name: one of the two above, or one that a service declares."""
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Symptom:
    """Something that is wrong."""

    service: str
    subject: str
    problem: str
    reason: str
    looks: int
    """How many looks in a row must find it before anything is done."""
    remedy: Remedy | None = None
    cluster_wide: bool = False
    """Every node sees the same one; one of them acts, and tells."""
    each_its_part: bool = False
    """Of a symptom of the whole cluster: the remedy is this node's own part, whoever tells of it."""
    alone: bool = False
    """Its remedy takes something away that may still serve: one node of the cluster at a time, under the lease."""
    waits: bool = False
    """Another node's turn: no human is needed, and only the one that tells for the cluster tells of it."""
    next_command: str | None = None

    @property
    def key(self) -> str:
        """What makes two looks see the same symptom."""
        return f"{self.service}/{self.subject}/{self.problem}"


@dataclass(frozen=True)
class View:
    """What one look found: this node, and the members whose agents answered."""

    config: NodeConfig
    own: NodeFacts
    peers: Mapping[str, NodeFacts] = field(default_factory=dict)
    reports: Mapping[str, Any] = field(default_factory=dict)
    """What an election of the database needs of this node and of the peers."""

    @property
    def heard(self) -> Mapping[str, NodeFacts]:
        """The members that can be spoken of: this node and the peers."""
        return {**self.peers, self.config.name: self.own}

    def state(self, unit: str) -> str:
        """State of a unit of this node."""
        return self.own.host.units.get(unit, "unknown")

    def served_elsewhere(self, serves: Callable[[NodeFacts], bool]) -> bool:
        """Whether a peer does what is to be taken away here; a member without partners has nobody to ask."""
        return len(self.config.members) == 1 or any(serves(facts) for facts in self.peers.values())


def stopped(view: View, service: str, units: tuple[str, ...]) -> Iterator[Symptom]:
    """Units that should run and do not."""
    for unit in units:
        if view.state(unit) in DOWN:
            reason = f"{unit} does not run (unit {view.state(unit)})"
            remedy = Remedy(START, (unit,))
            yield Symptom(service=service, subject=unit, problem="down", reason=reason, looks=DOWN_LOOKS, remedy=remedy)


def hung(
    view: View,
    service: str,
    units: tuple[str, ...],
    error: str | None,
    serves: Callable[[NodeFacts], bool],
    looks: int = HUNG_LOOKS,
) -> Iterator[Symptom]:
    """Units that are active while nobody answers for them; killed only while somebody else serves."""
    if error is None or not SILENCE.search(error) or any(view.state(unit) != "active" for unit in units):
        return
    elsewhere = view.served_elsewhere(serves)
    unit = units[0]
    yield Symptom(
        service=service,
        subject=unit,
        problem="hangs",
        reason=f"{unit} is alive and does not answer: {error}" + ("" if elsewhere else "; no other node serves it"),
        looks=looks,
        remedy=Remedy(KILL, units) if elsewhere else None,
        alone=True,
        next_command=None if elsewhere else f"ssh {view.config.address} systemctl restart {unit}",
    )
