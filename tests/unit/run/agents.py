# SPDX-License-Identifier: GPL-3.0-or-later
"""Three nodes whose agents are the real ones, each with a directory of its own in the place of /var/lib/trivet."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from tests.unit.environments import environment
from trivet.agent import journal as agent_journal
from trivet.agent import lease as agent_lease
from trivet.errors import RemoteError
from trivet.model import Node


class Agents:
    """As :class:`trivet.remote.Nodes`.

    :param silent: nodes that do not answer, or have no agent yet.
    """

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.environment = environment()
        self.silent: set[str] = set()
        self._folder = folder
        self._patch = patch

    def __enter__(self) -> Agents:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def at_once(self, question: Callable[[Node], Any], nodes: Iterable[Node]) -> list[Any]:
        return [question(node) for node in nodes]

    def agent(self, node: Node, *words: str, timeout: float = 30.0) -> dict[str, Any]:
        if node.name in self.silent:
            raise RemoteError(f"{node.name} was not reached")
        with self._patch.context() as patch:
            patch.setattr(agent_journal, "JOURNAL_DIRECTORY", self._folder / node.name / "journals")
            patch.setattr(agent_lease, "LEASE_FILE", self._folder / node.name / "lease.json")
            parser = argparse.ArgumentParser()
            commands = parser.add_subparsers(required=True)
            agent_journal.add_commands(commands)
            agent_lease.add_commands(commands)
            args = parser.parse_args(list(words))
            try:
                answer: dict[str, Any] = args.run(args, {})
            except RuntimeError as error:
                raise RemoteError(f"{node.name}: {error}") from error
            return answer

    def run(self, node: Node, words: list[str], timeout: float = 30.0) -> None:
        self.agent(node, *words[1:])
