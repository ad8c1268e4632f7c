# SPDX-License-Identifier: GPL-3.0-or-later
"""The lease of an environment: held on a majority of its nodes, renewed while the work goes on."""

from __future__ import annotations

import getpass
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol

from trivet.errors import LeaseHeld, RemoteError
from trivet.health.facts import LeaseMode
from trivet.remote import Nodes
from trivet.run.lifesign import alive, died_here

# A runner that loses its network for a minute keeps its lease; one that was killed holds others up no longer than this.
LEASE_SECONDS = 90
RENEW_SECONDS = 12
POLL_SECONDS = 2.0


def _now() -> float:
    """Seconds that also pass while this machine sleeps: a lease expires on the nodes meanwhile."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def run_owner() -> str:
    """Who this run is: user, machine and process, unique while it lives."""
    return f"{getpass.getuser()}@{socket.gethostname()}:{os.getpid()}"


class HeldLease(Protocol):
    """A lease that is held."""

    def check(self) -> None:
        """Raise LeaseHeld when it could not be renewed."""


@dataclass(frozen=True, slots=True)
class Vote:
    """One node's vote as it stands.

    :param since: moment in UTC, in words.
    :param expires: epoch seconds by the clock of the node.
    :param mode: what others are kept from; an older agent's vote has none, and keeps everybody off.
    """

    owner: str
    purpose: str
    since: str
    expires: float
    mode: str = LeaseMode.HANDS_OFF

    @property
    def told(self) -> str:
        """Who has it, since when and what for, in words."""
        return f"{self.owner} since {_moment(self.since)} ({self.purpose})"


def _moment(since: str) -> str:
    """A moment without its day when that is today, and without its seconds."""
    day, _, clock = since.removesuffix(" UTC").rpartition(" ")
    hour = clock[:5]
    return f"{hour} UTC" if day in ("", time.strftime("%Y-%m-%d", time.gmtime())) else f"{day} {hour} UTC"


class Lease:
    """A context that holds the lease and renews it in the background.

    :param owner: unique for this run.
    :param purpose: what for, in words for another operator.
    :param mode: what others are kept from meanwhile; a healer goes on beside :attr:`LeaseMode.NO_CHANGE`.
    :param patience: wait for a lease that nobody renews any more (its owner died) until it expires, and take it over.
    :param at_once: with patience: do not wait for the lease of a run of this machine that is dead. What it began on
        nodes may still go on there: only for work that can be done beside itself.
    :param tell: takes a line of progress.
    :raises LeaseHeld: when no majority of the nodes gives its vote; says who has it, since when and what for.
    """

    def __init__(
        self,
        nodes: Nodes,
        owner: str,
        purpose: str,
        *,
        mode: LeaseMode = LeaseMode.HANDS_OFF,
        patience: bool = False,
        at_once: bool = False,
        tell: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._nodes = nodes
        self._owner = owner
        self._purpose = purpose
        self._mode = mode
        self._patience = patience
        self._at_once = at_once
        self._life = ExitStack()
        self._tell = tell
        self._ended = threading.Event()
        self._refusal: str | None = None
        self._good_until = 0.0
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)

    def __enter__(self) -> Lease:
        asked = _now()
        refusals = self._vote()
        if refusals is not None:
            self._give_back()
            if not self._patience:
                raise self._held(votes(self._nodes, but=self._owner), refusals)
            asked = self._take_over(refusals)
        self._good_until = asked + LEASE_SECONDS - RENEW_SECONDS
        self._life.enter_context(alive(self._owner))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(timeout=RENEW_SECONDS)
        self._give_back()
        self._life.close()

    def check(self) -> None:
        """Raise when the lease could not be renewed: another runner may act by now.

        :raises LeaseHeld: naming the reason.
        """
        if _now() > self._good_until:
            raise LeaseHeld("the lease could not be renewed: " + (self._refusal or "no answer"))

    def _take_over(self, refusals: str) -> float:
        """Wait until the votes of an owner who no longer renews them have expired; the moment at which ours were asked.

        :raises LeaseHeld: when the owner renews them: it is alive.
        """
        before = votes(self._nodes, but=self._owner)
        if not before:
            raise self._held(before, refusals)
        if self._at_once and all(died_here(owner, since) for owner, since in _owners(before)):
            for owner, _since in _owners(before):
                self._give_back(owner)
            asked = _now()
            if (refusal := self._vote()) is None:
                self._tell(
                    f"took the lease over from {next(iter(before.values())).owner}, whose run on this machine is dead"
                )
                return asked
            refusals = refusal
        left = max(vote.expires for vote in before.values()) - time.time()
        holder = next(iter(before.values()))
        self._tell(
            f"{self._label} is locked by {holder.told}; "
            f"unless the lease is renewed it expires in {max(left, 0):.0f} s, and is taken over then"
        )
        deadline = _now() + LEASE_SECONDS + 2 * RENEW_SECONDS
        while _now() < deadline:
            time.sleep(POLL_SECONDS)
            now = votes(self._nodes, but=self._owner)
            if any(name in before and vote.expires > before[name].expires for name, vote in now.items()):
                raise self._held(now, refusals, "; it renews its lease")
            asked = _now()
            refusal = self._vote() if len(now) <= len(self._nodes.environment.nodes) // 2 else refusals
            if refusal is None:
                self._tell(f"took the lease over from {holder.owner}, whose run is gone")
                return asked
            refusals = refusal
        raise self._held(votes(self._nodes, but=self._owner), refusals)

    def _held(self, given: Mapping[str, Vote], refusals: str, more: str = "") -> LeaseHeld:
        """The refusal in words: who has the lease, or why no majority gave its vote.

        :param given: votes of others.
        """
        holder = _majority_owner(given, self._nodes) or next(iter(given.values()), None)
        next_command = f"wait, or see: trivet runs {self._label}"
        if holder is None:
            return LeaseHeld(f"no majority of the nodes of {self._label} gave its vote: {refusals}", next_command)
        return LeaseHeld(f"{self._label} is locked by {holder.told}{more}", next_command)

    @property
    def _label(self) -> str:
        return self._nodes.environment.label

    def _vote(self) -> str | None:
        environment = self._nodes.environment
        arguments = (
            "lease",
            "acquire",
            "--owner",
            self._owner,
            "--purpose",
            self._purpose,
            "--seconds",
            str(LEASE_SECONDS),
            # An agent from before the modes takes a vote without one, which keeps everybody off.
            *(("--mode", self._mode.value) if self._mode is not LeaseMode.HANDS_OFF else ()),
        )
        granted, words = 0, []
        for node in environment.nodes:
            try:
                self._nodes.agent(node, *arguments, timeout=15)
                granted += 1
            except RemoteError as error:
                words.append(error.message)
        return None if granted > len(environment.nodes) // 2 else "; ".join(words)

    def _renew(self) -> None:
        while not self._ended.wait(RENEW_SECONDS):
            asked = _now()
            try:
                self._refusal = self._vote()
            except Exception as error:  # the thread must live on: check() judges by the time of the last success
                self._refusal = str(error)
            if self._refusal is None:
                self._good_until = asked + LEASE_SECONDS - RENEW_SECONDS
            elif (other := _majority_owner(votes(self._nodes), self._nodes)) and other.owner != self._owner:
                # Not an outage: somebody took it over, and acts by now.
                self._good_until = 0.0

    def _give_back(self, owner: str = "") -> None:
        words = ["trivet-agent", "lease", "release", "--owner", owner or self._owner]
        for node in self._nodes.environment.nodes:
            self._nodes.run(node, words, timeout=10)


def _owners(given: Mapping[str, Vote]) -> list[tuple[str, str]]:
    """Who has votes, each with the moment of its first one."""
    found: dict[str, str] = {}
    for vote in given.values():
        found[vote.owner] = min(vote.since, found.get(vote.owner, vote.since))
    return list(found.items())


def votes(nodes: Nodes, but: str = "") -> dict[str, Vote]:
    """The votes that are given, by node that answers.

    :param but: an owner whose votes are left out.
    """
    return {name: vote for name, vote in asked_votes(nodes).items() if vote is not None and vote.owner != but}


def asked_votes(nodes: Nodes) -> dict[str, Vote | None]:
    """What each node that answers says of its vote; None where nobody has it."""
    found: dict[str, Vote | None] = {}
    for node in nodes.environment.nodes:
        try:
            lease = nodes.agent(node, "lease", "show", timeout=15)["lease"]
        except RemoteError:
            continue
        found[node.name] = _vote_of(lease) if lease else None
    return found


def _vote_of(lease: Mapping[str, Any]) -> Vote:
    mode = lease.get("mode", LeaseMode.HANDS_OFF)
    return Vote(lease["owner"], lease["purpose"], lease["since_text"], lease["expires"], mode)


def lease_holder(nodes: Nodes) -> str | None:
    """Who holds the lease, since when and what for, in words; None when no owner has a majority of the votes."""
    vote = _majority_owner(votes(nodes), nodes)
    return vote.told if vote else None


def _majority_owner(given: Mapping[str, Vote], nodes: Nodes) -> Vote | None:
    """A vote of the owner who has a majority of them."""
    for vote in given.values():
        if sum(other.owner == vote.owner for other in given.values()) > len(nodes.environment.nodes) // 2:
            return vote
    return None
