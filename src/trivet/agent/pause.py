# SPDX-License-Identifier: GPL-3.0-or-later
"""``pause`` and ``resume``: whether the agent of this node repairs anything. A pause has an owner and an end."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from trivet.agent.events import EVENTS_DIRECTORY, EventJournal
from trivet.health.config import PAUSE_DIRECTORY, PAUSE_FLAG
from trivet.node.errors import AgentError
from trivet.node.flag_files import FlagFiles


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``pause`` and ``resume`` to the agent's command line."""
    pause = subparsers.add_parser("pause", help="repair nothing on this node for a time")
    pause.add_argument("--owner", required=True, help="who pauses (recorded)")
    pause.add_argument("--expires", required=True, type=float, metavar="SECONDS", help="the pause ends by itself")
    pause.set_defaults(run=run_pause)
    resume = subparsers.add_parser("resume", help="repair again")
    resume.add_argument("--owner", required=True, help="who resumes (recorded)")
    resume.set_defaults(run=run_resume)


def run_pause(args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """Set the flag; one that is there is replaced."""
    if args.expires <= 0:
        raise AgentError("--expires needs a positive number of seconds")
    flag = FlagFiles(PAUSE_DIRECTORY).set(PAUSE_FLAG, args.owner, args.expires)
    EventJournal(EVENTS_DIRECTORY).append(str(config["name"]), "paused", by=args.owner, expires=flag.expires)
    return {"paused": asdict(flag)}


def run_resume(args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """Remove the flag; harmless when there is none."""
    resumed = FlagFiles(PAUSE_DIRECTORY).clear(PAUSE_FLAG)
    if resumed:
        EventJournal(EVENTS_DIRECTORY).append(str(config["name"]), "resumed", by=args.owner)
    return {"resumed": resumed}
