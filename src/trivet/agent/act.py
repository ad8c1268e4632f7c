# SPDX-License-Identifier: GPL-3.0-or-later
"""Does what was decided. Each act says in a few words what it did, or raises ``AgentError``.

Starts are ordered and not waited for: a member may take an hour to get its state. What needs memory or must not end
with the agent (the recovery of a position, a bootstrap) runs in a unit of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from trivet.agent import redis_copy, search
from trivet.agent.errors import AgentError
from trivet.agent.events import EVENTS_DIRECTORY, EventJournal
from trivet.agent.galera import START_SECONDS, STOP_SECONDS, command
from trivet.agent.gluster import gluster
from trivet.agent.symptoms import Kind, Remedy
from trivet.health.config import NodeConfig
from trivet.health.external import Deadline, NoAnswer
from trivet.services.files.collect import brick_pids
from trivet.services.files.contract import VOLUME
from trivet.services.host import contract as host
from trivet.services.redis.collect import RedisClient, RedisRefusal, parse_instance
from trivet.services.redis.contract import INSTANCES

PROGRAM = str(host.AGENT_PROGRAM.default)
SYSTEMD_SECONDS = 60.0
SERVING_SECONDS = 100.0
"""How long a restarted unit is waited for, so that the next node does not restart its own meanwhile."""
CALL_SECONDS = 3.0
POLL_SECONDS = 1.0
KEEPS_ITS_CHILDREN = ("glusterd",)
"""Units whose other processes are not theirs to end: the bricks outlive the management daemon."""
WANTED = Path("/etc/systemd/system/multi-user.target.wants")
INSTALLED = Path("/usr/lib/systemd/system")
PHP_FPM = "php-fpm"


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``repair`` to the agent's command line."""
    repair = subparsers.add_parser("repair", help="one act of the healer, ordered by an operator's command")
    repair.add_argument("kind", type=Kind, choices=tuple(Kind))
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
    """The unit's whole name; PHP-FPM's has the version in it.

    After a change of the version two are installed, of which one starts with the machine. When somebody has disabled
    it, the latest is meant.
    """
    if unit != PHP_FPM:
        return f"{unit}.service"
    for folder in (WANTED, INSTALLED):
        if found := [path.name for path in folder.glob("php*-fpm.service")]:
            return max(found, key=lambda name: [int(number) for number in re.findall(r"\d+", name)])
    raise AgentError("no PHP-FPM is installed on this machine")


def _systemctl(verb: str, *words: str) -> None:
    command(["systemctl", verb, *words], SYSTEMD_SECONDS)


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


def _start_brick(_arguments: Sequence[str], config: NodeConfig, _data: Mapping[str, Any]) -> str:
    # On a volume that is started this starts what is missing, and touches nothing else.
    volume = config.terms[VOLUME]
    gluster("volume", "start", volume, "force")
    return f"started the missing processes of volume {volume}"


def _restart_brick(arguments: Sequence[str], config: NodeConfig, data: Mapping[str, Any]) -> str:
    for path in brick_pids(config.terms[VOLUME]):
        with contextlib.suppress(OSError, ValueError):
            pid = int(path.read_text(encoding="ascii"))
            if Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].endswith(b"glusterfsd"):
                os.kill(pid, signal.SIGKILL)
    return f"killed the brick; {_start_brick(arguments, config, data)}"


def _allow_allocation(_arguments: Sequence[str], _config: NodeConfig, data: Mapping[str, Any]) -> str:
    which, flag = search.allocation(data)
    if which == "all":
        return "it was all already"
    if flag is not None and flag.expires is not None:
        raise AgentError(f"{flag.owner} has limited the allocation meanwhile")
    search.allow_all(data)
    return f"allocation of shards: all, instead of {which}"


def _retry_allocation(_arguments: Sequence[str], _config: NodeConfig, data: Mapping[str, Any]) -> str:
    search.request(data, "POST", "/_cluster/reroute?retry_failed=true&metric=none")
    return "the cluster tries again to place its shards"


def _follow(arguments: Sequence[str], config: NodeConfig, _data: Mapping[str, Any]) -> str:
    name, primary = arguments
    port = config.terms[INSTANCES[name]]
    deadline = Deadline(CALL_SECONDS)
    try:
        with RedisClient(primary, port, config.redis_password, deadline) as client:
            if parse_instance(client.text("INFO")).role != "master":
                raise AgentError(f"{primary} is no primary of {name} any more")
        with RedisClient(config.address, port, config.redis_password, deadline) as client:
            client.ask("REPLICAOF", primary, str(port))
            client.ask("CONFIG", "REWRITE")
    except (NoAnswer, RedisRefusal) as problem:
        raise AgentError(f"{name}: {problem}") from problem
    return f"{name} follows {primary}"


def _fresh_copy(arguments: Sequence[str], config: NodeConfig, _data: Mapping[str, Any]) -> str:
    name, primary = arguments
    return redis_copy.take_anew(name, primary, config)


def _settle(_arguments: Sequence[str], _config: NodeConfig, _data: Mapping[str, Any]) -> str:
    apart("galera", "settle", seconds=STOP_SECONDS)
    return "MariaDB is at rest, its position is known"


def _bootstrap(arguments: Sequence[str], _config: NodeConfig, _data: Mapping[str, Any]) -> str:
    apart("galera", "bootstrap", "--position", arguments[0], seconds=START_SECONDS)
    return f"formed the primary component from {arguments[0]}"


def apart(*words: str, seconds: float) -> str:
    """Run a command of the agent in a transient unit: outside of this service's limits, and not ended with it.

    Raises:
        AgentError: it failed.
    """
    return command(["systemd-run", "--wait", "--pipe", "--quiet", "--collect", PROGRAM, *words], seconds).stdout


Act = Callable[[Sequence[str], NodeConfig, Mapping[str, Any]], str]
ACTS: dict[Kind, Act] = {
    Kind.START: _start,
    Kind.KILL: _kill,
    Kind.START_BRICK: _start_brick,
    Kind.RESTART_BRICK: _restart_brick,
    Kind.ALLOW_ALLOCATION: _allow_allocation,
    Kind.RETRY_ALLOCATION: _retry_allocation,
    Kind.FOLLOW: _follow,
    Kind.FRESH_COPY: _fresh_copy,
    Kind.SETTLE: _settle,
    Kind.BOOTSTRAP: _bootstrap,
}
