# SPDX-License-Identifier: GPL-3.0-or-later
"""``collect``: the facts of all services of this node."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Mapping
from typing import Any

from trivet.health.collect import COLLECTORS, WITHOUT_HEAL, collect_node

NICENESS = 15
"""A look must not slow down the customers whom it is for: it starts some dozen programs, on every node at once."""


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``collect`` to the agent's command line."""
    command = subparsers.add_parser("collect", help="the facts of this node")
    command.add_argument("--without-heal", action="store_true", help="leave out what GlusterFS has to heal")
    command.set_defaults(run=run_collect)


def run_collect(args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """Ask all collectors of the health package."""
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    os.nice(NICENESS)
    try:
        return collect_node(config, WITHOUT_HEAL if args.without_heal else COLLECTORS)
    finally:
        # In a session, the next question may be the one that releases the clients. Only root may, and only root asks.
        with contextlib.suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, 0, usual)
