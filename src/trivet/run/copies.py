# SPDX-License-Identifier: GPL-3.0-or-later
"""The nodes' copies of the journals, which the agents keep."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any, Protocol

from trivet.errors import RemoteError, TrivetError
from trivet.model import Node
from trivet.remote import Nodes

Line = dict[str, Any]

MOST_BYTES = 64 * 1024
"""Of lines in one command: the kernel takes 128 KiB in one argument, which a remote shell's whole command is."""


class JournalCopies(Protocol):
    """The nodes' copies of the journals."""

    @property
    def nodes(self) -> tuple[str, ...]:
        """Names of the nodes that keep a copy."""

    def append(self, journal: str, lines: Mapping[str, list[Line]]) -> dict[str, str | None]:
        """Append lines to the copies, by node; of those that have them on disk, who asked the runner to stop there."""

    def read(self, journal: str) -> dict[str, list[Line]]:
        """The copies of the nodes that answer."""

    def summaries(self) -> dict[str, list[dict[str, Any]]]:
        """Summaries of all journals, by node that answers."""

    def request_stop(self, journal: str, by: str) -> tuple[str, ...]:
        """Ask the runner of a journal to stop; names of the nodes that keep the request."""


class NodeJournals:
    """The copies that the agents keep."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes

    @property
    def nodes(self) -> tuple[str, ...]:
        """Names of the nodes."""
        return tuple(node.name for node in self._nodes.environment.nodes)

    def append(self, journal: str, lines: Mapping[str, list[Line]]) -> dict[str, str | None]:
        """Append lines by ``trivet-agent journal append``, on all nodes at once."""
        pieces = {name: _pieces([json.dumps(line) for line in own]) for name, own in lines.items()}
        acknowledged: dict[str, str | None] = {}
        for number in range(max(map(len, pieces.values()), default=0)):
            due = {
                name: ["journal", "append", journal, *own[number]] for name, own in pieces.items() if number < len(own)
            }
            answers = self._each(due)
            for name in due:
                if name not in answers:
                    # What it lacks is sent again with the next line.
                    pieces[name] = []
                    acknowledged.pop(name, None)
                else:
                    acknowledged[name] = answers[name].get("stop_requested_by")
        return acknowledged

    def read(self, journal: str) -> dict[str, list[Line]]:
        """The copies of the nodes that answer."""
        return {
            name: answer["lines"] for name, answer in self._each(self._everywhere("journal", "read", journal)).items()
        }

    def summaries(self) -> dict[str, list[dict[str, Any]]]:
        """Summaries of all journals, by node that answers."""
        return {name: answer["journals"] for name, answer in self._each(self._everywhere("journal", "list")).items()}

    def request_stop(self, journal: str, by: str) -> tuple[str, ...]:
        """Ask the runner of a journal to stop at its next safe point; names of the nodes that keep the request.

        :raises TrivetError: when no node does.
        """
        kept = tuple(self._each(self._everywhere("journal", "stop", journal, "--by", by)))
        if not kept:
            raise TrivetError(f"no node could be asked to stop {journal}")
        return kept

    def _everywhere(self, *words: str) -> dict[str, list[str]]:
        return {name: list(words) for name in self.nodes}

    def _each(self, commands: Mapping[str, list[str]]) -> dict[str, dict[str, Any]]:
        """The agents' answers to a command each, by node, all at once; a silent node is left out."""

        def ask(node: Node) -> tuple[str, dict[str, Any] | None]:
            try:
                return node.name, self._nodes.agent(node, *commands[node.name], timeout=15)
            except RemoteError:
                return node.name, None

        asked = [node for node in self._nodes.environment.nodes if node.name in commands]
        answers = self._nodes.at_once(ask, asked)
        return {name: answer for name, answer in answers if answer is not None}


def _pieces(lines: list[str]) -> list[list[str]]:
    """Lines in order, in pieces that fit into one command line of a shell: at most MOST_BYTES each, or one line."""
    pieces: list[list[str]] = []
    room = 0
    for line in lines:
        size = len(shlex.quote(line).encode())
        if size > room:
            pieces.append([])
            room = MOST_BYTES
        pieces[-1].append(line)
        room -= size
    return pieces
