# SPDX-License-Identifier: GPL-3.0-or-later
"""The figures of a change that are kept as a result: few, flat, with their unit in the key. Pure."""

from __future__ import annotations

from typing import Any

from trivet.probe.report import ProbeReport
from trivet.report.change import Change, Ending


def figures_of(change: Change, probe: ProbeReport) -> dict[str, Any]:
    """The figures of a change with the probe beside it."""
    seconds = {node: _seconds(change, node) for node in change.node_names}
    return {
        "change": change.kind,
        "from": change.size_before,
        "to": change.size_after,
        "outcome": change.outcome.value,
        **customers(probe),
        "seconds": None if change.seconds is None else round(change.seconds, 1),
        "node_seconds": {node: round(sum(steps.values()), 1) for node, steps in seconds.items()},
        "step_seconds": seconds,
    }


def customers(probe: ProbeReport) -> dict[str, Any]:
    """What customers saw."""
    figures: dict[str, Any] = {
        "rate_per_second": probe.rate,
        "requests": probe.total.requests,
        "failed": probe.total.failures,
        "failed_by_kind": probe.total.failures_by_kind,
        "longest_gap_seconds": probe.longest_gap.seconds,
    }
    if probe.orders is not None:
        figures["orders_acknowledged"] = probe.orders.acknowledged
        figures["orders_found"] = probe.orders.found
        figures["orders_verified"] = probe.orders.verified
    for phase, found in probe.phases.items():
        if found.requests:
            figures[f"p50_{phase}_ms"] = round(found.latency_ms.p50, 1)
            figures[f"p99_{phase}_ms"] = round(found.latency_ms.p99, 1)
    during = probe.phases.get("during", probe.total)
    return {**figures, "longest_ms": round(during.latency_ms.maximum, 1)}


def _seconds(change: Change, node: str) -> dict[str, float]:
    steps: dict[str, float] = {}
    for attempt in change.of(node):
        if attempt.ending is Ending.DONE and attempt.seconds is not None:
            steps[attempt.step] = round(steps.get(attempt.step, 0.0) + attempt.seconds, 1)
    return steps
