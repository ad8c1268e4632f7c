# SPDX-License-Identifier: GPL-3.0-or-later
"""``announce`` and ``withdraw``: a change says that this node may answer with something else than 200.

Without it a maintenance page is an outage. An announcement has an owner and an end.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from trivet.health.config import ANNOUNCED_DIRECTORY, ANNOUNCED_FLAG
from trivet.node.errors import AgentError
from trivet.node.flag_files import FlagFiles


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``announce`` and ``withdraw`` to the agent's command line."""
    announce = subparsers.add_parser("announce", help="the application may answer with something else than 200")
    announce.add_argument("--owner", required=True, help="the change that does it (recorded)")
    announce.add_argument("--expires", required=True, type=float, metavar="SECONDS", help="it ends by itself")
    announce.set_defaults(run=run_announce)
    withdraw = subparsers.add_parser("withdraw", help="anything but 200 is an outage again")
    withdraw.set_defaults(run=run_withdraw)


def run_announce(args: argparse.Namespace, _config: Mapping[str, Any]) -> dict[str, Any]:
    """Set the flag; one that is there is replaced."""
    if args.expires <= 0:
        raise AgentError("--expires needs a positive number of seconds")
    return {"announced": asdict(FlagFiles(ANNOUNCED_DIRECTORY).set(ANNOUNCED_FLAG, args.owner, args.expires))}


def run_withdraw(_args: argparse.Namespace, _config: Mapping[str, Any]) -> dict[str, Any]:
    """Remove the flag; harmless when there is none."""
    return {"withdrawn": FlagFiles(ANNOUNCED_DIRECTORY).clear(ANNOUNCED_FLAG)}
