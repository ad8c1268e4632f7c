# SPDX-License-Identifier: GPL-3.0-or-later
"""``galera …``: this node's member of the Galera cluster."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from trivet.health.collectors import database
from trivet.health.config import NodeConfig
from trivet.health.external import Deadline

SECONDS = 5.0
POLL_SECONDS = 0.05


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``galera status`` to the agent's command line."""
    commands = subparsers.add_parser("galera", help="this node's MariaDB").add_subparsers(required=True)
    commands.add_parser("status", help="its facts").set_defaults(run=run_status)
    applied = commands.add_parser("applied", help="wait until a commit has been applied here")
    applied.add_argument("seqno", type=int)
    applied.add_argument("--wait", type=float, required=True, metavar="SECONDS", help="at most so long")
    applied.set_defaults(run=run_applied)


def run_status(_args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """The facts that the health verdict is made of."""
    return asdict(database.collect(NodeConfig.from_mapping(config), Deadline(SECONDS)))


def run_applied(args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """Wait for a commit: the writer is held meanwhile, so the questions are put here and not over the network."""
    node = NodeConfig.from_mapping(config)
    end = time.monotonic() + args.wait
    while True:
        committed = database.collect(node, Deadline(SECONDS)).last_committed
        if (committed or 0) >= args.seqno or time.monotonic() >= end:
            return {"last_committed": committed, "applied": (committed or 0) >= args.seqno}
        time.sleep(POLL_SECONDS)
