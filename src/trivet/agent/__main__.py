# SPDX-License-Identifier: GPL-3.0-or-later
"""``trivet-agent``: one JSON answer on standard output; exit code 0, or 1 with ``{"error": …}``."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Sequence

from trivet.health.config import NODE_FILE

MODULES = {
    "serve": "serve",
    "collect": "collect",
    "compile": "compiled",
    "drain": "drain",
    "undrain": "drain",
    "proxy": "proxy",
    "gateway": "gateway",
    "redis": "redis",
    "galera": "galera",
    "search": "search",
    "gluster": "gluster",
    "lease": "lease",
    "units": "units",
    "flags": "flags",
    "journal": "journal",
    "events": "events",
    "pause": "pause",
    "resume": "pause",
    "heal": "heal",
    "repair": "act",
}
"""Which module of this package has a command. Only that one is loaded: a hand-over waits for every import."""
DONE_WITHOUT = {"serve": ("ssl",), "heal": ("_hashlib",)}
"""Parts of OpenSSL that a command which runs all the time does not need, and that the standard library loads when they
are there, at 4 MiB a process: ``asyncio`` does without TLS, ``hashlib`` and ``hmac`` with Python's own SHA-256."""


def build_parser(command: str | None = None) -> argparse.ArgumentParser:
    """The command line, of one command or (with an unknown one) of all; each sets ``run(args, config)``."""
    parser = argparse.ArgumentParser(prog="trivet-agent", description=__doc__)
    subparsers = parser.add_subparsers(required=True)
    wanted = [MODULES[command]] if command in MODULES else dict.fromkeys(MODULES.values())
    for name in wanted:
        importlib.import_module(f"trivet.agent.{name}").add_commands(subparsers)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    command = next(iter(words), None)
    for name in DONE_WITHOUT.get(command or "", ()):
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # An import of it fails, and is expected to.
    args = build_parser(command).parse_args(words)
    try:
        config = json.loads(NODE_FILE.read_text(encoding="utf-8"))
        answer = args.run(args, config)
    except KeyboardInterrupt:
        return 130
    except (RuntimeError, OSError, ValueError) as problem:
        # AgentError and GatewayError are RuntimeErrors; the other two tell of this node's files and configuration.
        print(json.dumps({"error": str(problem)}))
        return 1
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
