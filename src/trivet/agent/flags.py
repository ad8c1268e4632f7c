# SPDX-License-Identifier: GPL-3.0-or-later
"""``flags …``: all that Trivet has set on this node for a time, whose it is, and how it is undone.

``flags expire`` runs every minute (a timer of role agent). It undoes what has expired, with the rights of root that the
long-running agent does not have. A lease is no flag: a vote is never taken away, it ends by itself within minutes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from trivet.agent import gateway, lease, redis, search, units
from trivet.agent.errors import AgentError
from trivet.agent.flag_files import UNKNOWN_OWNER, FlagFiles
from trivet.agent.haproxy import HANDOVER_BACKEND, HOLD_LIMIT_SECONDS, Runtime, parse_stat, stat_command
from trivet.health.config import (
    DISABLED_UNITS_DIRECTORY,
    DRAIN_DIRECTORY,
    NOMINATION_DIRECTORY,
    PAUSE_DIRECTORY,
    NodeConfig,
)
from trivet.health.external import Deadline, unit_state

Config = Mapping[str, Any]
SYSTEMD_SECONDS = 5.0
NODE, CLUSTER = "node", "cluster"


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A flag for a list. Moments are epoch seconds, None where the flag does not say."""

    kind: str
    subject: str
    owner: str
    what: str
    """What it does, in words."""
    since: float | None = None
    expires: float | None = None
    scope: str = NODE
    """Whether it is about this node, or the same for the whole cluster on every node."""
    ending: bool = False
    """Undone already, as far as it can be without cutting anybody off: the rest ends at ``expires``."""

    @property
    def expired(self) -> bool:
        """Whether its time is over."""
        return self.expires is not None and self.expires <= time.time()


@dataclass(frozen=True)
class Kind:
    """How flags of one kind are found, and how one of them is undone, which says what it did."""

    look: Callable[[Config], list[Listed]]
    undo: Callable[[str, Config], str]


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


def look_files(flags: FlagFiles, kind: str, what: str) -> list[Listed]:
    """Flags that are files; one that cannot be read is listed too, of an unknown owner and without an end."""
    found = []
    for name in flags.names():
        flag = flags.read(name)
        found.append(
            Listed(
                kind=kind,
                subject=name,
                owner=flag.owner if flag else UNKNOWN_OWNER,
                since=flag.since if flag else None,
                expires=flag.expires if flag else None,
                what=what.format(name),
            )
        )
    return found


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


def look_nominations(_config: Config) -> list[Listed]:
    """Nominations of replicas of Redis."""
    what = "Sentinel has chosen the next primary of {}, and may have been kept from promoting it"
    return look_files(FlagFiles(NOMINATION_DIRECTORY), "nomination", what)


def undo_nomination(instance: str, config: Config) -> str:
    """Let Sentinel promote again; it gives up by itself what nobody made a primary."""
    redis.allow_promotions(NodeConfig.from_mapping(config), instance)
    return "ended" if FlagFiles(NOMINATION_DIRECTORY).clear(instance) else "was gone already"


def look_handover(records: str, kind: str, what: str, _config: Config) -> list[Listed]:
    """Forwards or releases of gateway addresses."""
    return [
        Listed(
            kind=kind,
            subject=address,
            owner=str(record["owner"]),
            since=record["since"],
            expires=record["expires"],
            what=what.format(address, record.get("next")),
            ending=bool(record.get("retained")) and record["expires"] > time.time(),
        )
        for address, record in gateway.read_state()[records].items()
    ]


def undo_release(address: str, config: Config) -> str:
    """Let this node be eligible for a gateway address again."""
    gateway.allow(address, gateway.address_number(config, address))
    return "eligible again"


def look_holds(_config: Config) -> list[Listed]:
    """Backends held back. The agent ends a hold by itself; who began it is not noted, nor needed."""
    if unit_state("haproxy.service", Deadline(SYSTEMD_SECONDS)) in ("inactive", "failed", "masked"):
        return []  # A hold lives in the memory of HAProxy.
    switches = parse_stat(Runtime().ask(stat_command(HANDOVER_BACKEND)))
    return [
        Listed(
            kind="hold",
            subject=switch.name,
            owner=UNKNOWN_OWNER,
            what=f"this node's proxy makes new connections of {switch.name} wait; "
            f"the agent ends it after {HOLD_LIMIT_SECONDS:.0f} s",
        )
        for switch in switches
        if not switch.up
    ]


def undo_hold(backend: str, _config: Config) -> str:
    """Let the connections of a backend go."""
    Runtime().tell(f"set server {HANDOVER_BACKEND}/{backend} state ready")
    return "released"


def look_allocation(config: Config) -> list[Listed]:
    """The limit of the search cluster's allocation."""
    which, flag = search.allocation(config)
    if which == "all":
        return []
    what = f"the search cluster places only {which.replace('_', ' ')} anew"
    return [
        Listed(
            kind="allocation",
            subject=which,
            owner=flag.owner if flag else UNKNOWN_OWNER,
            since=flag.since if flag else None,
            expires=flag.expires if flag else None,
            what=what,
            scope=CLUSTER,
        )
    ]


def undo_allocation(_which: str, config: Config) -> str:
    """Let the search cluster place every shard again."""
    search.allow_all(config)
    return "all again"


KINDS = {
    "drain": Kind(look_drains, undo_drain),
    "forward": Kind(
        partial(look_handover, "forwards", "forward", "new connections to {0} are sent on to {1}"), gateway.end_forward
    ),
    "release": Kind(partial(look_handover, "releases", "release", "this node does not take {0}"), undo_release),
    "hold": Kind(look_holds, undo_hold),
    "allocation": Kind(look_allocation, undo_allocation),
    "unit": Kind(look_units, undo_unit),
    "pause": Kind(look_pauses, undo_pause),
    "nomination": Kind(look_nominations, undo_nomination),
}
"""Every kind of flag that Trivet sets."""
