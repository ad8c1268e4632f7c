# SPDX-License-Identifier: GPL-3.0-or-later
"""The lease of an environment: held on a majority of its nodes, renewed while the work goes on."""

from __future__ import annotations

import getpass
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

from trivet.errors import LeaseHeld, RemoteError
from trivet.remote import Nodes

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
    """One node's vote as it stands: who has it, since when, what for, and until when (epoch seconds of the node)."""

    owner: str
    purpose: str
    since: str
    expires: float


class Lease:
    """A context that holds the lease and renews it in the background.

    :param owner: unique for this run.
    :param purpose: what for, in words for another operator.
    :param patience: wait for a lease that nobody renews any more (its owner died) until it expires, and take it over.
    :param tell: takes a line of progress.
    :raises LeaseHeld: when no majority of the nodes gives its vote; says who has it, since when and what for.
    """

    def __init__(
        self,
        nodes: Nodes,
        owner: str,
        purpose: str,
        *,
        patience: bool = False,
        tell: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._nodes = nodes
        self._owner = owner
        self._purpose = purpose
        self._patience = patience
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
                raise LeaseHeld("another run has the environment: " + refusals)
            asked = self._take_over(refusals)
        self._good_until = asked + LEASE_SECONDS - RENEW_SECONDS
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(timeout=RENEW_SECONDS)
        self._give_back()

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
            raise LeaseHeld("another run has the environment: " + refusals)
        left = max(vote.expires for vote in before.values()) - time.time()
        holder = next(iter(before.values()))
        self._tell(
            f"the lease is held by {holder.owner} since {holder.since} for: {holder.purpose}; "
            f"unless it is renewed it expires in {max(left, 0):.0f} s, and is taken over then"
        )
        deadline = _now() + LEASE_SECONDS + 2 * RENEW_SECONDS
        while _now() < deadline:
            time.sleep(POLL_SECONDS)
            now = votes(self._nodes, but=self._owner)
            if any(name in before and vote.expires > before[name].expires for name, vote in now.items()):
                raise LeaseHeld("another run has the environment, and renews its lease: " + refusals)
            asked = _now()
            refusal = self._vote() if len(now) <= len(self._nodes.environment.nodes) // 2 else refusals
            if refusal is None:
                self._tell(f"took the lease over from {holder.owner}, whose run is gone")
                return asked
            refusals = refusal
        raise LeaseHeld("another run has the environment: " + refusals)

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

    def _give_back(self) -> None:
        for node in self._nodes.environment.nodes:
            self._nodes.run(node, ["trivet-agent", "lease", "release", "--owner", self._owner], timeout=10)


def votes(nodes: Nodes, but: str = "") -> dict[str, Vote]:
    """The votes that are given, by node that answers.

    :param but: an owner whose votes are left out.
    """
    found = {}
    for node in nodes.environment.nodes:
        try:
            lease = nodes.agent(node, "lease", "show", timeout=15)["lease"]
        except RemoteError:
            continue
        if lease and lease["owner"] != but:
            found[node.name] = Vote(lease["owner"], lease["purpose"], lease["since_text"], lease["expires"])
    return found


def lease_holder(nodes: Nodes) -> str | None:
    """Who holds the lease, since when and what for, in words; None when no owner has a majority of the votes."""
    vote = _majority_owner(votes(nodes), nodes)
    return f"{vote.owner} since {vote.since} for: {vote.purpose}" if vote else None


def _majority_owner(given: Mapping[str, Vote], nodes: Nodes) -> Vote | None:
    """A vote of the owner who has a majority of them."""
    for vote in given.values():
        if sum(other.owner == vote.owner for other in given.values()) > len(nodes.environment.nodes) // 2:
            return vote
    return None
