# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of ``trivet-agent``: where each one lives, its arguments, and the answer to one of them."""

from __future__ import annotations

import argparse
import importlib
import json
from collections.abc import Sequence
from typing import Any

from trivet.health.config import NODE_FILE

MODULES = {
    "serve": "agent.serve",
    "session": "agent.session",
    "collect": "agent.collect",
    "compile": "agent.compiled",
    "drain": "agent.drain",
    "undrain": "agent.drain",
    "lease": "agent.lease",
    "units": "agent.units",
    "flags": "agent.flags",
    "journal": "agent.journal",
    "events": "agent.events",
    "announce": "agent.announce",
    "withdraw": "agent.announce",
    "pause": "agent.pause",
    "resume": "agent.pause",
    "heal": "agent.heal",
    "repair": "agent.act",
    "proxy": "services.proxy.command",
    "gateway": "services.gateway.command",
    "galera": "services.database.command",
    "redis": "services.redis.command",
    "search": "services.search.command",
    "rabbitmq": "services.rabbitmq.command",
    "gluster": "services.files.command",
    "release": "services.application.command",
    "cron": "services.application.crons",
    "application": "services.application.shell",
    "logs": "services.application.logs",
}
"""Which module of Trivet has a command. Only that one is loaded: a hand-over waits for every import."""


def build_parser(command: str | None = None) -> argparse.ArgumentParser:
    """The command line, of one command or (with an unknown one) of all; each sets ``run(args, config)``."""
    parser = argparse.ArgumentParser(
        prog="trivet-agent",
        description="One JSON answer on standard output; exit code 0, or 1 with {'error': …}.",
    )
    subparsers = parser.add_subparsers(required=True)
    wanted = [MODULES[command]] if command in MODULES else dict.fromkeys(MODULES.values())
    for name in wanted:
        importlib.import_module(f"trivet.{name}").add_commands(subparsers)
    return parser


def answer(words: Sequence[str]) -> tuple[int, dict[str, Any]]:
    """Run one command: its exit code, and what it says.

    Raises:
        SystemExit: the words are no command, or ask for help (:mod:`argparse`).
    """
    args = build_parser(next(iter(words), None)).parse_args(words)
    try:
        config = json.loads(NODE_FILE.read_text(encoding="utf-8"))
        said: dict[str, Any] = args.run(args, config)
    except (RuntimeError, OSError, ValueError) as problem:
        # AgentError and GatewayError are RuntimeErrors; the other two tell of this node's files and configuration.
        return 1, {"error": str(problem)}
    return 0, said
