# SPDX-License-Identifier: GPL-3.0-or-later
"""One timeline of all nodes: failures, decisions and repairs of the agents, and the steps of rolling changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from trivet.agent.journal import merge
from trivet.errors import RemoteError
from trivet.model import Environment, Node
from trivet.remote import Nodes

Event = dict[str, Any]
BY_A_RUN = "run"
"""Stands for the node of an event that a runner wrote about no node."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """What happened, the oldest first.

    :param events: each with ``at`` (epoch seconds by the clock of who wrote it), ``node``, ``kind`` and ``text``.
    :param silent: nodes whose events are missing, with the reason.
    """

    events: tuple[Event, ...]
    silent: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return asdict(self)


def events(environment: Environment, since: float) -> Timeline:
    """The events of all service nodes later than a moment (epoch seconds). A silent node is part of the answer."""
    silent: dict[str, str] = {}
    with Nodes(environment) as nodes:
        asked = nodes.at_once(lambda node: _events_of(nodes, node, since), environment.nodes)
        found = [event for answer in asked if isinstance(answer, list) for event in answer]
        silent = {
            node.name: answer for node, answer in zip(environment.nodes, asked, strict=True) if isinstance(answer, str)
        }
        found += _changes(nodes, [node for node in environment.nodes if node.name not in silent], since)
    return Timeline(tuple(sorted(found, key=lambda event: float(event["at"]))), silent)


def _events_of(nodes: Nodes, node: Node, since: float) -> list[Event] | str:
    try:
        answer = nodes.agent(node, "events", "--since", str(since))
    except RemoteError as error:
        return error.message
    return [{**event, "text": told(event)} for event in answer["events"]]


def told(event: Mapping[str, Any]) -> str:
    """An event of an agent in words."""
    reason = str(event.get("text") or event.get("reason") or event.get("incident") or "")
    by = f"by {event['by']}" if event.get("by") else ""
    remedy = event.get("remedy") or {}
    act = " ".join([str(remedy.get("kind", "")), *map(str, remedy.get("arguments") or ())]).strip()
    attempt = f"attempt {event['attempt']}" if event.get("attempt") else ""
    return "; ".join(part for part in (act, reason, attempt, by) if part)


def _changes(nodes: Nodes, answering: Iterable[Node], since: float) -> list[Event]:
    """The lines of the journals of rolling changes that went on after a moment; each node's copy may have gaps."""
    copies: dict[str, list[list[Mapping[str, Any]]]] = {}
    for node in answering:
        try:
            recent = [item for item in nodes.agent(node, "journal", "list")["journals"] if (item["last"] or 0) > since]
            for item in recent:
                copies.setdefault(item["id"], []).append(nodes.agent(node, "journal", "read", item["id"])["lines"])
        except RemoteError:
            continue  # Another node has the lines too.
    lines = ((name, line) for name, found in copies.items() for line in merge(found))
    return [_change(name, line) for name, line in lines if float(line.get("at", 0)) > since]


def _change(journal: str, line: Mapping[str, Any]) -> Event:
    words = (line.get("step"), line.get("text") or line.get("reason") or line.get("message"))
    return {
        "at": float(line["at"]),
        "node": str(line.get("node") or BY_A_RUN),
        "kind": f"change {line.get('kind')}",
        "text": ": ".join(str(word) for word in words if word) or journal,
        "journal": journal,
    }
