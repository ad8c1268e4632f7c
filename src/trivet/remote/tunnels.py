# SPDX-License-Identifier: GPL-3.0-or-later
"""SSH tunnels to the nodes' own web servers, which the firewall keeps from everybody else."""

from __future__ import annotations

import socket
import subprocess
import time
from types import TracebackType

from trivet.errors import RemoteError
from trivet.model.environment import Environment
from trivet.remote.ssh import ssh_command
from trivet.services.web.contract import NGINX_PORT

OPEN_SECONDS = 15


class WebTunnels:
    """Local ports that lead to each node's web server. They are chosen at once, the tunnels opened by the context.

    A node's tunnel would die with its reboot, so that the context is entered only when the answers are wanted.
    """

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._ports = {node.name: _free_port() for node in environment.nodes}
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def urls(self) -> tuple[str, ...]:
        """Base URL of every node's own web server, by way of the tunnels."""
        return tuple(f"http://127.0.0.1:{port}" for port in self._ports.values())

    def __enter__(self) -> WebTunnels:
        port = self._environment.terms[NGINX_PORT]
        for node in self._environment.nodes:
            forward = f"127.0.0.1:{self._ports[node.name]}:127.0.0.1:{port}"
            command = [*ssh_command(node), "-N", "-o", "ExitOnForwardFailure=yes", "-L", forward, node.login]
            self._processes.append(
                subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                )
            )
        try:
            for name, port in self._ports.items():
                _wait_open(name, port)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the tunnels that are open."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait(timeout=10)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_open(name: str, port: int) -> None:
    deadline = time.monotonic() + OPEN_SECONDS
    while time.monotonic() < deadline:
        with socket.socket() as attempt:
            attempt.settimeout(1)
            if attempt.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RemoteError(f"no SSH tunnel to the web server of {name} within {OPEN_SECONDS} s")
