# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts of a node as they come from its collectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trivet.health.decode import decode
from trivet.health.facts import Facts, HostFacts, IdentityFacts, NodeFacts, ServiceFacts, by_name
from trivet.services.parts import parts

KINDS = {kind.NAME: kind for kind in parts("facts", type).values() if issubclass(kind, ServiceFacts)}
"""What a node tells of its services, by the names under which it does."""


UNSAID = NodeFacts(node="")


def facts_from_dict(
    data: Mapping[str, Any], *, asked_at: float | None = None, answered_at: float | None = None
) -> NodeFacts:
    """Read what ``collect_node`` gave on a node.

    Unknown keys are ignored, since a node may carry another release of the agent. Facts of a service that do
    not fit give that service an ``error`` instead of spoiling the other services.

    Raises:
        ValueError: ``data`` does not name its node, so it is no answer of a collector.
    """
    if not isinstance(data.get("node"), str):
        raise ValueError("the facts name no node")
    seconds = data.get("seconds")
    return NodeFacts(
        node=data["node"],
        address=str(data.get("address", "")),
        seconds=float(seconds) if isinstance(seconds, int | float) else 0.0,
        services=by_name(*(_read(kind, data[name]) for name, kind in KINDS.items() if name in data)),
        host=_read(HostFacts, data["host"]) if "host" in data else UNSAID.host,
        identity=_read(IdentityFacts, data["identity"]) if "identity" in data else UNSAID.identity,
        asked_at=asked_at,
        answered_at=answered_at,
    )


def _read(kind: type[Facts], value: Any) -> Facts:
    try:
        facts: Facts = decode(kind, value)
    except (TypeError, ValueError) as problem:
        return kind(error=f"facts not understood: {problem}")
    return facts
