# SPDX-License-Identifier: GPL-3.0-or-later
"""``galera …``: this node's member of the Galera cluster."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from trivet.health.collectors import database
from trivet.health.config import NodeConfig
from trivet.health.external import Deadline

SECONDS = 5.0


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``galera status`` to the agent's command line."""
    commands = subparsers.add_parser("galera", help="this node's MariaDB").add_subparsers(required=True)
    commands.add_parser("status", help="its facts").set_defaults(run=run_status)


def run_status(_args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """The facts that the health verdict is made of."""
    return asdict(database.collect(NodeConfig.from_mapping(config), Deadline(SECONDS)))
