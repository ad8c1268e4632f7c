# SPDX-License-Identifier: GPL-3.0-or-later
"""``units …``: keep services from starting with the machine for a time, and back.

The mark is written before the unit is disabled and removed after it is enabled: whatever dies in between, no unit
stays disabled without somebody who is to enable it.
"""

from __future__ import annotations

import argparse
import re
import subprocess
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from trivet.health.config import DISABLED_UNITS_DIRECTORY
from trivet.node.errors import AgentError
from trivet.node.flag_files import FlagFiles

SYSTEMD_SECONDS = 60.0


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``units …`` to the agent's command line."""
    commands = subparsers.add_parser("units", help="which services start with the machine").add_subparsers(
        required=True
    )
    disable = commands.add_parser("disable", help="keep services from starting with the machine for a time")
    disable.add_argument("unit", nargs="+", type=service_name)
    disable.add_argument("--owner", required=True, help="who disables (recorded)")
    disable.add_argument("--expires", required=True, type=float, metavar="SECONDS", help="then they are enabled again")
    disable.set_defaults(run=run_disable)
    enable = commands.add_parser("enable", help="let services start with the machine again")
    enable.add_argument("unit", nargs="+", type=service_name)
    enable.set_defaults(run=run_enable)


def service_name(text: str) -> str:
    """The name of a service without ``.service``.

    Raises:
        ArgumentTypeError: it is another kind of unit, or no name.
    """
    name = text.removesuffix(".service")
    if not re.fullmatch(r"[A-Za-z0-9@_-]+", name):
        raise argparse.ArgumentTypeError(f"{text!r} is not the name of a service")
    return name


def run_disable(args: argparse.Namespace, _config: Mapping[str, Any]) -> dict[str, Any]:
    """Disable units and note who did; a unit that runs goes on."""
    if args.expires <= 0:
        raise AgentError("--expires needs a positive number of seconds")
    marks = FlagFiles(DISABLED_UNITS_DIRECTORY)
    changed = any(marks.get(unit) is None for unit in args.unit)
    disabled = {unit: asdict(marks.set(unit, args.owner, args.expires)) for unit in args.unit}
    systemctl("disable", *args.unit)
    return {"disabled": disabled, "changed": changed}


def run_enable(args: argparse.Namespace, _config: Mapping[str, Any]) -> dict[str, Any]:
    """Enable units and remove their marks; none is started."""
    marked = {unit: enable(unit) for unit in args.unit}
    return {"enabled": list(marked), "changed": any(marked.values())}


def enable(unit: str) -> bool:
    """Let a service start with the machine again; whether it had been disabled here.

    Raises:
        AgentError: systemd does not do it; the mark stays.
    """
    systemctl("enable", unit)
    return FlagFiles(DISABLED_UNITS_DIRECTORY).clear(unit)


def systemctl(verb: str, *units: str) -> None:
    """Enable or disable services.

    Raises:
        AgentError: systemd does not do it.
    """
    words = ["systemctl", verb, *(f"{unit}.service" for unit in units)]
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, env=environment, timeout=SYSTEMD_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as problem:
        raise AgentError(f"{' '.join(words)} did not end within {SYSTEMD_SECONDS:.0f} s") from problem
    if done.returncode != 0:
        raise AgentError(f"{' '.join(words)}: {done.stderr.strip() or done.returncode}")
