# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rolling change is for, and the steps that a node goes through for it. Pure.

Every change is made by the same engine: one node at a time is taken out, something is done to it, and it must prove
itself before it serves again. Kinds differ in that something alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from trivet.errors import InputError
from trivet.model import Environment


class Step(StrEnum):
    """The steps of one node, in their order. From STOP on the node is touched: a failure leaves it drained."""

    HAND_OVER = "hand over"
    DRAIN = "drain"
    GATEWAY = "gateway"
    STOP = "stop"
    RESIZE = "resize"
    PATCH = "patch"
    REBOOT = "reboot"
    REPLACE = "replace"
    START = "start"
    GATE = "gate"
    UNDRAIN = "undrain"
    SOAK = "soak"


TAKES_OUT = (Step.HAND_OVER, Step.DRAIN, Step.GATEWAY, Step.STOP)
BRINGS_BACK = (Step.START, Step.GATE, Step.UNDRAIN, Step.SOAK)

WHAT_HAPPENS: Mapping[Step, str] = {
    Step.HAND_OVER: "database writer and Redis primaries move to another node; new connections are held meanwhile",
    Step.DRAIN: "every HAProxy sends nothing new to the node; requests in flight end; shards are flushed",
    Step.GATEWAY: "its gateway addresses move to the next node without cutting a connection",
    Step.STOP: "services stop, the volume of shared files last",
    Step.RESIZE: "the provider stops the machine, gives it its new size and starts it",
    Step.PATCH: "its packages are upgraded while no service of it runs; the machine is restarted when one needs it",
    Step.REBOOT: "the provider stops the machine and starts it",
    Step.REPLACE: "the provider removes the machine and makes a new one, which is set up from nothing",
    Step.START: "services are configured for what the node has, started, and rejoin",
    Step.GATE: "every service of the node is healthy in a fresh verdict, or the rotation halts",
    Step.UNDRAIN: "the proxies use the node again, its gateway address comes home",
    Step.SOAK: "the whole environment stays healthy under load before the next node",
}


class Kind(StrEnum):
    """What is done to a node while it is out."""

    RESIZE = "resize"
    RESTART = "restart"
    PATCH = "patch"
    REPLACE = "replace"


def is_rolling(change: Mapping[str, Any]) -> bool:
    """Whether a journal's change is one of these, and not one of web nodes.

    :param change: as :meth:`Change.to_dict` gives it.
    """
    return change.get("kind") in [kind.value for kind in Kind]


@dataclass(frozen=True, slots=True)
class Change:
    """One rolling change.

    :param nodes: names of the nodes that are changed.
    :param size: for a resize, the size that they get.
    :param size_before: for a resize, the size that a rollback gives back.
    :param reboot: for a restart, restart the machines too and not only the services.
    :param rolls_back: id of the journal of the change that this one takes back.
    """

    kind: Kind
    nodes: tuple[str, ...]
    size: str = ""
    size_before: str = ""
    reboot: bool = False
    rolls_back: str = ""

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps of each node, in order."""
        middle = {
            Kind.RESIZE: (Step.RESIZE,),
            Kind.RESTART: (Step.REBOOT,) if self.reboot else (),
            Kind.PATCH: (Step.PATCH,),
            Kind.REPLACE: (Step.REPLACE,),
        }[self.kind]
        return (*TAKES_OUT, *middle, *BRINGS_BACK)

    @property
    def needs_machines(self) -> tuple[str, ...]:
        """Nodes whose machines must be there for it: one that is replaced may be gone already."""
        return () if self.kind is Kind.REPLACE else self.nodes

    @property
    def new_machines(self) -> tuple[str, ...]:
        """Nodes whose machines are made anew."""
        return self.nodes if self.kind is Kind.REPLACE else ()

    @property
    def purpose(self) -> str:
        """What for, in words for another operator."""
        if self.rolls_back:
            return f"roll {', '.join(self.nodes)} back to size {self.size}"
        return {
            Kind.RESIZE: f"resize to size {self.size}",
            Kind.RESTART: f"restart of {'the machines' if self.reboot else 'the services'} of {', '.join(self.nodes)}",
            Kind.PATCH: f"package updates of {', '.join(self.nodes)}",
            Kind.REPLACE: f"replacement of {', '.join(self.nodes)}",
        }[self.kind]

    @classmethod
    def resize(cls, environment: Environment, size: str) -> Change:
        """All nodes of an environment to a size."""
        names = tuple(node.name for node in environment.nodes)
        return cls(Kind.RESIZE, names, size=size, size_before=environment.size)

    def rolled_back(self, journal: str, touched: tuple[str, ...]) -> Change:
        """The change that takes this one back on the nodes that it has touched.

        :raises InputError: when it cannot be taken back, with the reason.
        """
        if self.kind is not Kind.RESIZE:
            reasons = {
                Kind.RESTART: "a restart leaves nothing to take back",
                Kind.PATCH: "packages are not downgraded: their data files may have been converted",
                Kind.REPLACE: "the machine that was replaced is gone",
            }
            raise InputError(
                f"a {self.kind} cannot be rolled back: {reasons[self.kind]}",
                "trivet rotation resume ENV, or trivet rotation abort ENV to leave it as it is",
            )
        return Change(Kind.RESIZE, touched, self.size_before, self.size, rolls_back=journal)

    def to_dict(self) -> dict[str, Any]:
        """As JSON data; :meth:`from_dict` reads it back."""
        return {
            "kind": self.kind.value,
            "nodes": list(self.nodes),
            "size": self.size,
            "size_before": self.size_before,
            "reboot": self.reboot,
            "rolls_back": self.rolls_back,
            "summary": self.purpose,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Change:
        """Read what :meth:`to_dict` gave."""
        return cls(
            Kind(data["kind"]),
            tuple(data["nodes"]),
            str(data["size"]),
            str(data["size_before"]),
            bool(data["reboot"]),
            str(data["rolls_back"]),
        )
