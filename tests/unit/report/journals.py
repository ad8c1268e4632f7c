# SPDX-License-Identifier: GPL-3.0-or-later
"""Journals and probe reports to make reports of."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from trivet.probe.contracts.demo import DEMO
from trivet.probe.report import Failure, Figures, Gap, Latency, Mark, NodeOrders, Orders, ProbeReport, Second

BEGAN = datetime(2026, 11, 24, 8, 0, tzinfo=UTC).timestamp()
STEPS = ("hand over", "drain", "gateway", "stop", "resize", "start", "gate", "undrain", "soak")
NODES = ("shop-1", "shop-2", "shop-3")
SECONDS_PER_STEP = 10.0
SEVEN_HOURS = 7 * 3600.0

Lines = list[dict[str, Any]]


def plan(nodes: tuple[str, ...] = NODES, **change: Any) -> dict[str, Any]:
    return {
        "seq": 0,
        "at": BEGAN,
        "kind": "plan",
        "owner": "operator@desk:1",
        "plan": {
            "environment": "production",
            "change": {
                "kind": "resize",
                "size_before": "6",
                "size_after": "12",
                "summary": "resize from 6 to 12",
                **change,
            },
            "nodes": [{"name": name, "reason": f"reason of {name}", "expected_seconds": 80} for name in nodes],
            "steps": [{"step": step, "what": f"what {step} does", "expected_seconds": 9} for step in STEPS],
        },
    }


def snapshot(when: str, at: float, *, nodes: tuple[str, ...] = NODES, state: str = "healthy", **facts: Any) -> Any:
    return {
        "at": at,
        "kind": "snapshot",
        "when": when,
        "state": state,
        "findings": [{"service": "database", "node": nodes[0], "state": state, "reason": f"the reason {when}"}],
        "nodes": {
            name: {"vcpus": 2, "memory_mib": 3840, "address": "192.0.2.1", "versions": {"mariadb": "10.11.6"}, **facts}
            for name in nodes
        },
    }


def steps(at: float, nodes: tuple[str, ...] = NODES) -> Lines:
    """Every step of every node, without a pause."""
    lines: Lines = []
    for node in nodes:
        for step in STEPS:
            lines.append({"at": at, "kind": "begin", "node": node, "step": step})
            at += SECONDS_PER_STEP
            lines.append({"at": at, "kind": "end", "node": node, "step": step, "seconds": SECONDS_PER_STEP})
    return lines


def whole_journal(nodes: tuple[str, ...] = NODES, **change: Any) -> Lines:
    body = steps(BEGAN + 2, nodes)
    after = snapshot("after", body[-1]["at"] + 1, nodes=nodes, vcpus=4, memory_mib=7680)
    done = {"at": after["at"] + 1, "kind": "done", "seconds": 312.0}
    lines = [plan(nodes, **change), snapshot("before", BEGAN + 1, nodes=nodes), *body, after, done]
    return [{**line, "seq": number} for number, line in enumerate(lines)]


def killed_and_resumed() -> Lines:
    """Killed within the start of the second node, resumed seven hours later, then undisturbed."""
    lines = whole_journal()
    cut = next(
        number
        for number, line in enumerate(lines)
        if line["kind"] == "begin" and (line["node"], line["step"]) == ("shop-2", "start")
    )
    rest = [{**line, "at": line["at"] + SEVEN_HOURS} for line in lines[cut:]]
    resumed = {"at": rest[0]["at"] - 1, "kind": "resumed", "owner": "colleague@desk:2"}
    return [*lines[: cut + 1], resumed, *rest]


WEB_NODES = ("shop-web-1", "shop-web-2")
OUT_STEPS = ("create", "admit", "configure", "gate", "enter", "verdict")
IN_STEPS = ("drain", "leave", "remove", "forget", "verdict")


def scaling(kind: str = "scale-out") -> Lines:
    """Two web nodes that come or go; each step is done for both at once."""
    names, (before, after) = list(WEB_NODES), (0, 2) if kind == "scale-out" else (2, 0)
    change = {
        "kind": kind,
        "nodes": names,
        "web_nodes_before": before,
        "web_nodes_after": after,
        "summary": f"{kind} of {', '.join(names)}",
        "command": f"trivet {kind} production --web 2",
    }
    steps = OUT_STEPS if kind == "scale-out" else IN_STEPS
    planned = {
        "environment": "production",
        "change": change,
        "nodes": [{"name": name, "reason": "a machine of the provider, size 6"} for name in names],
        "steps": [{"step": step, "what": f"what {step} does"} for step in steps],
    }
    at = BEGAN + 2
    body: Lines = []
    for step in steps:
        subject = {"node": ", ".join(names), "nodes": names, "step": step}
        body.append({"at": at, "kind": "begin", **subject})
        at += SECONDS_PER_STEP
        body.append({"at": at, "kind": "end", **subject, "seconds": SECONDS_PER_STEP})
    there = {moment: (*NODES, *WEB_NODES[:number]) for moment, number in (("before", before), ("after", after))}
    return [
        {"at": BEGAN, "kind": "plan", "owner": "operator@desk:1", "plan": planned},
        snapshot("before", BEGAN + 1, nodes=there["before"]),
        *body,
        snapshot("after", at + 1, nodes=there["after"]),
        {"at": at + 2, "kind": "done", "seconds": 62.0},
    ]


def figures(requests: int, failures: int = 0, p99: float = 40.0) -> Figures:
    kinds = {"status-5xx": failures} if failures else {}
    return Figures(requests, failures, kinds, Latency(8.0, 20.0, p99, 120.0) if requests > failures else Latency())


def probe(
    *,
    failures: tuple[Failure, ...] = (),
    seconds: float = 320.5,
    started: float = BEGAN - 20,
    rate: int = 25,
    missing: int = 0,
    verified: bool = True,
) -> ProbeReport:
    """A load from 20 s before the plan until after the end."""
    failed = {int(failure.at) for failure in failures}
    timeline = tuple(
        Second(
            number,
            "before" if number < 20 else "during",
            rate if number + 1 <= seconds else 12,
            sum(int(failure.at) == number for failure in failures),
            0.0 if number in failed and rate == 1 else 8.0,
            0.0 if number in failed and rate == 1 else 40.0,
        )
        for number in range(int(seconds) + 1)
    )
    total = sum(second.requests for second in timeline)
    return ProbeReport(
        contract=DEMO.described,
        started=datetime.fromtimestamp(started, UTC).isoformat(timespec="milliseconds"),
        seconds=seconds,
        rate=float(rate),
        urls=("http://192.0.2.21", "http://192.0.2.22"),
        total=figures(total, len(failures)),
        kinds={"home": figures(total, len(failures))},
        phases={"before": figures(500), "during": figures(total - 500, len(failures), p99=60.0)},
        marks=(Mark("before", 0.0), Mark("during", 20.0)),
        failures=failures,
        longest_gap=Gap(0.31, 100.0),
        gateway_gaps={"http://192.0.2.21": Gap(0.4, 90.0), "http://192.0.2.22": Gap(0.31, 100.0)},
        timeline=timeline,
        orders=Orders(
            700, 700 - missing, missing, 0, 0, verified, (NodeOrders("http://n1", 700 - missing, (), (), None),)
        ),
        served_by={"shop-1": 10, "shop-2": 20},
        own_lag_ms=2.0,
        unfinished=0,
    )


def failure(at: float, detail: str = "503 Service Unavailable", node: str | None = "shop-2") -> Failure:
    return Failure(at, "ignored", "order", "http://192.0.2.21/order", "status-5xx", detail, node, "during")
