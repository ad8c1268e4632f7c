# SPDX-License-Identifier: GPL-3.0-or-later
"""This node's vote in the lease that keeps two runners, the agent and the backup apart.

A lease is held by whoever has the votes of a majority of the nodes (Gray and Cheriton, "Leases", 1989). A node gives
its vote to one owner until the vote expires by the node's own clock, or is given back. That is the wall clock, since a
vote must outlive a reboot of its node: a step of the clock shortens or lengthens a vote.

A lease has a mode (:class:`trivet.health.facts.LeaseMode`). A healer's vote goes beside that of a lease which only
wants no change meanwhile, in both orders; every other vote is alone.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from trivet.health.config import LEASE_FILE
from trivet.health.facts import LeaseMode

Answer = dict[str, Any]


class LeaseRefused(RuntimeError):
    """Somebody else has this node's vote."""


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``lease …`` to the agent's command line; each sub-command sets ``run(args, config) -> dict``."""
    parser = subparsers.add_parser("lease", help="this node's vote in the environment's lease")
    commands = parser.add_subparsers(dest="lease_command", required=True)

    def add(
        name: str, run: Callable[[argparse.Namespace, Mapping[str, Any]], Answer], text: str
    ) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text)
        command.set_defaults(run=run)
        return command

    acquire = add("acquire", run_acquire, "give the vote to an owner, or renew it")
    acquire.add_argument("--owner", required=True, help="who: unique for each run")
    acquire.add_argument("--purpose", required=True, help="what for, in words for an operator")
    acquire.add_argument("--seconds", type=float, required=True, help="until it expires")
    acquire.add_argument(
        "--mode", choices=list(LeaseMode), default=LeaseMode.HANDS_OFF, help="what others are kept from meanwhile"
    )
    release = add("release", run_release, "take the vote back from an owner")
    release.add_argument("--owner", required=True)
    add("show", run_show, "who has the vote")


def run_acquire(args: argparse.Namespace, config: Mapping[str, Any]) -> Answer:
    """Give the vote, unless another owner has it, has not let it expire, and is kept from its work by this one."""
    return {"lease": VoteFile(LEASE_FILE).acquire(args.owner, args.purpose, args.seconds, args.mode)}


def run_release(args: argparse.Namespace, config: Mapping[str, Any]) -> Answer:
    """Take the vote back; harmless when the owner does not have it."""
    return {"released": VoteFile(LEASE_FILE).release(args.owner)}


def run_show(args: argparse.Namespace, config: Mapping[str, Any]) -> Answer:
    """Who has the vote; an expired one counts as none."""
    return {"lease": vote()}


def vote() -> Answer | None:
    """This node's vote; None when nobody has it, or it has expired."""
    return VoteFile(LEASE_FILE).vote()


class VoteFile:
    """A node's vote, in a file that outlives a reboot.

    The file is the vote; a healer's that was given beside it is its key ``repair``.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def acquire(self, owner: str, purpose: str, seconds: float, mode: str = LeaseMode.HANDS_OFF) -> Answer:
        """Give the vote to an owner, or renew it.

        Raises:
            LeaseRefused: another owner has it, it has not expired, and the two modes exclude each other.
        """
        with self._locked() as stream:
            votes = _read(stream)
            for present in votes:
                if present["owner"] != owner and not _go_together(mode, present.get("mode")):
                    raise LeaseRefused(
                        f"the lease is held by {present['owner']} since {present['since_text']} for: "
                        f"{present['purpose']}; it expires in {present['expires'] - time.time():.0f} s"
                    )
            now = time.time()
            since = next((present["since"] for present in votes if present["owner"] == owner), now)
            lease = {
                "owner": owner,
                "purpose": purpose,
                "mode": str(mode),
                "since": since,
                "since_text": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(since)),
                "expires": now + seconds,
            }
            _write(stream, [*(present for present in votes if present["owner"] != owner), lease])
        return lease

    def release(self, owner: str) -> bool:
        """Take the vote back from an owner; whether he had it."""
        with self._locked() as stream:
            votes = _read(stream)
            kept = [present for present in votes if present["owner"] != owner]
            if len(kept) < len(votes):
                _write(stream, kept)
        return len(kept) < len(votes)

    def vote(self) -> Answer | None:
        """The vote, a healer's only where it is the only one; None when nobody has it, or it has expired."""
        with self._locked() as stream:
            return next(iter(_read(stream)), None)

    @contextmanager
    def _locked(self) -> Iterator[TextIO]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        with os.fdopen(handle, "r+", encoding="utf-8") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield stream


def _go_together(one: str, other: object) -> bool:
    return {str(one), other} == {LeaseMode.NO_CHANGE.value, LeaseMode.REPAIR.value}


def _read(stream: TextIO) -> list[Answer]:
    """The votes that have not expired, a healer's last."""
    stream.seek(0)
    try:
        lease: Answer = json.loads(stream.read() or "{}")
    except ValueError:
        # A torn write of a machine that lost its power: the vote was never acknowledged.
        return []
    beside = lease.pop("repair", {})
    return [vote for vote in (lease, beside) if vote.get("expires", 0) > time.time()]


def _write(stream: TextIO, votes: list[Answer]) -> None:
    first, *beside = sorted(votes, key=lambda vote: vote["mode"] == LeaseMode.REPAIR) or [{}]
    content = {**first, "repair": beside[0]} if beside else first
    stream.seek(0)
    stream.truncate()
    stream.write(json.dumps(content))
    stream.flush()
    os.fsync(stream.fileno())
