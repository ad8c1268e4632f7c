# SPDX-License-Identifier: GPL-3.0-or-later
"""Drain flags: one small file per service, with an owner and an end, kept across a restart of the node.

``/run/trivet/drain`` is a link to a directory on disk: a node that was drained, stopped and made larger comes back
drained, and stays so until its gate has passed or the flag has expired.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trivet.agent.errors import AgentError
from trivet.health.collectors import redis
from trivet.health.config import DRAIN_DIRECTORY, NodeConfig
from trivet.health.external import Deadline

REDIS_SECONDS = 3.0
SERVICES = ("web", "database", "redis", "search")


@dataclass(frozen=True)
class Flag:
    """Who drained a service, since when and until when (seconds since the epoch)."""

    owner: str
    since: float
    expires: float


class Flags:
    """The flags of this node."""

    def __init__(self, directory: Path = DRAIN_DIRECTORY) -> None:
        self.directory = directory

    def get(self, service: str, now: float | None = None) -> Flag | None:
        """The flag of a service, None when there is none, it cannot be read, or it has expired."""
        flag = self._read(service)
        return flag if flag and flag.expires > (time.time() if now is None else now) else None

    def set(self, service: str, owner: str, seconds: float) -> Flag:
        """Drain a service for at most ``seconds``; a flag that is there is replaced."""
        now = time.time()
        present = self.get(service, now)
        since = present.since if present and present.owner == owner else now
        flag = Flag(owner=owner, since=since, expires=now + seconds)
        path = self.directory / service
        staged = path.with_name(f".{service}.new")
        self.directory.mkdir(parents=True, exist_ok=True)
        with staged.open("w", encoding="utf-8") as file:
            json.dump(asdict(flag), file)
            file.flush()
            os.fsync(file.fileno())
        staged.replace(path)
        return flag

    def clear(self, service: str) -> bool:
        """Remove a flag; whether there was one."""
        try:
            (self.directory / service).unlink()
        except FileNotFoundError:
            return False
        return True

    def remove_expired(self) -> list[str]:
        """Remove the flags whose time is over; the services they stood for."""
        now = time.time()
        return [
            service
            for service in SERVICES
            if (flag := self._read(service)) and flag.expires <= now and self.clear(service)
        ]

    def _read(self, service: str) -> Flag | None:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            data = json.loads((self.directory / service).read_bytes())
            return Flag(str(data["owner"]), float(data["since"]), float(data["expires"]))
        return None


def selected(service: str) -> tuple[str, ...]:
    """The services that a word on the command line names."""
    return SERVICES if service == "all" else (service,)


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``drain`` and ``undrain`` to the agent's command line."""
    drain = subparsers.add_parser("drain", help="ask every proxy to send this node no new work")
    drain.add_argument("service", choices=(*SERVICES, "all"))
    drain.add_argument("--owner", required=True, help="who drains (recorded)")
    drain.add_argument("--expires", required=True, type=float, metavar="SECONDS", help="the flag ends by itself")
    drain.set_defaults(run=run_drain)
    undrain = subparsers.add_parser("undrain", help="take part again")
    undrain.add_argument("service", choices=(*SERVICES, "all"))
    undrain.set_defaults(run=run_undrain)


def run_drain(args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """Set the flags."""
    if args.expires <= 0:
        raise AgentError("--expires needs a positive number of seconds")
    if "redis" in selected(args.service):
        refuse_primary(config)
    flags = Flags()
    changed = any(flags.get(service) is None for service in selected(args.service))
    drained = {service: asdict(flags.set(service, args.owner, args.expires)) for service in selected(args.service)}
    return {"drained": drained, "changed": changed}


def refuse_primary(config: Mapping[str, Any]) -> None:
    """Refuse to drain the Redis of a primary: the proxies would have nobody left, and the clients would wait in vain.

    Raises:
        AgentError: an instance here is the primary; names the command that hands it over.
    """
    node = NodeConfig.from_mapping(config)
    found = redis.collect(node, Deadline(REDIS_SECONDS))
    for name, instance in found.instances.items():
        if instance.role == "master":
            raise AgentError(f"{node.name} is the primary of {name}: first `trivet-agent redis failover {name}`")


def run_undrain(args: argparse.Namespace, _config: Mapping[str, Any]) -> dict[str, Any]:
    """Remove the flags."""
    flags = Flags()
    cleared = [service for service in selected(args.service) if flags.clear(service)]
    return {"undrained": cleared, "changed": bool(cleared)}
