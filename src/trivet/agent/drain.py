# SPDX-License-Identifier: GPL-3.0-or-later
"""Drain flags: one file per service, which every HAProxy learns of by its agent check.

``/run/trivet/drain`` is a link to a directory on disk: a node that was drained, stopped and made larger comes back
drained, and stays so until its gate has passed or the flag has expired.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from trivet.health.config import DRAIN_DIRECTORY, NodeConfig
from trivet.node.drain import Drain
from trivet.node.errors import AgentError
from trivet.node.flag_files import FlagFiles
from trivet.services.parts import parts
from trivet.services.registry import DRAINABLE

SERVICES = DRAINABLE


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
    _refuse(selected(args.service), config)
    flags = FlagFiles(DRAIN_DIRECTORY)
    changed = any(flags.get(service) is None for service in selected(args.service))
    drained = {service: asdict(flags.set(service, args.owner, args.expires)) for service in selected(args.service)}
    return {"drained": drained, "changed": changed}


def _refuse(services: Iterable[str], config: Mapping[str, Any]) -> None:
    """Ask those services that have a say whether they may be drained now.

    Raises:
        AgentError: one may not.
    """
    says = parts("drain", Drain)
    for service in services:
        if service in says:
            says[service].refuse(NodeConfig.from_mapping(config))


def run_undrain(args: argparse.Namespace, _config: Mapping[str, Any]) -> dict[str, Any]:
    """Remove the flags."""
    flags = FlagFiles(DRAIN_DIRECTORY)
    cleared = [service for service in selected(args.service) if flags.clear(service)]
    return {"undrained": cleared, "changed": bool(cleared)}
