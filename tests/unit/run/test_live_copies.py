# SPDX-License-Identifier: GPL-3.0-or-later
"""How lines reach the agents: in commands that a remote shell can take."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, cast

from tests.unit.environments import environment
from trivet.errors import RemoteError
from trivet.model import Node
from trivet.remote import Nodes
from trivet.run.copies import MOST_BYTES, NodeJournals


class Agents:
    """Agents that keep what they are told, but for one that stops answering."""

    def __init__(self, silent_after: dict[str, int] | None = None) -> None:
        self.environment = environment()
        self.kept: dict[str, list[int]] = {}
        self.longest = 0
        self._left = silent_after or {}

    def agent(self, node: Node, *words: str, timeout: float) -> dict[str, Any]:
        left = self._left.get(node.name)
        if left == 0:
            raise RemoteError("no answer")
        if left is not None:
            self._left[node.name] = left - 1
        assert words[:2] == ("journal", "append")
        self.longest = max(self.longest, sum(len(word) for word in words))
        self.kept.setdefault(node.name, []).extend(json.loads(word)["seq"] for word in words[3:])
        return {"stop_requested_by": None}

    def at_once(self, ask: Callable[[Node], Any], nodes: Iterable[Node]) -> list[Any]:
        return [ask(node) for node in nodes]


LINES = [{"seq": number, "text": "x" * 1000} for number in range(1, 201)]


def append(agents: Agents) -> dict[str, str | None]:
    return NodeJournals(cast("Nodes", agents)).append("one", {"node-1": LINES, "node-2": LINES[:3]})


def test_many_lines_go_in_pieces_that_a_shell_can_take() -> None:
    agents = Agents()
    assert append(agents) == {"node-1": None, "node-2": None}
    assert agents.kept == {"node-1": list(range(1, 201)), "node-2": [1, 2, 3]}
    assert MOST_BYTES / 2 < agents.longest < 2 * MOST_BYTES


def test_a_node_that_has_not_all_of_them_acknowledges_none() -> None:
    agents = Agents(silent_after={"node-1": 2})
    assert append(agents) == {"node-2": None}
    assert 0 < len(agents.kept["node-1"]) < len(LINES)
