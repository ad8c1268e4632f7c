# SPDX-License-Identifier: GPL-3.0-or-later
"""``rabbitmq …``: this node's broker, for the role and for a node's turn."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from trivet.health.config import NodeConfig
from trivet.health.external import Deadline, NoAnswer
from trivet.node.errors import AgentError
from trivet.services.rabbitmq.broker import Refused
from trivet.services.rabbitmq.cluster import Member, Report, why_not_form
from trivet.services.rabbitmq.collect import collect
from trivet.services.rabbitmq.definitions import Definitions, set_limits

SECONDS = 5.0
MIB = 2**20


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``rabbitmq …`` to the agent's command line."""
    commands = subparsers.add_parser("rabbitmq", help="this node's broker").add_subparsers(required=True)
    for name, run, words in (
        ("state", run_state, "its facts, whether it is settled, and the queues that need it"),
        ("report", run_report, "what it has of a cluster, running or not"),
        ("elect", run_elect, "whether a new cluster may be formed, from the reports of all nodes on standard input"),
        ("start", run_start, "start it; one without a cluster joins that of the others"),
        ("form", run_form, "form a new cluster of this node alone"),
        ("apply", run_apply, "make what the application finds, from JSON on standard input"),
        ("take-part", run_take_part, "take clients again, and a share of the queues' leaders"),
        ("grow", run_grow, "give this node a copy of every queue"),
    ):
        commands.add_parser(name, help=words).set_defaults(run=_told(run))
    settle = commands.add_parser("settle", help="wait until it is in its cluster, with a copy of every queue")
    settle.add_argument("seconds", type=float)
    settle.set_defaults(run=_told(run_settle))
    hand_over = commands.add_parser("hand-over", help="hand the queues' leaders to others, and send the clients there")
    hand_over.add_argument("--wait", type=float, required=True, metavar="SECONDS", help="until no queue needs it")
    hand_over.set_defaults(run=_told(run_hand_over))
    limits = commands.add_parser("limits", help="give it its limits of memory and disk")
    limits.add_argument("--memory-mib", type=int, required=True)
    limits.add_argument("--disk-mib", type=int, required=True)
    limits.set_defaults(run=_told(run_limits))


def _told(run: Any) -> Any:
    """A command whose failures are an operator's sentence."""

    def told(args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = run(args, NodeConfig.from_mapping(config))
        except (NoAnswer, Refused) as problem:
            raise AgentError(str(problem)) from problem
        return answer

    return told


def member_of(config: NodeConfig) -> Member:
    """This node's broker."""
    return Member(config.name, [member.name for member in config.members if member.name != config.name])


def run_state(_args: argparse.Namespace, config: NodeConfig) -> dict[str, Any]:
    """How it stands; a broker that does not answer is needed by nobody."""
    member = member_of(config)
    missing = member.unsettled()
    facts = collect(config, Deadline(SECONDS))
    needed_by = member.critical() if facts.error is None and facts.up else []
    return {**asdict(facts), "settled": missing is None, "missing": missing, "needed_by": needed_by}


def run_report(_args: argparse.Namespace, config: NodeConfig) -> dict[str, Any]:
    """What it has, for an election."""
    return asdict(member_of(config).report())


def run_elect(_args: argparse.Namespace, config: NodeConfig) -> dict[str, Any]:
    """Whether nobody has anything."""
    reports = {name: Report.from_dict(item) for name, item in json.load(sys.stdin).items()}
    why_not = why_not_form([member.name for member in config.members], reports)
    return {"may_form": why_not is None, "why_not": why_not}


def run_start(_args: argparse.Namespace, config: NodeConfig) -> dict[str, Any]:
    """Start it."""
    return {"outcome": member_of(config).start()}


def run_form(_args: argparse.Namespace, config: NodeConfig) -> dict[str, Any]:
    """Form a cluster."""
    member_of(config).form()
    return {"formed": True}


def run_settle(args: argparse.Namespace, config: NodeConfig) -> dict[str, Any]:
    """Wait for it.

    Raises:
        AgentError: it is not settled in time.
    """
    settled, missing = member_of(config).settle(args.seconds)
    if not settled:
        raise AgentError(f"RabbitMQ of {config.name} is not settled after {args.seconds:.0f} s: {missing}")
    return {"settled": True}


def run_apply(_args: argparse.Namespace, config: NodeConfig) -> dict[str, Any]:
    """Bring the cluster to what the inventory says; the password goes by standard input."""
    return {"changed": Definitions(**json.load(sys.stdin)).apply(member_of(config).broker)}


def run_limits(args: argparse.Namespace, config: NodeConfig) -> dict[str, Any]:
    """Set the limits."""
    return {"changed": set_limits(member_of(config).broker, args.memory_mib * MIB, args.disk_mib * MIB)}


def run_hand_over(args: argparse.Namespace, config: NodeConfig) -> dict[str, Any]:
    """Step aside."""
    return dict(member_of(config).hand_over(args.wait))


def run_take_part(_args: argparse.Namespace, config: NodeConfig) -> dict[str, Any]:
    """Come back."""
    return dict(member_of(config).take_part())


def run_grow(_args: argparse.Namespace, config: NodeConfig) -> dict[str, Any]:
    """Take copies."""
    return {"grown": member_of(config).grow()}
