# SPDX-License-Identifier: GPL-3.0-or-later
"""A node's turn in a rotation, as the services of the node take part in it.

What each service does is in ``turn.py`` of its folder (:mod:`trivet.services`), as a :class:`Turn`. In which order the
services come is written here, by name: a rotation is the sum of these lines.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from trivet.errors import ChangeHalted, RemoteError
from trivet.model import Environment, Node
from trivet.remote import Nodes
from trivet.rotation.priorities import CorePriorities

HAND_OVER = ("database", "redis")
"""Roles leave the node: the writer first, then the primaries."""
DRAIN = ("search", "rabbitmq")
"""After the drain flags are set, and before what is in flight has ended."""
BEFORE_STOP = ("redis",)
"""When nothing comes by way of the node any more, right before its services are stopped."""
WARM = ("search",)
"""Made ready for customers, while none reaches the node."""
CATCH_UP = ("files", "rabbitmq")
"""Asked again and again at the gate to catch up now with what was missed."""
USED = ("database", "rabbitmq")
"""Once every proxy uses the node again."""
UNDO = ("search", "rabbitmq")
"""Taken back on a node that was drained and not touched."""

# Together below the limit at which the agents release a hold by themselves, which is below a client's patience.
IN_FLIGHT_SECONDS = 4.0
# Renewed at the gate; the drain of a killed runner ends by itself after that.
DRAIN_EXPIRES_SECONDS = 3600

Tell = Callable[[str], None]


class OnTurn:
    """The node whose turn it is, and what its services may ask of the environment.

    :param owner: the run, recorded with every flag that is set.
    :param tell: takes a line of progress.
    """

    def __init__(
        self, environment: Environment, nodes: Nodes, node: Node, owner: str, tell: Tell, priorities: CorePriorities
    ) -> None:
        self.environment = environment
        self.nodes = nodes
        self.node = node
        self.owner = owner
        self.tell = tell
        self.others = [other for other in environment.nodes if other.name != node.name]
        self._priorities = priorities

    @property
    def status_command(self) -> str:
        """What an operator runs next."""
        return f"trivet status {self.environment.label}"

    def agent(self, *arguments: str, timeout: float = 30.0) -> dict[str, Any]:
        """The answer of this node's agent."""
        return self.nodes.agent(self.node, *arguments, timeout=timeout)

    def every_agent(self, *arguments: str, timeout: float = 30.0) -> dict[str, dict[str, Any]]:
        """The answers of every node with an HAProxy, web nodes among them: each sends requests on its own."""
        return self.nodes.agents(self.environment.proxies, *arguments, timeout=timeout)

    def answering_agents(self, *arguments: str, timeout: float = 30.0) -> dict[str, dict[str, Any]]:
        """The answers of the nodes that can be asked; this node's own must be among them.

        :raises RemoteError: when this node does not answer.
        """

        def ask(node: Node) -> tuple[str, dict[str, Any] | None]:
            try:
                return node.name, self.nodes.agent(node, *arguments, timeout=timeout)
            except RemoteError:
                if node.name == self.node.name:
                    raise
                return node.name, None

        answers = self.nodes.at_once(ask, self.environment.proxies)
        return {name: answer for name, answer in answers if answer is not None}

    def held(self, backend: str, swap: Callable[[], str]) -> str:
        """Hold the backend on every proxy, let what is in flight end, swap, and release, whatever happens.

        :param swap: hands over; returns the servers to use from then on, separated by commas.
        :returns: what ``swap`` returned.
        """
        started = time.monotonic()
        ready = ",".join(node.name for node in self.environment.nodes)
        with self._priorities.normal_runner_priority():
            try:
                self._hold(backend)
                ready = swap()
            finally:
                answers = self.every_agent("proxy", "release", backend, "--ready", ready)
        unsettled = [name for name, answer in answers.items() if not answer["settled"]]
        if unsettled:
            raise ChangeHalted(f"HAProxy of {', '.join(unsettled)} does not see {ready} as the server of {backend}")
        self.tell(f"{backend} held for {(time.monotonic() - started) * 1000:.0f} ms")
        return ready

    def _hold(self, backend: str) -> None:
        """Hold a backend on every proxy and wait until nothing of it is in flight.

        :raises ChangeHalted: when something still is after IN_FLIGHT_SECONDS.
        """
        arguments = ("proxy", "hold", backend, "--wait", str(IN_FLIGHT_SECONDS))
        answers = self.every_agent(*arguments, timeout=IN_FLIGHT_SECONDS + 15)
        left = sum(answer["in_flight"] for answer in answers.values())
        if left:
            raise ChangeHalted(f"{left} connections of {backend} did not end within {IN_FLIGHT_SECONDS:.0f} s")


def _nothing(_on: OnTurn) -> None:
    pass


Act = Callable[[OnTurn], None]


@dataclass(frozen=True, kw_only=True)
class Turn:
    """A service's part in the turn of a node. Each act raises TrivetError when it cannot be done; the rotation halts.

    :param sessions: commands of the agent that are needed while clients are held.
    :param hand_over: moves roles to another node, while new connections are held.
    :param drain: what a drain needs beyond the flag.
    :param drained_in: backends in which the node must become idle.
    :param before_stop: what must not be on the node when its services stop.
    :param warm: makes it ready; the verdict, not this, says whether it is.
    :param catch_up: has it catch up now with what it missed.
    :param used_in: backends in which every proxy must use the node again.
    :param used: what follows once they do.
    :param undo: takes ``drain`` back on a node that was not touched.
    """

    sessions: tuple[str, ...] = ()
    hand_over: Act = _nothing
    drain: Act = _nothing
    drained_in: tuple[str, ...] = ()
    before_stop: Act = _nothing
    warm: Act = _nothing
    catch_up: Act = _nothing
    used_in: tuple[str, ...] = ()
    used: Act = _nothing
    undo: Act = _nothing
