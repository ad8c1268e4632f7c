# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node says about itself: plain facts, gathered by the collectors, judged by the verdict.

Here are those of the machine, which all rules look at; a service's own are in its folder (:mod:`trivet.services`).
Every service's facts share two fields. ``error`` says why the collector could not answer; ``down`` is true
when the service is known not to run (its port refuses, its unit is inactive). An error without ``down``
means that nothing is known, which is never the same as healthy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any, ClassVar, TypeVar


@dataclass(frozen=True, kw_only=True)
class Flag:
    """Something that was set on a node or a cluster for a time: by whom, since when and until when.

    Moments are epoch seconds, None where the flag does not say (``expires`` None: it does not end by itself).
    """

    owner: str = "unknown"
    since: float | None = None
    expires: float | None = None


@dataclass(frozen=True, kw_only=True)
class ServiceFacts:
    """The two fields that every service's facts have."""

    NAME: ClassVar[str] = ""
    """Under which a node tells them; empty for what is a part of others."""

    error: str | None = None
    down: bool = False


@dataclass(frozen=True, kw_only=True)
class Disk:
    """Room on one file system, in percent of what an ordinary user may use."""

    free_percent: float
    free_mib: int
    free_inodes_percent: float


@dataclass(frozen=True, kw_only=True)
class Drain(Flag):
    """A drain flag: who took the service out, and why."""

    reason: str = ""


class LeaseMode(StrEnum):
    """What a lease keeps others from.

    Two leases may be held at the same time when neither keeps the other's owner from its work: a repair beside a
    backup. Every other pair excludes each other.
    """

    HANDS_OFF = "hands-off"
    """Nobody else acts on the environment, no healer either."""
    NO_CHANGE = "no-change"
    """Nobody changes the environment; healers go on."""
    REPAIR = "repair"
    """What a healer takes while it repairs what concerns the cluster."""


RELOAD, RESTART = "reload", "restart"


@dataclass(frozen=True, kw_only=True)
class Pending:
    """A changed configuration that its service has not taken yet."""

    service: str
    kind: str
    """``reload``: the next converge makes it effective. ``restart``: the next rotation does."""
    reason: str = ""
    since: float | None = None
    """Epoch seconds; None where the mark does not say."""


@dataclass(frozen=True, kw_only=True)
class Vote(Flag):
    """This node's vote in the environment's lease, and what its owner wants it for."""

    purpose: str = ""
    mode: str = LeaseMode.HANDS_OFF
    """A :class:`LeaseMode`; what an older agent wrote has none, and keeps everybody off."""


@dataclass(frozen=True, kw_only=True)
class HostFacts(ServiceFacts):
    """The machine under the services."""

    NAME = "host"

    hostname: str = ""
    clock: float = 0.0
    """Wall clock, epoch seconds, at the moment of collection."""
    clock_source: str | None = None
    """What chrony follows; None when chrony does not run or follows nothing."""
    clock_offset_seconds: float | None = None
    load: tuple[float, float, float] = (0.0, 0.0, 0.0)
    vcpus: int = 0
    memory_mib: int = 0
    memory_available_mib: int = 0
    disks: dict[str, Disk] = field(default_factory=dict)
    """The file systems that services write to, each by one directory on it."""
    package_lock: bool = False
    failed_units: tuple[str, ...] = ()
    uptime_seconds: float = 0.0
    kernel: str = ""
    pending: tuple[Pending, ...] = ()
    """What waits for a reload or a restart."""
    drains: dict[str, Drain] = field(default_factory=dict)
    disabled_units: dict[str, Flag] = field(default_factory=dict)
    """Units that do not start with the machine for a time."""
    vote: Vote | None = None
    """None when nobody has this node's vote, or it has expired."""
    pause: Flag | None = None
    """Who keeps the agent of this node from repairing; None when nobody does, or the pause has expired."""
    announced: Flag | None = None
    """Who has announced that the application may answer with something else than 200, such as a deploy; None when
    nobody has, or the announcement has expired."""
    units: dict[str, str] = field(default_factory=dict)
    """States of the services that should run here, as systemd has them; ``php-fpm`` of the version that is there."""
    falls: dict[str, tuple[float, ...]] = field(default_factory=dict)
    """When systemd started services again by itself in the last minutes (epoch seconds), by unit."""


@dataclass(frozen=True, kw_only=True)
class IdentityFacts(ServiceFacts):
    """As what this node was set up: the names by which its peers know it. No service; nothing of it is measured."""

    NAME = "identity"

    environment: str = ""
    node_id: int = 0
    address: str = ""
    gateways: tuple[str, ...] = ()
    settings: dict[str, str] = field(default_factory=dict)
    """The contracts' settings that stay as they are; empty from an agent of an earlier release."""


Facts = TypeVar("Facts", bound=ServiceFacts)


def by_name(*facts: ServiceFacts) -> dict[str, ServiceFacts]:
    """Facts of services, by the names under which a node tells them."""
    return {item.NAME: item for item in facts}


@dataclass(frozen=True, kw_only=True)
class NodeFacts:
    """All facts of one node, gathered in one go."""

    node: str
    address: str = ""
    seconds: float = 0.0
    """How long the collection took."""
    services: Mapping[str, ServiceFacts] = field(default_factory=dict)
    """By their names; :meth:`of` asks for those of one service."""
    host: HostFacts = HostFacts(error="not collected")
    identity: IdentityFacts = IdentityFacts(error="not collected")
    asked_at: float | None = None
    answered_at: float | None = None
    """The asker's clock around the question, epoch seconds; they bound how far the node's is off."""

    def of(self, kind: type[Facts]) -> Facts:
        """The facts of one service; where nobody collected them, facts that say so."""
        facts = self.services.get(kind.NAME)
        return facts if isinstance(facts, kind) else kind(error="not collected")

    def having(self, *facts: ServiceFacts) -> NodeFacts:
        """The same with other facts of some services."""
        return replace(self, services={**self.services, **by_name(*facts)})

    def to_dict(self) -> dict[str, Any]:
        """The facts as JSON-able plain data; ``trivet.verdict.facts.facts_from_dict`` reads them back."""
        own = asdict(replace(self, services={}))
        del own["services"]
        return {**own, **{name: asdict(facts) for name, facts in self.services.items()}}

    def drained(self, service: str) -> Drain | None:
        """The drain flag that takes ``service`` out on this node, unless it has expired."""
        drain = self.host.drains.get(service) or self.host.drains.get("all")
        if drain is None or (drain.expires is not None and drain.expires <= self.host.clock):
            return None
        return drain


@dataclass(frozen=True)
class Unreachable:
    """Stands for the facts of a node that did not answer."""

    reason: str


ClusterFacts = Mapping[str, NodeFacts | Unreachable]
"""What is known of all nodes, by node name."""


def answering(facts: ClusterFacts) -> dict[str, NodeFacts]:
    """The facts of the nodes that answered."""
    return {name: node for name, node in facts.items() if not isinstance(node, Unreachable)}
