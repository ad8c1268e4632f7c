# SPDX-License-Identifier: GPL-3.0-or-later
"""``logs …``: the last lines of what a node writes down of its application, or every line from now on."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trivet.node.errors import AgentError
from trivet.services.application import instance
from trivet.services.application.contract import HOME, UNIT
from trivet.services.application.instance import Instance
from trivet.services.application.shell import become
from trivet.services.application.workers import WORKER

FILES: Mapping[str, Path] = {"access": Path("/var/log/nginx/access.log"), "error": Path("/var/log/nginx/error.log")}
JOURNAL: Mapping[str, Sequence[str]] = {
    "php": (f"--unit={UNIT}*",),
    "cron": ("SYSLOG_IDENTIFIER=trivet-cron", "+", "_SYSTEMD_UNIT=trivet-cron.service"),
    "worker": (f"--unit={WORKER}*",),
}
OWN_FOLDERS = ("var/log", "log", "logs")
"""Where applications write their own: Magento's ``system.log`` and ``exception.log``, and what others use."""


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``logs`` to the agent's command line."""
    logs = subparsers.add_parser("logs", help="become a reader of a log of the application; without a name list them")
    logs.add_argument("name", nargs="?", default="")
    logs.add_argument("--lines", type=int, default=100)
    logs.add_argument("--follow", action="store_true")
    logs.set_defaults(run=run_logs)


def run_logs(args: argparse.Namespace, _config: Mapping[str, Any]) -> dict[str, Any]:
    """Become the reader; without a name, say which there are.

    Raises:
        AgentError: there is none of that name.
    """
    name = instance.current()
    own = own_files(instance.load(name)) if name is not None else {}
    if not args.name:
        return {"logs": [*FILES, *JOURNAL, *own]}
    words = reader(args.name, own, args.lines, follow=args.follow)
    return become(words)


def reader(name: str, own: Mapping[str, Path], lines: int, *, follow: bool) -> list[str]:
    """The program that reads a log. A file that is rotated meanwhile is followed by its name.

    Args:
        own: files that the application keeps, by their names.

    Raises:
        AgentError: there is none of that name; names those that there are.
    """
    if name in JOURNAL:
        options = ["--quiet", "--no-pager", "--output=short-iso", "--no-hostname", f"--lines={lines}"]
        return ["journalctl", *options, *(["--follow"] if follow else []), *JOURNAL[name]]
    known = {**own, **FILES}
    if name not in known:
        raise AgentError(f"there is no log {name!r} here; there are {', '.join([*FILES, *JOURNAL, *own])}")
    return ["tail", f"--lines={lines}", *(["--follow=name", "--retry"] if follow else []), str(known[name])]


def own_files(found: Instance) -> dict[str, Path]:
    """The logs that the application keeps in its mounts, by their names."""
    files = {}
    for folder in OWN_FOLDERS:
        inside = f"{HOME}/{folder}/"
        for mount in found.mounts:
            if inside.startswith(f"{mount.target}/"):
                source = Path(mount.source) / inside.removeprefix(f"{mount.target}/")
                files.update({path.name: path for path in sorted(source.glob("*.log"))})
    return files
