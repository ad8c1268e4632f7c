# SPDX-License-Identifier: GPL-3.0-or-later
"""A change is refused while a node has another agent than the runner's."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, cast

import trivet.agent
from tests.unit.environments import environment
from tests.unit.rotation.simulation import Handle, World, change_of
from trivet.agent import archive
from trivet.model import Node
from trivet.remote import Nodes, RemoteResult
from trivet.rotation.agents import READ, foreign_agents
from trivet.rotation.change import Kind
from trivet.rotation.rotations import Rotations
from trivet.services.host.contract import AGENT_ARCHIVE

ROOT = Path(trivet.agent.__file__).parents[1]


class Answering:
    """Nodes that say what their agent's archive starts with."""

    def __init__(self, *results: RemoteResult) -> None:
        self.environment = environment()
        self.results = results

    def run_on(self, _nodes: tuple[Node, ...], command: list[str], timeout: float) -> tuple[RemoteResult, ...]:
        assert "/usr/local/lib/trivet/agent.pyz" in command[-1]
        return self.results


def found(*results: RemoteResult) -> tuple[str, ...]:
    return foreign_agents(cast("Nodes", Answering(*results)))


def test_another_agent_and_none_are_foreign_and_a_silent_node_is_not() -> None:
    same = RemoteResult("node-1", 0, f"{archive.starter(ROOT)}\n", "")
    other = RemoteResult("node-2", 0, archive.STARTER.format(key="0" * 16), "")
    none = RemoteResult("node-3", 1, "", "No such file or directory")
    silent = RemoteResult.unreached("node-4", "no route")
    assert found(same, other, none, silent) == ("node-2", "node-3")


def test_the_question_reads_what_the_archive_starts_with(tmp_path: Path) -> None:
    path = tmp_path / "agent.pyz"
    path.write_bytes(archive.build(ROOT))
    question = READ.replace(str(AGENT_ARCHIVE.default), str(path))
    answer = subprocess.run([sys.executable, "-I", "-S", "-c", question], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == archive.starter(ROOT).strip()
    assert zipfile.ZipFile(path).testzip() is None


def test_a_change_is_refused_before_anything_is_touched() -> None:
    plan: Any = Rotations(environment(), connect=Handle(World(foreign_agents=("node-2",)))).plan(change_of(Kind.RESIZE))
    (refusal,) = plan.refusals
    assert "the agent of node-2" in refusal.reason
    assert refusal.next_command.startswith("trivet converge ")


def test_a_node_that_is_replaced_needs_no_agent() -> None:
    plan: Any = Rotations(environment(), connect=Handle(World(foreign_agents=("node-2",)))).plan(
        change_of(Kind.REPLACE, ("node-2",))
    )
    assert plan.refusals == ()
