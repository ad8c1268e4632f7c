# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages that RabbitMQ has accepted: a node is killed, all are, and each has its turn in a rolling change."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import yaml

from tests.failures.commands import Run, healthy, incus, on, trivet
from tests.failures.messages import Load, Login, fetch, send
from trivet.ansible import load_environment
from trivet.ansible.secrets import secrets_file
from trivet.ansible.settings import ansible_environment
from trivet.lab import LabState
from trivet.model.environment import Node
from trivet.remote.ssh import ssh_command

PORT = 5672
RATE = 50.0
HEALTHY_SECONDS = 600
OPEN_SECONDS = 60
MESSAGES = [f"message {number}".encode() for number in range(200)]


class Tunnels:
    """Local ports that lead to an address and port on each node, opened again whenever a node is back."""

    def __init__(self, nodes: list[Node], target: str) -> None:
        self._stop = threading.Event()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.ports = {node.name: _free_port() for node in nodes}
        for node in nodes:
            threading.Thread(target=self._keep, args=(node, target.format(address=node.address)), daemon=True).start()

    def _keep(self, node: Node, target: str) -> None:
        forward = f"127.0.0.1:{self.ports[node.name]}:{target}:{PORT}"
        command = [*ssh_command(node), "-N", "-o", "ExitOnForwardFailure=yes", "-L", forward, node.login]
        while not self._stop.is_set():
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            self._processes[node.name] = process
            process.wait()
            self._stop.wait(0.5)

    def close(self) -> None:
        """End them all."""
        self._stop.set()
        for process in self._processes.values():
            process.terminate()


@dataclass(frozen=True)
class Ways:
    """How the test asks: as an application does, by the HAProxy of a node; or one broker itself."""

    proxies: Login
    brokers: dict[str, Login]


@pytest.fixture(scope="module")
def ways(lab: LabState) -> Iterator[Ways]:
    """The lab with RabbitMQ, and tunnels to it."""
    (lab.inventory / "group_vars" / "all" / "rabbitmq.yml").write_text("---\nrabbitmq_enabled: true\n")
    trivet("converge", lab.name, timeout=1800)
    wait_until_healthy(lab.name)
    environment = load_environment(lab.name)
    shown = subprocess.run(
        ["ansible-vault", "view", str(secrets_file(environment))],
        env=ansible_environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    password = yaml.safe_load(shown.stdout)["trivet_secrets"]["rabbitmq_password"]
    to_proxies = Tunnels(list(environment.nodes), "127.0.0.1")
    to_brokers = Tunnels(list(environment.nodes), "{address}")

    def login(*ports: int) -> Login:
        return Login(tuple(("127.0.0.1", port) for port in ports), "shop", "shop", password)

    try:
        for port in (*to_proxies.ports.values(), *to_brokers.ports.values()):
            wait_open(port)
        yield Ways(
            proxies=login(*to_proxies.ports.values()),
            brokers={name: login(port) for name, port in to_brokers.ports.items()},
        )
    finally:
        to_proxies.close()
        to_brokers.close()


def wait_until_healthy(env: str) -> float:
    """Wait for it, and say how many seconds it took."""
    began = time.monotonic()
    while not healthy(env):
        assert time.monotonic() - began < HEALTHY_SECONDS, f"{env} is not healthy: trivet status {env}"
        time.sleep(2)
    return time.monotonic() - began


def wait_open(port: int) -> None:
    """Wait until a tunnel is there."""
    end = time.monotonic() + OPEN_SECONDS
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.2)
    raise AssertionError(f"no tunnel at port {port}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_a_message_accepted_by_one_node_is_read_from_another_after_the_first_was_killed(
    ways: Ways, lab: LabState, figures: dict[str, object]
) -> None:
    first, second = lab.nodes[0].name, lab.nodes[1].name
    send(ways.brokers[first], "accepted", MESSAGES)
    incus("stop", "--force", first)
    try:
        began = time.monotonic()
        found = fetch(ways.brokers[second], "accepted", len(MESSAGES), 60)
        seconds = time.monotonic() - began
    finally:
        incus("start", first)
    healthy_after = wait_until_healthy(lab.name)
    figures["RabbitMQ: accepted on one node, which is killed"] = {
        "accepted": len(MESSAGES),
        "read": len(found),
        "read_after_seconds": round(seconds, 1),
        "healthy_after_seconds": round(healthy_after, 1),
    }
    assert sorted(found) == sorted(MESSAGES)


def test_a_rolling_change_loses_and_doubles_no_message(ways: Ways, lab: LabState, figures: dict[str, object]) -> None:
    with Load(ways.proxies, "rolling", RATE).running() as messages:
        time.sleep(5)
        run = Run("restart", lab.name, "--yes")
        code = run.ended(1800)
        time.sleep(5)
    figures["RabbitMQ: a rolling restart under load"] = messages.to_dict()
    assert code == 0, run.error
    assert messages.accepted
    assert messages.lost == set()
    assert messages.doubled == set()
    assert healthy(lab.name)


def test_all_nodes_off_and_on(ways: Ways, lab: LabState, figures: dict[str, object]) -> None:
    names = [node.name for node in lab.nodes]
    send(ways.proxies, "kept", MESSAGES)
    for name in names:
        incus("stop", "--force", name)
    for name in names:
        incus("start", name)
    seconds = wait_until_healthy(lab.name)
    for name in names:
        assert on(name, "systemctl is-active rabbitmq-server").strip() == "active"
    found = fetch(ways.proxies, "kept", len(MESSAGES), 60)
    figures["RabbitMQ: all nodes off and on"] = {
        "accepted": len(MESSAGES),
        "read": len(found),
        "healthy_after_seconds": round(seconds, 1),
    }
    assert sorted(found) == sorted(MESSAGES)
