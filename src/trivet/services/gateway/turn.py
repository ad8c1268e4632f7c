# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway addresses in a node's turn: moves one from a node to another without cutting a connection off.

The steps and their reasons are in :mod:`trivet.services.gateway.command`, which does the node's part of each.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial

from trivet.errors import ChangeHalted, RemoteError
from trivet.model import Node
from trivet.remote import Nodes
from trivet.rotation.turn import Turn

# Longer than HAProxy keeps an idle connection of a client open (a test).
CONNECTIONS_SECONDS = 50
# The repeated gratuitous ARP of the new holder is out by then: vrrp_garp_master_delay of role gateway is 1 s.
ANNOUNCED_SECONDS = 1.5
# Longer than a move takes. What a killed runner has left is not to send customers to a node that has died since.
FORWARD_SECONDS = 120


class GatewayMove:
    """Moves gateway addresses of an environment.

    :param owner: recorded with every rule and release.
    """

    def __init__(self, nodes: Nodes, owner: str, tell: Callable[[str], None]) -> None:
        self._nodes = nodes
        self._owner = owner
        self._tell = tell
        self._ending: dict[str, list[Future[None]]] = {}

    def next_holder(self, node: Node) -> Node:
        """The node that takes the addresses of ``node``: the next one in ring order."""
        ring = self._nodes.environment.nodes
        return ring[node.node_id % len(ring)]

    def bring_home(self) -> None:
        """Move every address that another node holds to the node at which it is at home.

        :raises TrivetError: when one did not move, or a node does not answer.
        """
        for home in self._nodes.environment.nodes:
            self.come_home(home)

    def come_home(self, home: Node) -> None:
        """Move the address of ``home`` there, unless it is there already, and have nobody forward it any more.

        :raises ChangeHalted: when it did not move.
        :raises RemoteError: when a node does not answer; where one does not from the begin on, nothing was moved.
        """
        environment = self._nodes.environment
        address = environment.gateways[home.node_id - 1]
        states = self._nodes.agents(environment.nodes, "gateway", "held")
        holders = [node for node in environment.nodes if address in states[node.name]["held"]]
        if len(holders) != 1:
            names = ", ".join(node.name for node in holders) or "no node"
            raise ChangeHalted(f"gateway address {address} is held by {names}; exactly one node must hold it")
        # What a run that was broken off has left.
        self._allow(address, [node for node in environment.nodes if address in states[node.name]["releases"]])
        forwarding = {node.name: node for node in environment.nodes if address in states[node.name]["forwards"]}
        if holders[0].name != home.name:
            self.move(address, holders[0], home)
            forwarding[holders[0].name] = holders[0]
        for node in forwarding.values():
            self.settle(node)

    def move(self, address: str, old: Node, new: Node) -> None:
        """Move an address; on a failure before the address moved, new connections stay with the old holder.

        The old holder goes on forwarding it for ANNOUNCED_SECONDS, for those who have not learnt of it yet; whoever
        needs to know that it does no more calls :meth:`settle`.

        :raises ChangeHalted: when it did not move.
        """
        self._tell(f"moving {address} from {old.name} to {new.name}")
        # A dozen questions, for each of which an agent would be started anew.
        with self._nodes.sessions(self._nodes.environment.nodes, "gateway"):
            self._move(address, old, new)

    def _move(self, address: str, old: Node, new: Node) -> None:
        others = [node for node in self._nodes.environment.nodes if node.name not in (old.name, new.name)]
        agent = self._nodes.agent
        try:
            agent(new, "gateway", "allow", address)
            agent(old, "gateway", "forward", address, new.address, *self._owned())
            self._reload_proxy(old)
            self._wait_ended(address, old)
            for other in others:
                agent(other, "gateway", "release", address, "--owner", self._owner)
        except RemoteError as error:
            self._take_back(address, old, new, others)
            raise ChangeHalted(f"gateway address {address} stays on {old.name}: {error.message}") from error
        try:
            agent(old, "gateway", "release", address, "--owner", self._owner)
            agent(new, "gateway", "take", address)
        except RemoteError as error:
            raise ChangeHalted(f"gateway address {address} did not come to {new.name}: {error.message}") from error
        finally:
            # Whatever happened, everybody must be able to take the address at the next failure.
            moved = time.monotonic()
            self._allow(address, [old, *others])
        ending = self._later(partial(self._end, old, address, moved + ANNOUNCED_SECONDS))
        self._ending.setdefault(old.name, []).append(ending)

    def settle(self, node: Node) -> None:
        """Wait until a node forwards nothing any more, also nothing that an earlier run has left there.

        :raises RemoteError: when the node does not do it.
        """
        for ending in self._ending.pop(node.name, []):
            ending.result()
        self._end(node, "all", time.monotonic())

    def _end(self, node: Node, address: str, due: float) -> None:
        """End a forward of a node when it is time; where the node still holds the address, what is forwarded goes on.

        One address at a time: another one of the node may be on its way just then.
        """
        time.sleep(max(0.0, due - time.monotonic()))
        self._nodes.agent(node, "gateway", "end", address)

    @staticmethod
    def _later(act: Callable[[], None]) -> Future[None]:
        """Do it in a thread of its own: a forward must not outlast its use, whatever its runner waits for meanwhile."""
        done: Future[None] = Future()

        def run() -> None:
            try:
                act()
                done.set_result(None)
            except BaseException as error:  # it belongs to whoever asks for the result
                done.set_exception(error)

        threading.Thread(target=run, name="gateway", daemon=True).start()
        return done

    def _owned(self) -> tuple[str, ...]:
        return ("--owner", self._owner, "--expires", str(FORWARD_SECONDS))

    def _allow(self, address: str, nodes: list[Node]) -> None:
        """Make nodes eligible again. Where it fails, the release ends by its own expiry on the node."""
        for node in nodes:
            with suppress(RemoteError):
                self._nodes.agent(node, "gateway", "allow", address)

    def _wait_ended(self, address: str, node: Node) -> None:
        """Wait until no connection to the address ends on the node any more: moving it would cut them off."""
        seconds = CONNECTIONS_SECONDS
        answer = self._nodes.agent(
            node, "gateway", "connections", address, "--wait", str(seconds), timeout=seconds + 15
        )
        if answer["connections"]:
            raise RemoteError(
                f"{node.name}: {answer['connections']} connections to {address} did not end within {seconds} s"
            )

    def _reload_proxy(self, node: Node) -> None:
        result = self._nodes.run(node, ["systemctl", "reload", "haproxy"], timeout=60)
        if result.code != 0:
            raise RemoteError(f"{node.name}: HAProxy could not be reloaded: {result.error}")

    def _take_back(self, address: str, old: Node, new: Node, others: list[Node]) -> None:
        """Leave the address with its old holder. What cannot be undone now ends by its own expiry on the node."""
        self._allow(address, others)
        try:
            self._nodes.agent(old, "gateway", "retain", address)
            self._reload_proxy(new)
            self._wait_ended(address, new)
            self._nodes.agent(old, "gateway", "clear", address)
        except RemoteError as error:
            self._tell(f"the hand-over rules of {address} stay until they expire: {error.message}")


TURN = Turn()
"""What it has to do is a step of its own."""
