# SPDX-License-Identifier: GPL-3.0-or-later
"""A node's turn in a rotation, as the services of the node take part in it.

What each service does is in ``turn.py`` of its folder (:mod:`trivet.services`), as a :class:`Turn`. In which order the
services come is written here, by name: a rotation is the sum of these lines.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from trivet.errors import ChangeHalted, RemoteError
from trivet.model import Environment, Node
from trivet.remote import Nodes
from trivet.rotation.priorities import CorePriorities

HAND_OVER = ("database", "redis")
"""Roles leave the node: the writer first, then the primaries."""
DRAIN = ("search", "rabbitmq")
"""After the drain flags are set, and before what is in flight has ended."""
LET_GO = ("database", "redis")
"""When something still is in flight that does not end by itself."""
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
# Nobody is held while clients are watched: as long as a cron's statement may take that nobody need wait for.
WATCH_SECONDS = 30.0
# While they are held; the rest of IN_FLIGHT_SECONDS is for requests.
CLOSE_SECONDS = 3.0
LEAST_IN_FLIGHT_SECONDS = 1.0
TRIES = 3
"""How often a hand-over is tried that found connections in flight, each time with a new watch before it."""
LET_GO_SECONDS = 20.0
"""How long connections to a node that gets nothing new may be busy before it is waited for in vain."""
TOLD_CLIENTS = 5

Tell = Callable[[str], None]
Result = TypeVar("Result")


class ConnectionsInFlight(ChangeHalted):
    """Connections did not end while new ones were held: everything is as before."""


@dataclass(frozen=True)
class ClientCommands:
    """Commands of the agent about the clients of a service on its node."""

    service: str
    """Its command, such as ``galera``."""
    arguments: tuple[str, ...] = ()
    """What follows the second word, such as an instance."""

    def watch(self, seconds: float) -> tuple[str, ...]:
        """Who stays connected, and whom a hand-over would cut."""
        return (self.service, "clients", *self.arguments, "--watch", str(seconds))

    def close(self, newest: int, seconds: float) -> tuple[str, ...]:
        """Close the idle ones up to a connection's number."""
        return (self.service, "close", *self.arguments, "--up-to", str(newest), "--wait", str(seconds))


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

    def uncut(self, clients: ClientCommands, hand_over: Callable[[int], Result]) -> Result:
        """Hand over what nobody keeps, and refuse before anything is touched when somebody would be cut.

        Clients that stay connected, such as crons and queue consumers, are given time to be idle once outside of a
        transaction; then they may be closed while new connections are held. A request in flight that takes longer than
        the hold has ended by the next try.

        :param hand_over: takes the number of the newest connection that may be closed, 0 for none.
        :raises ChangeHalted: with whom it would cut; or with who is in flight at every try.
        """
        for left in reversed(range(TRIES)):
            newest = self.watched(clients)
            try:
                return hand_over(newest)
            except ConnectionsInFlight as halted:
                if not left:
                    raise
                self.tell(f"{halted.message}; nothing is changed, and it is tried again")
        raise AssertionError("the last try returns or raises")

    def watched(self, clients: ClientCommands) -> int:
        """Wait until each client of the node has ended or was idle once outside of a transaction.

        :returns: the number of the newest connection that stays, 0 when none does.
        :raises ChangeHalted: with those that would be cut.
        """
        answer = self.agent(*clients.watch(WATCH_SECONDS), timeout=WATCH_SECONDS + 30)
        if kept := answer["kept"]:
            raise ChangeHalted(
                f"a change of {self.node.name} would cut {told_clients(kept)} (watched for {WATCH_SECONDS:.0f} s); "
                f"nothing of the node was touched: end them, or wait until they end",
                self.status_command,
            )
        if answer["staying"]:
            self.tell(f"{answer['staying']} idle connections stay until the server closes them")
        return int(answer["newest"])

    def let_go(self, clients: ClientCommands) -> None:
        """Close idle connections that keep the node, which gets nothing new, from being idle.

        Who keeps something goes on, and is waited for.
        """
        answer = self.agent(*clients.watch(LET_GO_SECONDS), timeout=LET_GO_SECONDS + 30)
        if kept := answer["kept"]:
            self.tell(f"waiting for {told_clients(kept)}")
        if answer["staying"]:
            self.agent(*clients.close(answer["newest"], CLOSE_SECONDS))

    def held(self, backend: str, swap: Callable[[], str], clients: ClientCommands, newest: int) -> str:
        """Hold the backend on every proxy, let what is in flight end, swap, and release, whatever happens.

        :param swap: hands over; returns the servers to use from then on, separated by commas.
        :param clients: of the server that is left.
        :param newest: the number of the newest of its connections that may be closed, 0 for none.
        :returns: what ``swap`` returned.
        :raises ConnectionsInFlight: when some did not end in time; it is not swapped then.
        """
        started = time.monotonic()
        ready = ",".join(node.name for node in self.environment.nodes)
        with self._priorities.normal_runner_priority():
            try:
                left = self._hold(backend, clients, newest)
                if not left:
                    ready = swap()
            finally:
                answers = self.every_agent("proxy", "release", backend, "--ready", ready)
        if left:
            raise ConnectionsInFlight(
                f"{left} connections of {backend} did not end within {IN_FLIGHT_SECONDS:.0f} s{self._who(clients)}",
                self.status_command,
            )
        unsettled = [name for name, answer in answers.items() if not answer["settled"]]
        if unsettled:
            raise ChangeHalted(f"HAProxy of {', '.join(unsettled)} does not see {ready} as the server of {backend}")
        self.tell(f"{backend} held for {(time.monotonic() - started) * 1000:.0f} ms")
        return ready

    def _hold(self, backend: str, clients: ClientCommands, newest: int) -> int:
        """Hold a backend on every proxy and wait until nothing of it is in flight.

        :returns: how many connections still are after IN_FLIGHT_SECONDS.
        """
        seconds = IN_FLIGHT_SECONDS
        if newest:
            # Held first: who is closed connects again, and must wait then.
            self.every_agent("proxy", "hold", backend)
            began = time.monotonic()
            self.agent(*clients.close(newest, CLOSE_SECONDS))
            seconds = max(LEAST_IN_FLIGHT_SECONDS, IN_FLIGHT_SECONDS - (time.monotonic() - began))
        arguments = ("proxy", "hold", backend, "--wait", str(round(seconds, 3)))
        answers = self.every_agent(*arguments, timeout=seconds + 15)
        return sum(int(answer["in_flight"]) for answer in answers.values())

    def _who(self, clients: ClientCommands) -> str:
        """Whose connections there are, as the end of a sentence; empty when the agent does not say."""
        try:
            here = self.agent(*clients.watch(0))["present"]
        except RemoteError:
            return ""
        return f": {told_clients(here)}" if here else ""


def told_clients(words: Sequence[str]) -> str:
    """Clients in words, the first few of them."""
    more = f" and {len(words) - TOLD_CLIENTS} more" if len(words) > TOLD_CLIENTS else ""
    return "; ".join(words[:TOLD_CLIENTS]) + more


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
    :param let_go: closes idle connections that would keep it from becoming so.
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
    let_go: Act = _nothing
    before_stop: Act = _nothing
    warm: Act = _nothing
    catch_up: Act = _nothing
    used_in: tuple[str, ...] = ()
    used: Act = _nothing
    undo: Act = _nothing
