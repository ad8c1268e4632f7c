# SPDX-License-Identifier: GPL-3.0-or-later
"""Does what was decided. Each act says in a few words what it did, or raises ``AgentError``.

Starts are ordered and not waited for: a member may take an hour to get its state. What needs memory or must not end
with the agent (the recovery of a position, a bootstrap) runs in a unit of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trivet.agent.events import EVENTS_DIRECTORY, EventJournal
from trivet.agent.symptoms import REPAIRS
from trivet.health.config import NodeConfig
from trivet.node.command import run_command
from trivet.node.errors import AgentError
from trivet.node.repair import Act
from trivet.node.symptom import KILL, START, Remedy
from trivet.services.application import instance
from trivet.services.application.contract import UNIT

SYSTEMD_SECONDS = 60.0
SERVING_SECONDS = 100.0
"""How long a restarted unit is waited for, so that the next node does not restart its own meanwhile."""
POLL_SECONDS = 1.0
KEEPS_ITS_CHILDREN = ("glusterd",)
"""Units whose other processes are not theirs to end: the bricks outlive the management daemon."""
WANTED = Path("/etc/systemd/system/multi-user.target.wants")
INSTALLED = Path("/usr/lib/systemd/system")
PHP_FPM = "php-fpm"


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``repair`` to the agent's command line."""
    repair = subparsers.add_parser("repair", help="one act of the healer, ordered by an operator's command")
    repair.add_argument("kind", choices=tuple(ACTS))
    repair.add_argument("arguments", nargs="*")
    repair.add_argument("--owner", required=True, help="who orders it (recorded)")
    repair.set_defaults(run=run_repair)


def run_repair(args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """Do one thing, and record who ordered it."""
    node = NodeConfig.from_mapping(config)
    did = perform(Remedy(args.kind, tuple(args.arguments)), node, config)
    EventJournal(EVENTS_DIRECTORY).append(node.name, "repaired", text=did, by=args.owner)
    return {"node": node.name, "did": did}


def perform(remedy: Remedy, config: NodeConfig, data: Mapping[str, Any]) -> str:
    """Do it.

    Args:
        data: the content of ``node.json``.

    Raises:
        AgentError: it could not be done.
    """
    return ACTS[remedy.kind](remedy.arguments, config, data)


def service(unit: str) -> str:
    """The unit's whole name; PHP-FPM's is that of the instance that serves, or has the version in it.

    After a change of the version two are installed, of which one starts with the machine. When somebody has disabled
    it, the latest is meant.
    """
    if unit != PHP_FPM:
        return f"{unit}.service"
    if (name := instance.current()) is not None:
        return f"{UNIT}{name}.service"
    for folder in (WANTED, INSTALLED):
        if found := [path.name for path in folder.glob("php*-fpm.service")]:
            return max(found, key=lambda name: [int(number) for number in re.findall(r"\d+", name)])
    raise AgentError("no PHP-FPM is installed on this machine")


def _systemctl(verb: str, *words: str) -> None:
    run_command(["systemctl", verb, *words], SYSTEMD_SECONDS)


def _start(units: Sequence[str], _config: NodeConfig, _data: Mapping[str, Any]) -> str:
    names = [service(unit) for unit in units]
    for name in names:
        # A unit that failed too often is not started by systemd any more; how often is the agent's to decide now.
        # systemd refuses to reset one that it has forgotten, as one that is stopped and disabled.
        with contextlib.suppress(AgentError):
            _systemctl("reset-failed", name)
    _systemctl("start", "--no-block", *names)
    return f"started {', '.join(names)}"


def _kill(units: Sequence[str], _config: NodeConfig, _data: Mapping[str, Any]) -> str:
    """Restart what does not react: a stopped process gets no SIGTERM, and MariaDB's unit never sends SIGKILL."""
    for unit in units:
        whom = "main" if unit in KEEPS_ITS_CHILDREN else "all"
        # Nothing to kill is as good.
        with contextlib.suppress(AgentError):
            _systemctl("kill", "--signal=SIGKILL", f"--kill-whom={whom}", service(unit))
    names = [service(unit) for unit in units]
    _systemctl("restart", "--no-block", *names)
    return f"killed {', '.join(units)}; restarted {', '.join(names)}; {_wait_active(names)}"


def _wait_active(names: Sequence[str]) -> str:
    end = time.monotonic() + SERVING_SECONDS
    while time.monotonic() < end:
        with contextlib.suppress(AgentError):
            _systemctl("is-active", "--quiet", *names)
            return "active again"
        time.sleep(POLL_SECONDS)
    return f"not active yet after {SERVING_SECONDS:.0f} s"


ACTS: dict[str, Act] = {
    START: _start,
    KILL: _kill,
    **{name: act for repair in REPAIRS.values() for name, act in repair.acts.items()},
}
