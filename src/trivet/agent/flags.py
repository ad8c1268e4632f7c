# SPDX-License-Identifier: GPL-3.0-or-later
"""``flags …``: all that Trivet has set on this node for a time, whose it is, and how it is undone.

``flags expire`` runs every minute (a timer of role agent). It undoes what has expired, with the rights of root that the
long-running agent does not have. A lease is no flag: a vote is never taken away, it ends by itself within minutes.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from trivet.agent import lease, units
from trivet.health.config import ANNOUNCED_DIRECTORY, DISABLED_UNITS_DIRECTORY, DRAIN_DIRECTORY, PAUSE_DIRECTORY
from trivet.node.errors import AgentError
from trivet.node.flag_files import FlagFiles
from trivet.node.listed_flags import Config, FlagKind, Listed, look_files
from trivet.services.parts import parts


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``flags …`` to the agent's command line."""
    commands = subparsers.add_parser("flags", help="what Trivet has set here for a time").add_subparsers(required=True)
    commands.add_parser("list", help="all flags of this node, and its vote in the lease").set_defaults(run=run_list)
    clear = commands.add_parser("clear", help="undo flags")
    clear.add_argument("--owner", help="those of one owner")
    clear.add_argument("--kind", choices=tuple(KINDS), help="those of one kind")
    clear.add_argument("--all", action="store_true", help="those of every owner and kind")
    clear.add_argument("--expired", action="store_true", help="of these, only what has expired")
    clear.set_defaults(run=run_clear)
    commands.add_parser("expire", help="undo what has expired").set_defaults(run=run_expire)


def run_list(_args: argparse.Namespace, config: Config) -> dict[str, Any]:
    """All flags; ``unknown`` says of which kinds nothing could be found out, and why."""
    flags, unknown = look(config)
    return {
        "flags": [{**asdict(flag), "expired": flag.expired} for flag in flags],
        "unknown": unknown,
        "lease": lease.vote(),
    }


def look(config: Config) -> tuple[list[Listed], dict[str, str]]:
    """The flags of every kind, and the kinds that nobody could say anything about, with the reason."""
    flags: list[Listed] = []
    unknown: dict[str, str] = {}
    for name, kind in KINDS.items():
        try:
            flags += kind.look(config)
        except (RuntimeError, OSError, ValueError) as problem:
            unknown[name] = str(problem)
    return flags, unknown


def run_clear(args: argparse.Namespace, config: Config) -> dict[str, Any]:
    """Undo the flags that are named; harmless when there are none.

    Raises:
        AgentError: none is named, or something could not be undone or found out; the rest is done all the same.
    """
    if not (args.owner or args.kind or args.all):
        raise AgentError("say which flags: --owner OWNER, --kind KIND or --all; `trivet-agent flags list` shows them")
    flags, unknown = look(config)
    wanted = [
        flag
        for flag in flags
        if args.owner in (None, flag.owner) and args.kind in (None, flag.kind) and (flag.expired or not args.expired)
    ]
    problems = [f"{kind}: {why}" for kind, why in unknown.items() if args.kind in (None, kind)]
    cleared, failed = undo(wanted, config)
    if problems := [*problems, *failed]:
        done = "; ".join(f"{item['kind']} {item['subject']}: {item['did']}" for item in cleared) or "nothing"
        raise AgentError(f"{'; '.join(problems)} (done: {done})")
    return {"cleared": cleared, "changed": bool(cleared)}


def undo(flags: list[Listed], config: Config) -> tuple[list[dict[str, str]], list[str]]:
    """Undo flags one after the other: what was done for each, and what went wrong."""
    cleared, failed = [], []
    for flag in flags:
        try:
            did = KINDS[flag.kind].undo(flag.subject, config)
        except (RuntimeError, OSError, ValueError) as problem:
            failed.append(f"{flag.kind} {flag.subject}: {problem}")
        else:
            cleared.append({"kind": flag.kind, "subject": flag.subject, "owner": flag.owner, "did": did})
    return cleared, failed


def run_expire(_args: argparse.Namespace, config: Config) -> dict[str, Any]:
    """Undo what has expired. What cannot be looked at now is looked at again by the next run.

    Raises:
        AgentError: something expired could not be undone.
    """
    flags, unknown = look(config)
    cleared, failed = undo([flag for flag in flags if flag.expired], config)
    if failed:
        raise AgentError("; ".join(failed))
    return {"cleared": cleared, "unknown": unknown}


# ---------------------------------------------------------------- kinds


def look_drains(_config: Config) -> list[Listed]:
    """Drain flags."""
    return look_files(FlagFiles(DRAIN_DIRECTORY), "drain", "every proxy sends the {} of this node no new work")


def undo_drain(service: str, _config: Config) -> str:
    """Let a service take part again."""
    return "takes part again" if FlagFiles(DRAIN_DIRECTORY).clear(service) else "was gone already"


def look_units(_config: Config) -> list[Listed]:
    """Marks of disabled units."""
    return look_files(FlagFiles(DISABLED_UNITS_DIRECTORY), "unit", "{} does not start with the machine")


def undo_unit(unit: str, _config: Config) -> str:
    """Enable a unit; starting a member of a cluster needs a look at the other members, which is converge's."""
    return "enabled, not started" if units.enable(unit) else "was gone already"


def look_pauses(_config: Config) -> list[Listed]:
    """Pauses of the agent."""
    return look_files(FlagFiles(PAUSE_DIRECTORY), "pause", "the {} repairs nothing on this node")


def undo_pause(name: str, _config: Config) -> str:
    """Let the agent repair again."""
    return "repairs again" if FlagFiles(PAUSE_DIRECTORY).clear(name) else "was gone already"


def look_announcements(_config: Config) -> list[Listed]:
    """Announcements of changes."""
    return look_files(FlagFiles(ANNOUNCED_DIRECTORY), "announcement", "the {} may answer with something else than 200")


def undo_announcement(name: str, _config: Config) -> str:
    """Have anything but 200 be an outage again."""
    return "withdrawn" if FlagFiles(ANNOUNCED_DIRECTORY).clear(name) else "was gone already"


KINDS: dict[str, FlagKind] = {
    "drain": FlagKind(look_drains, undo_drain),
    "unit": FlagKind(look_units, undo_unit),
    "pause": FlagKind(look_pauses, undo_pause),
    "announcement": FlagKind(look_announcements, undo_announcement),
    **{name: kind for kinds in parts("flags", dict).values() for name, kind in kinds.items()},
}
"""Every kind of flag that Trivet sets: of the node, and of its services."""
