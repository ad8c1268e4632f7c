# SPDX-License-Identifier: GPL-3.0-or-later
"""The result of a probe, as typed values that turn into JSON and back."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Latency:
    """Latencies of the successful requests in milliseconds, from their scheduled start; 0 of none."""

    p50: float = 0.0
    p90: float = 0.0
    p99: float = 0.0
    maximum: float = 0.0


@dataclass(frozen=True, slots=True)
class Figures:
    """One group of requests: how many, how many failed and by which kind, how fast the others were."""

    requests: int
    failures: int
    failures_by_kind: dict[str, int]
    latency_ms: Latency

    @classmethod
    def from_json(cls, data: Json) -> Self:
        return cls(**{**data, "latency_ms": Latency(**data["latency_ms"])})


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed request; `at` is its scheduled start in seconds from the start of the run."""

    at: float
    time: str
    request: str
    url: str
    kind: str
    detail: str
    node: str | None
    phase: str


@dataclass(frozen=True, slots=True)
class Gap:
    """The longest time without a successful answer: seconds, beginning `since` seconds after the start."""

    seconds: float
    since: float


@dataclass(frozen=True, slots=True)
class Second:
    """One second of the timeline: the requests that were due in it."""

    second: int
    phase: str
    requests: int
    failures: int
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Mark:
    """A phase and when it began, in seconds from the start."""

    phase: str
    at: float


@dataclass(frozen=True, slots=True)
class Described:
    """What a report says of the contract that the probe kept to.

    Args:
        name: The contract.
        mix: Its mix of requests in words.
        writes: The kinds of request that change something.
        orders: What the application acknowledges and each node is asked for afterwards, in the plural; None where
            nothing is.
    """

    name: str
    mix: str
    writes: tuple[str, ...]
    orders: str | None

    @classmethod
    def from_json(cls, data: Json) -> Self:
        return cls(**{**data, "writes": tuple(data["writes"])})


@dataclass(frozen=True, slots=True)
class NodeOrders:
    """What one verified URL knew of the acknowledged orders; `error` when it could not be asked."""

    url: str
    found: int
    missing: tuple[int, ...]
    duplicates: tuple[int, ...]
    error: str | None


@dataclass(frozen=True, slots=True)
class Orders:
    """Acknowledged orders against the nodes' own lists.

    `found` were there exactly once on every node; `missing` on at least one node not at all; `duplicates`
    counts keys that made more than one order, `unacknowledged` those without an answer.
    `verified` says that every node was asked.
    """

    acknowledged: int
    found: int
    missing: int
    duplicates: int
    unacknowledged: int
    verified: bool
    nodes: tuple[NodeOrders, ...]

    @property
    def all_found(self) -> bool:
        """Every node was asked and has every acknowledged order exactly once."""
        return self.verified and self.found == self.acknowledged

    @classmethod
    def from_json(cls, data: Json) -> Self:
        nodes = tuple(
            NodeOrders(**{**node, "missing": tuple(node["missing"]), "duplicates": tuple(node["duplicates"])})
            for node in data["nodes"]
        )
        return cls(**{**data, "nodes": nodes})


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """All that a run found.

    `served_by` counts answers by the X-Node that gave them. `own_lag_ms` is the most that the probe itself
    began a request late: latencies below it say more about the probe's machine than about the shop.
    `unfinished` requests were in flight when a second interruption cut the run short.
    """

    contract: Described
    started: str
    seconds: float
    rate: float
    urls: tuple[str, ...]
    total: Figures
    kinds: dict[str, Figures]
    phases: dict[str, Figures]
    marks: tuple[Mark, ...]
    failures: tuple[Failure, ...]
    longest_gap: Gap
    gateway_gaps: dict[str, Gap]
    timeline: tuple[Second, ...]
    orders: Orders | None
    """None where the contract has nothing that is looked up."""
    served_by: dict[str, int]
    own_lag_ms: float
    unfinished: int

    @property
    def ok(self) -> bool:
        """No request failed, and every acknowledged order was found exactly once on every node."""
        complete = not self.total.failures and not self.unfinished
        return complete and (self.orders is None or self.orders.all_found)

    def to_json(self) -> Json:
        """As JSON-able values; `ok` is added for readers without this class."""
        return {"ok": self.ok, **asdict(self)}

    @classmethod
    def from_json(cls, data: Json) -> Self:
        """The inverse of `to_json`."""
        values = {name: value for name, value in data.items() if name != "ok"}
        return cls(
            **{
                **values,
                "contract": Described.from_json(data["contract"]),
                "urls": tuple(data["urls"]),
                "total": Figures.from_json(data["total"]),
                "kinds": {name: Figures.from_json(value) for name, value in data["kinds"].items()},
                "phases": {name: Figures.from_json(value) for name, value in data["phases"].items()},
                "marks": tuple(Mark(**value) for value in data["marks"]),
                "failures": tuple(Failure(**value) for value in data["failures"]),
                "longest_gap": Gap(**data["longest_gap"]),
                "gateway_gaps": {url: Gap(**value) for url, value in data["gateway_gaps"].items()},
                "timeline": tuple(Second(**value) for value in data["timeline"]),
                "orders": None if data["orders"] is None else Orders.from_json(data["orders"]),
            }
        )


@dataclass(frozen=True, slots=True)
class LiveFigures:
    """How it goes right now, for a progress display; `p99_ms` is that of the answers of the last second."""

    seconds: float = 0.0
    requests: int = 0
    failures: int = 0
    in_flight: int = 0
    p99_ms: float = 0.0
    phase: str = ""
    state: str = "starting"
    """starting, running, draining, verifying or done."""
