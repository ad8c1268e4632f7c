# SPDX-License-Identifier: GPL-3.0-or-later
"""The lease of an environment: held on a majority of its nodes, renewed while the work goes on."""

from __future__ import annotations

import getpass
import os
import socket
import threading
import time
from types import TracebackType

from trivet.errors import LeaseHeld, RemoteError
from trivet.remote import Nodes

LEASE_SECONDS = 180
RENEW_SECONDS = 30


def run_owner() -> str:
    """Who this run is: user, machine and process, unique while it lives."""
    return f"{getpass.getuser()}@{socket.gethostname()}:{os.getpid()}"


class Lease:
    """A context that holds the lease and renews it in the background.

    :param owner: unique for this run.
    :param purpose: what for, in words for another operator.
    :raises LeaseHeld: when no majority of the nodes gives its vote; says who has it, since when and what for.
    """

    def __init__(self, nodes: Nodes, owner: str, purpose: str) -> None:
        self._nodes = nodes
        self._owner = owner
        self._purpose = purpose
        self._ended = threading.Event()
        self._refusal: str | None = None
        self._good_until = 0.0
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)

    def __enter__(self) -> Lease:
        asked = time.monotonic()
        refusals = self._vote()
        if refusals is not None:
            self._give_back()
            raise LeaseHeld("another run has the environment: " + refusals)
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
        if time.monotonic() > self._good_until:
            raise LeaseHeld("the lease could not be renewed: " + (self._refusal or "no answer"))

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
            asked = time.monotonic()
            try:
                self._refusal = self._vote()
            except Exception as error:  # the thread must live on: check() judges by the time of the last success
                self._refusal = str(error)
            if self._refusal is None:
                self._good_until = asked + LEASE_SECONDS - RENEW_SECONDS

    def _give_back(self) -> None:
        for node in self._nodes.environment.nodes:
            self._nodes.run(node, ["trivet-agent", "lease", "release", "--owner", self._owner], timeout=10)
