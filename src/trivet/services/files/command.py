# SPDX-License-Identifier: GPL-3.0-or-later
"""``gluster …``: make the shared files whole again."""

from __future__ import annotations

import argparse
import subprocess
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from typing import Any

from trivet.health.config import NodeConfig
from trivet.node.errors import AgentError
from trivet.services.files.contract import VOLUME

COMMAND_SECONDS = 60.0
HEAL_SECONDS = 600.0
POLL_SECONDS = 1.0


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``gluster …`` to the agent's command line."""
    commands = subparsers.add_parser("gluster", help="the shared files").add_subparsers(required=True)
    heal = commands.add_parser("heal", help="heal now, and wait until nothing is left to heal")
    heal.add_argument("--timeout", type=float, default=HEAL_SECONDS, metavar="SECONDS")
    heal.set_defaults(run=run_heal)


def run_heal(args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """Trigger the heal of the volume instead of waiting for the crawl (every 600 s), then wait for its end."""
    started = time.monotonic()
    volume = NodeConfig.from_mapping(config).terms[VOLUME]
    gluster("volume", "heal", volume)
    while True:
        left = pending_entries(gluster("volume", "heal", volume, "info", "--xml"))
        if left == 0:
            return {"volume": volume, "pending": 0, "seconds": round(time.monotonic() - started, 3)}
        if time.monotonic() - started >= args.timeout:
            told = "a brick does not answer" if left is None else f"{left} entries wait to be healed"
            raise AgentError(f"volume {volume}: {told} after {args.timeout:.0f} s")
        time.sleep(POLL_SECONDS)


def pending_entries(answer: str) -> int | None:
    """Entries that wait to be healed on all bricks; None while a brick does not tell.

    Raises:
        AgentError: the answer cannot be read.
    """
    try:
        bricks = ElementTree.fromstring(answer).findall("./healInfo/bricks/brick")
    except ElementTree.ParseError as problem:
        raise AgentError(f"gluster's answer cannot be read: {problem}") from problem
    counts = [brick.findtext("numberOfEntries", "") for brick in bricks]
    if not counts or not all(count.isdigit() for count in counts):
        return None
    return sum(map(int, counts))


def gluster(*words: str) -> str:
    """Run gluster's command.

    Raises:
        AgentError: it failed or did not end in time.
    """
    try:
        done = subprocess.run(
            ("gluster", "--mode=script", *words), capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise AgentError(f"gluster {' '.join(words)}: {problem}") from problem
    if done.returncode != 0:
        raise AgentError(f"gluster {' '.join(words)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout
