# SPDX-License-Identifier: GPL-3.0-or-later
"""``trivet-agent``: one JSON answer on standard output; exit code 0, or 1 with ``{"error": …}``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from trivet.agent import drain, galera, gateway, gluster, proxy, redis, search
from trivet.agent.errors import AgentError
from trivet.health.config import NODE_FILE


def build_parser() -> argparse.ArgumentParser:
    """The whole command line; each command sets ``run(args, config)``, which returns the answer."""
    parser = argparse.ArgumentParser(prog="trivet-agent", description=__doc__)
    subparsers = parser.add_subparsers(required=True)
    subparsers.add_parser("collect", help="the facts of this node").set_defaults(run=run_collect)
    subparsers.add_parser("serve", help="answer agent checks, hold connections").set_defaults(run=run_serve)
    for commands in (drain, proxy, gateway, redis, galera, search, gluster):
        commands.add_commands(subparsers)
    return parser


def run_collect(_args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """All collectors of the health package."""
    from trivet.health.collect import collect_node

    return collect_node(config)


def run_serve(args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """The service."""
    from trivet.agent import serve

    return serve.run_serve(args, config)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command."""
    args = build_parser().parse_args(arguments)
    try:
        config = json.loads(NODE_FILE.read_text(encoding="utf-8"))
        answer = args.run(args, config)
    except KeyboardInterrupt:
        return 0
    except (AgentError, gateway.GatewayError, OSError, ValueError) as problem:
        print(json.dumps({"error": str(problem)}))
        return 1
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
