# SPDX-License-Identifier: GPL-3.0-or-later
"""What a change tells, and the probe beside it: as a line for people, or as JSON."""

from __future__ import annotations

from trivet.api.changes import (
    Event,
    LeaseTold,
    Noted,
    ProbeBegan,
    ProbeSeen,
    Progressed,
    Replanned,
    Reported,
    RunBegan,
    StepBegan,
    StepEnded,
)
from trivet.cli.output import Output


def tell(output: Output, event: Event) -> None:
    """Show an event."""
    if output.json:
        values = event.to_dict()
        output.event(values.pop("event"), **values)
    else:
        output.event(event.kind, text=told(event))


def told(event: Event) -> str:
    """An event in a line."""
    match event:
        case RunBegan():
            return f"{event.summary}; journal {event.journal}"
        case Replanned():
            return f"planned anew: {event.reason}"
        case StepBegan():
            return f"{_of(event.node)}{event.step} …"
        case StepEnded():
            return f"{_of(event.node)}{event.step} done in {event.seconds:.1f} s"
        case Progressed():
            return f"{event.node}:   {event.text}"
        case ProbeBegan():
            load = f"{event.rate:g} requests/s of contract {event.contract}"
            return f"probe: {load} on {', '.join(event.urls)}; events in {event.events}"
        case ProbeSeen():
            return f"  probe: {event.requests} requests, {event.failures} failed, p99 {event.p99_ms} ms"
        case Reported():
            return f"report: {event.html}"
        case LeaseTold() | Noted():
            return event.text
    return event.kind


def _of(node: str | None) -> str:
    return f"{node}: " if node else ""
