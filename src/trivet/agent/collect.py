# SPDX-License-Identifier: GPL-3.0-or-later
"""``collect``: the facts of all services of this node."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from trivet.agent.priority import unhurried
from trivet.verdict.collect import COLLECTORS, OFTEN, collect_node


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``collect`` to the agent's command line."""
    command = subparsers.add_parser("collect", help="the facts of this node")
    command.add_argument("--without-heal", action="store_true", help="leave out what GlusterFS has to heal")
    command.set_defaults(run=run_collect)


def run_collect(args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """Ask all collectors of the health package."""
    # It starts some dozen programs, on every node.
    with unhurried():
        return collect_node(config, OFTEN if args.without_heal else COLLECTORS)
