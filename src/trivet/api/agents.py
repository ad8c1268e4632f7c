# SPDX-License-Identifier: GPL-3.0-or-later
"""Pause and resume the repairs of the agents."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from trivet.errors import RemoteError
from trivet.model import Environment
from trivet.remote import Nodes


@dataclass(frozen=True, slots=True)
class AgentsAnswer:
    """What the agents of an environment said to an order.

    :param done: nodes that did it; with a pause, until when (epoch seconds of the node's clock).
    :param problems: nodes that did not, with the reason: their agents go on as before.
    """

    done: dict[str, float | None]
    problems: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return asdict(self)


def pause(environment: Environment, owner: str, seconds: float) -> AgentsAnswer:
    """Have the agents of all service nodes repair nothing for a time; they go on to look and to record."""
    return _order(environment, "pause", "--owner", owner, "--expires", str(seconds))


def resume(environment: Environment, owner: str) -> AgentsAnswer:
    """Have the agents of all service nodes repair again."""
    return _order(environment, "resume", "--owner", owner)


def _order(environment: Environment, *words: str) -> AgentsAnswer:
    answer = AgentsAnswer({}, {})
    with Nodes(environment) as nodes:
        for node in environment.nodes:
            try:
                said = nodes.agent(node, *words)
            except RemoteError as error:
                answer.problems[node.name] = error.message
            else:
                answer.done[node.name] = (said.get("paused") or {}).get("expires")
    return answer
