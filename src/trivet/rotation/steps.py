# SPDX-License-Identifier: GPL-3.0-or-later
"""How each step of a node is done: by the agents (drain, hand-over), by playbooks (stop, start) and by the provider."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

from trivet.ansible import PlaybookEvent, run_playbook
from trivet.errors import RotationHalted
from trivet.health.findings import State
from trivet.health.verdict import Verdict
from trivet.model import Environment, Node
from trivet.providers import Provider
from trivet.remote import Nodes, observe
from trivet.rotation.gateway_move import GatewayMove
from trivet.rotation.plan import Step

# Renewed at the gate; the drain of a killed runner ends by itself after that.
DRAIN_EXPIRES_SECONDS = 3600
SETTLE_SECONDS = 60.0
# The hold port lets nobody wait longer than that.
IN_FLIGHT_SECONDS = 15.0
GATE_SECONDS = 900.0
SOAK_SECONDS = 6.0
POLL_SECONDS = 0.1
MEMORY_TOLERANCE = 0.15
REDIS_INSTANCES = ("session", "cache")

Tell = Callable[[str], None]


class NodeSteps:
    """The steps of one node of a rotation.

    :param owner: the run, recorded with every flag that is set.
    :param tell: takes a line of progress.
    """

    def __init__(
        self, environment: Environment, nodes: Nodes, provider: Provider, node: Node, size: str, owner: str, tell: Tell
    ) -> None:
        self._environment = environment
        self._nodes = nodes
        self._provider = provider
        self._node = node
        self._size = size
        self._owner = owner
        self._tell = tell
        self._others = [other for other in environment.nodes if other.name != node.name]
        self._gateway = GatewayMove(nodes, owner, tell)

    def apply(self, step: Step) -> None:
        """Do one step and wait until it is done.

        :raises TrivetError: when it cannot be done; the rotation then halts.
        """
        {
            Step.HAND_OVER: self.hand_over,
            Step.DRAIN: self.drain,
            Step.GATEWAY: self.move_gateways_away,
            Step.STOP: self.stop,
            Step.RESIZE: self.resize,
            Step.START: self.start,
            Step.GATE: self.gate,
            Step.UNDRAIN: self.undrain,
            Step.SOAK: self.soak,
        }[step]()

    def hand_over(self) -> None:
        """Move the database writer and the Redis primaries to another node, while new connections are held."""
        if self._agents("proxy", "states")[self._node.name]["writer"] == self._node.name:
            self._hand_over_writer()
        for instance in REDIS_INSTANCES:
            status = self._nodes.agent(self._node, "redis", "status")
            if status["instances"][instance]["role"] == "master":
                self._hand_over_redis(instance)

    def _hand_over_writer(self) -> None:
        self._tell("handing over the database writer")
        self._held("db_writer", self._writer_applied)

    def _writer_applied(self) -> str:
        """Wait until the successor has applied all commits; the nodes that may be the writer then."""
        self._wait_applied(self._others[0])
        return ",".join(other.name for other in self._others)

    def _hand_over_redis(self, instance: str) -> None:
        self._tell(f"handing over the Redis primary of {instance}")
        # The release waits until every proxy has seen for itself that the new primary, and it alone, is one.
        self._held(
            f"redis_{instance}_primary",
            lambda: str(self._nodes.agent(self._node, "redis", "failover", instance, timeout=60)["to"]),
        )

    def _held(self, backend: str, swap: Callable[[], str]) -> None:
        """Hold the backend on every proxy, let what is in flight end, swap, and release, whatever happens.

        :param swap: hands over; returns the servers to use from then on, separated by commas.
        """
        started = time.monotonic()
        ready = ",".join(node.name for node in self._environment.nodes)
        try:
            self._hold(backend)
            ready = swap()
        finally:
            answers = self._agents("proxy", "release", backend, "--ready", ready)
        unsettled = [name for name, answer in answers.items() if not answer["settled"]]
        if unsettled:
            raise RotationHalted(f"HAProxy of {', '.join(unsettled)} does not see {ready} as the server of {backend}")
        self._tell(f"{backend} held for {(time.monotonic() - started) * 1000:.0f} ms")

    def _hold(self, backend: str) -> None:
        """Hold a backend on every proxy and wait until nothing of it is in flight.

        :raises RotationHalted: when something still is after IN_FLIGHT_SECONDS.
        """
        arguments = ("proxy", "hold", backend, "--wait", str(IN_FLIGHT_SECONDS))
        answers = self._nodes.agents(self._environment.nodes, *arguments, timeout=IN_FLIGHT_SECONDS + 15)
        left = sum(answer["in_flight"] for answer in answers.values())
        if left:
            raise RotationHalted(f"{left} connections of {backend} did not end within {IN_FLIGHT_SECONDS:.0f} s")

    def _wait_applied(self, successor: Node) -> None:
        wanted = self._nodes.agent(self._node, "galera", "status")["last_committed"]
        self._wait(
            lambda: self._nodes.agent(successor, "galera", "status")["last_committed"] >= wanted,
            IN_FLIGHT_SECONDS,
            f"{successor.name} to apply what {self._node.name} committed",
        )

    def drain(self) -> None:
        """Have every proxy send nothing new to the node, wait for what is in flight, keep shards where they are."""
        self._keep_drained()
        self._wait(self._drained_everywhere, SETTLE_SECONDS, f"every proxy to drain {self._node.name}")
        for backend in ("web", "db_writer", "db_reader", "redis_cache_replica", "redis_session_replica", "search"):
            ended = functools.partial(self._idle, backend)
            self._wait(ended, SETTLE_SECONDS, f"requests of {backend} on {self._node.name} to end")
        self._nodes.agent(self._node, "search", "allocation", "primaries", timeout=60)
        self._nodes.agent(self._node, "search", "flush", timeout=120)

    def _idle(self, backend: str) -> bool:
        answers = self._agents("proxy", "sessions", backend)
        return not any(answer["sessions"].get(backend, {}).get(self._node.name, 0) for answer in answers.values())

    def _keep_drained(self) -> None:
        """Set or renew the drain, so that a slow step does not outlive it."""
        self._nodes.agent(self._node, "drain", "all", "--owner", self._owner, "--expires", str(DRAIN_EXPIRES_SECONDS))

    def _drained_everywhere(self) -> bool:
        states = self._agents("proxy", "states")
        servers = [
            server for answer in states.values() for server in answer["servers"] if server["server"] == self._node.name
        ]
        return all(server["state"] != "UP" for server in servers)

    def move_gateways_away(self) -> None:
        """Move every gateway address that the node holds to the next node, losslessly."""
        for address in self._nodes.agent(self._node, "gateway", "held")["held"]:
            self._gateway.move(address, self._node, self._gateway.next_holder(self._node))

    def stop(self) -> None:
        """Stop the services of the node."""
        self._playbook("rotation/stop.yml")

    def resize(self) -> None:
        """Stop the machine, make it larger, start it."""
        self._tell("stopping the machine")
        self._provider.stop(self._node)
        self._tell(f"resizing to size {self._size}")
        self._provider.resize(self._node, self._size)
        self._tell("starting the machine")
        self._provider.start(self._node)
        self._check_size()

    def _check_size(self) -> None:
        """Refuse to go on with a machine that did not become what was asked for.

        :raises RotationHalted: when its CPUs differ, or its memory by more than the kernel keeps for itself.
        """
        target = self._provider.target(self._size)
        result = self._nodes.run(
            self._node, ["sh", "-c", "nproc; awk '/MemTotal/ {print int($2 / 1024)}' /proc/meminfo"]
        )
        words = result.output.split()
        if result.code != 0 or len(words) != 2:
            raise RotationHalted(f"{self._node.name} does not say what it has: {result.error or result.output}")
        cpus, memory_mib = int(words[0]), int(words[1])
        if cpus != target.cpus or abs(memory_mib - target.memory_mib) > MEMORY_TOLERANCE * target.memory_mib:
            raise RotationHalted(
                f"{self._node.name} has {cpus} CPU and {memory_mib} MiB after the resize; "
                f"size {self._size} is {target.cpus} CPU and {target.memory_mib} MiB"
            )

    def start(self) -> None:
        """Configure the services for what the node now has, and start them."""
        self._playbook("rotation/start.yml")

    def gate(self) -> None:
        """Wait until nothing of the node is broken or busy, but for its own drain."""
        self._keep_drained()
        self._nodes.agent(self._node, "search", "allocation", "all", timeout=60)
        self._nodes.agent(self._node, "gluster", "heal", timeout=600)
        last = ""

        def passed() -> bool:
            nonlocal last
            words = blocking(observe(self._nodes).verdict, drained=self._node.name)
            if words and words[0] != last:
                last = words[0]
                self._tell(f"waiting: {last}")
            return not words

        self._wait(passed, GATE_SECONDS, f"{self._node.name} to be healthy", lambda: last)

    def undrain(self) -> None:
        """Use the node again, and bring its gateway address home."""
        self._nodes.agent(self._node, "undrain", "all")
        everyone = ",".join(node.name for node in self._environment.nodes)
        self._wait(self._used_everywhere, SETTLE_SECONDS, f"every proxy to use {self._node.name} again")
        self._agents("proxy", "release", "db_writer", "--ready", everyone)
        home = self._environment.gateways[self._node.node_id - 1]
        holder = self._gateway.holder(home)
        if holder.name != self._node.name:
            self._gateway.move(home, holder, self._node)

    def _used_everywhere(self) -> bool:
        states = self._agents("proxy", "states")
        servers = [
            server for answer in states.values() for server in answer["servers"] if server["server"] == self._node.name
        ]
        # A replica is down as a primary and a primary down as a replica: those two follow from the role.
        relevant = [server for server in servers if server["backend"] in ("web", "db_reader", "search")]
        return bool(relevant) and all(server["state"] == "UP" for server in relevant)

    def soak(self) -> None:
        """Have the whole environment healthy for a while, without a break."""
        since: float | None = None
        deadline = time.monotonic() + GATE_SECONDS
        last = ""
        while time.monotonic() < deadline:
            words = blocking(observe(self._nodes).verdict, drained=None)
            if words:
                since = None
                if words[0] != last:
                    last = words[0]
                    self._tell(f"waiting: {last}")
            else:
                since = since or time.monotonic()
                if time.monotonic() - since >= SOAK_SECONDS:
                    return
            time.sleep(1)
        raise RotationHalted(f"{self._environment.name} did not stay healthy: {last}", self._status_command())

    def undo_drain(self) -> None:
        """Take back what was done to a node that was not touched yet."""
        self._nodes.agent(self._node, "search", "allocation", "all", timeout=60)
        self.undrain()

    def _playbook(self, playbook: str) -> None:
        role = ""

        def listen(event: PlaybookEvent) -> None:
            nonlocal role
            if event.role and event.role != role:
                role = event.role
                self._tell(role)

        run_playbook(self._environment, playbook, limit=[self._node.name], listener=listen)

    def _agents(self, *arguments: str) -> dict[str, dict[str, Any]]:
        return self._nodes.agents(self._environment.nodes, *arguments)

    def _status_command(self) -> str:
        return f"trivet status {self._environment.label}"

    def _wait(self, done: Callable[[], bool], seconds: float, what: str, why: Callable[[], str] = lambda: "") -> None:
        """Poll until done.

        :raises RotationHalted: when it is not within ``seconds``.
        """
        deadline = time.monotonic() + seconds
        while not done():
            if time.monotonic() > deadline:
                detail = why()
                raise RotationHalted(
                    f"waited {seconds:.0f} s in vain for {what}" + (f": {detail}" if detail else ""),
                    self._status_command(),
                )
            time.sleep(POLL_SECONDS)


def blocking(verdict: Verdict, drained: str | None) -> list[str]:
    """Reasons why a rotation may not go on, in words; what is only the drain of ``drained`` does not block."""
    return [
        f"{finding.node or 'cluster'}: {finding.service}: {finding.reason}"
        for finding in verdict.findings
        if finding.state != State.HEALTHY and not (finding.by_drain and finding.node == drained)
    ]
