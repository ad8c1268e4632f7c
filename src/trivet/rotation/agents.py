# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the nodes have the agent that this runner was made with: another may not know what a change asks of it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import trivet.agent
from trivet.agent import archive
from trivet.remote import Nodes


def foreign_agents(nodes: Nodes) -> tuple[str, ...]:
    """Names of the nodes that answer and have another agent, or none."""
    own = hashlib.sha256(archive.build(Path(trivet.agent.__file__).parents[1])).hexdigest()
    answers = nodes.run_on(nodes.environment.proxies, ["sha256sum", archive.INSTALLED], timeout=20)
    return tuple(answer.node for answer in answers if answer.reached and answer.output.split(" ")[0] != own)
