# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the nodes have the agent that this runner was made with: another may not know what a change asks of it."""

from __future__ import annotations

from pathlib import Path

import trivet.agent
from trivet.agent import archive
from trivet.remote import Nodes
from trivet.services.host.contract import AGENT_ARCHIVE

READ = f"import zipfile; print(zipfile.ZipFile('{AGENT_ARCHIVE.default}').read('__main__.py').decode())"
"""What the archive starts with names its sources; its bytes depend on the zlib of the machine that packed it."""


def foreign_agents(nodes: Nodes) -> tuple[str, ...]:
    """Names of the nodes that answer and have another agent, or none."""
    own = archive.starter(Path(trivet.agent.__file__).parents[1]).strip()
    answers = nodes.run_on(nodes.environment.proxies, ["python3", "-I", "-S", "-c", READ], timeout=20)
    return tuple(answer.node for answer in answers if answer.reached and answer.output.strip() != own)
