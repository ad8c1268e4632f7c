# SPDX-License-Identifier: GPL-3.0-or-later
"""How each step is done: machines by the provider, configuration by playbooks, the proxies by the agents."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from trivet.ansible import PlaybookEvent, run_playbook
from trivet.errors import ChangeHalted, InputError
from trivet.health.findings import Finding, State
from trivet.model import Environment, Node
from trivet.providers import Provider, provider_for
from trivet.providers.reachable import given_node
from trivet.remote import Nodes, observe
from trivet.scaling.record import WebHost
from trivet.services.web.contract import NGINX_PORT
from trivet.verdict.assess import Verdict

DRAIN_EXPIRES_SECONDS = 3600
DRAINED_SECONDS = 60.0
IN_FLIGHT_SECONDS = 120.0
GATE_SECONDS = 300.0
USED_SECONDS = 60.0
HEALTHY_SECONDS = 300.0
SOAK_SECONDS = 3.0
POLL_SECONDS = 0.2

Tell = Callable[[str, str], None]
"""Takes a line of progress: what it is about, and the words."""


class Steps:
    """The steps on an environment as its inventory is now.

    :param names: the web nodes that come or go.
    :param owner: the run, recorded with every flag that is set.
    """

    def __init__(self, environment: Environment, nodes: Nodes, names: Sequence[str], owner: str, tell: Tell) -> None:
        self._environment = environment
        self._nodes = nodes
        self._names = tuple(names)
        self._owner = owner
        self._tell = tell

    @property
    def moving(self) -> list[Node]:
        """The web nodes that come or go."""
        return [node for node in self._environment.web_nodes if node.name in self._names]

    def let_in(self) -> None:
        """Tell the rest of the environment of the new nodes, once they can be reached.

        :raises ChangeHalted: naming those that cannot.
        """
        self._try_ssh(self.moving)
        self.tell_members()

    def try_given(self, hosts: Iterable[WebHost]) -> None:
        """Try machines of the operator's that the inventory does not have yet.

        :raises ChangeHalted: naming those that cannot be reached.
        """
        machines = [(host.node_id, given_node(self._environment, host.name, host.address)) for host in hosts]
        # There is one connection for each id: with that of the first node this would try the first node.
        self._try_ssh([replace(machine, node_id=node_id) for node_id, machine in machines])

    def _try_ssh(self, machines: Iterable[Node]) -> None:
        """Refuse machines that cannot be reached.

        :raises ChangeHalted: naming them.
        """
        results = self._nodes.run_on(machines, ["true"], timeout=15)
        silent = [f"{result.node} ({result.error})" for result in results if not result.reached]
        if silent:
            raise ChangeHalted(f"not reachable over SSH: {', '.join(silent)}")

    def tell_members(self) -> None:
        """Tell the rest of the environment who belongs to it."""
        self._playbook("web/members.yml")

    def configure(self) -> None:
        """Bring the new nodes from bare Debian to a running nginx."""
        self._playbook("web/configure.yml", limit=self._names)

    def gate(self) -> None:
        """Wait until nothing of the new nodes is wrong, and every proxy's node gets real pages from each.

        :raises ChangeHalted: when it does not come to that in GATE_SECONDS.
        """
        self._wait(lambda: self._first_wrong(self._wrong_with_new), GATE_SECONDS, "the new nodes to be well")
        self._wait(self._bad_page, USED_SECONDS, "real pages from the new nodes")

    def _wrong_with_new(self, verdict: Verdict) -> Iterable[Finding]:
        return (item for item in verdict.findings if item.node in self._names and not item.by_drain)

    def _bad_page(self) -> str:
        """The first page that a service node does not get from a new node, in words; empty when it gets all."""
        application = self._environment.application
        for node in self.moving:
            # A real page for customers, and the page that HAProxy's check asks for.
            for path in ("/", application.health_page) if application else ("/",):
                url = f"http://{node.address}:{self._environment.terms[NGINX_PORT]}{path}"
                command = ["curl", "-sS", "-o", "/dev/null", "-m", "10", "-w", "%{http_code}"]
                host = f"Host: {self._environment.domain}"
                for answer in self._nodes.run_on(self._environment.nodes, [*command, "-H", host, url]):
                    if answer.output != "200":
                        return f"{answer.node} gets {answer.output or answer.error} for {url}"
        return ""

    def tell_proxies(self) -> None:
        """Have every HAProxy use the web nodes that are in service, and no others."""
        self._playbook("web/proxies.yml")

    def enter(self) -> None:
        """Have every HAProxy use the new nodes, and wait until each public one has them as servers that are up."""
        self.tell_proxies()
        self._wait(lambda: self._not_in_state({"UP"}), USED_SECONDS, "every HAProxy to use the new nodes")

    def drain(self) -> None:
        """Have every HAProxy send nothing new to the nodes, and wait for what is in flight.

        A node that cannot be reached has no flag; every HAProxy must have found it down for itself.

        :raises ChangeHalted: when requests do not end in IN_FLIGHT_SECONDS.
        """
        arguments = ["drain", "web", "--owner", self._owner, "--expires", str(DRAIN_EXPIRES_SECONDS)]
        for result in self._nodes.run_on(self.moving, ["trivet-agent", *arguments]):
            if result.code != 0:
                self._tell(result.node, f"could not be drained, so it must be down: {result.error or result.output}")
        away = {"DRAIN", "DOWN", "MAINT", ""}
        self._wait(lambda: self._not_in_state(away), DRAINED_SECONDS, "every HAProxy to drain the nodes")
        self._wait(self._in_flight, IN_FLIGHT_SECONDS, "requests in flight to end")

    def _not_in_state(self, states: set[str]) -> str:
        """The first HAProxy that has one of the nodes in another state, in words. A server it does not have is ""."""
        for proxy, servers in self._servers().items():
            for name in self._names:
                state = servers.get(name, {}).get("state", "")
                if state not in states:
                    return f"HAProxy of {proxy} has {name} as {state or 'no server'}"
        return ""

    def _in_flight(self) -> str:
        for proxy, servers in self._servers().items():
            for name in self._names:
                sessions = servers.get(name, {}).get("sessions", 0)
                if sessions:
                    return f"{sessions} of {proxy} on {name}"
        return ""

    def _servers(self) -> dict[str, dict[str, dict[str, Any]]]:
        """The servers of backend ``web`` by HAProxy and name. Web nodes have no such backend."""
        answers = self._nodes.agents(self._environment.nodes, "proxy", "states")
        return {
            proxy: {item["server"]: item for item in answer["servers"] if item["backend"] == "web"}
            for proxy, answer in answers.items()
        }

    def make(self, name: str, size: str) -> str:
        """Have the provider make a machine, or start the one of that name; its address."""
        self._tell(name, f"making a machine of size {size}")
        return self._provider(name).create(name, size)

    def remove(self, hosts: Iterable[WebHost]) -> None:
        """Stop and remove the machines that the provider made; on those of the operator stop the services."""
        for host in hosts:
            node = self._environment.node(host.name)
            if host.given:
                self._stop_services(node)
            else:
                self._tell(host.name, "removing the machine")
                # Unmounted, its locks on the shared files are gone at once; else they end with its connection.
                self._nodes.run(node, ["systemctl", "stop", "nginx.service", "trivet-shared.service"], timeout=60)
                self._provider(host.name).delete(node)

    def _provider(self, name: str) -> Provider:
        """The provider, whose progress is told as that of a node."""
        return provider_for(self._environment, lambda words: self._tell(name, words))

    def _stop_services(self, node: Node) -> None:
        if not self._nodes.run(node, ["true"], timeout=15).reached:
            self._tell(node.name, "cannot be reached: its services are left as they are")
            return
        self._playbook("web/stop.yml", limit=[node.name])

    def verdict(self) -> None:
        """Wait until the whole environment is healthy, but for nodes that are not in service, and stays so."""
        since: float | None = None

        def unhealthy() -> str:
            nonlocal since
            words = self._first_wrong(self._wrong_with_rest)
            since = None if words else since or time.monotonic()
            return words or ("" if since and time.monotonic() - since >= SOAK_SECONDS else "it has only just become so")

        self._wait(unhealthy, HEALTHY_SECONDS, f"{self._environment.name} to be healthy")

    def _wrong_with_rest(self, verdict: Verdict) -> Iterable[Finding]:
        gone = {node.name for node in self._environment.web_nodes if not node.in_service}
        return (item for item in verdict.findings if item.node not in gone)

    def _first_wrong(self, select: Callable[[Verdict], Iterable[Finding]]) -> str:
        found = wrong(select(observe(self._nodes).verdict))
        return found[0] if found else ""

    def _playbook(self, playbook: str, limit: Sequence[str] = ()) -> None:
        role = ""

        def listen(event: PlaybookEvent) -> None:
            nonlocal role
            if event.role and event.role != role:
                role = event.role
                self._tell("all" if not limit else ", ".join(limit), role)

        run_playbook(self._environment, playbook, limit=limit, listener=listen, interruptible=False)

    def _wait(self, wrong_now: Callable[[], str], seconds: float, what: str) -> None:
        """Poll until nothing is wrong.

        :param wrong_now: what is still wrong, in words.
        :raises ChangeHalted: when something still is after ``seconds``.
        """
        deadline = time.monotonic() + seconds
        told = ""
        while words := wrong_now():
            if time.monotonic() > deadline:
                raise ChangeHalted(f"waited {seconds:.0f} s in vain for {what}: {words}")
            if words != told:
                told = words
                self._tell("waiting", words)
            time.sleep(POLL_SECONDS)


def wrong(findings: Iterable[Finding]) -> list[str]:
    """Findings that are not healthy, in words."""
    return [
        f"{item.node or 'cluster'}: {item.service}: {item.reason}"
        for item in findings
        if item.state is not State.HEALTHY
    ]


def check_memory(provider: Provider, size: str, least_mib: int) -> None:
    """Refuse a size with too little memory.

    :raises InputError: for a size that is not in the table, or below ``least_mib``.
    """
    memory = provider.target(size).memory_mib
    if memory < least_mib:
        raise InputError(f"size {size} gives a web node {memory} MiB; it needs at least {least_mib} MiB")
