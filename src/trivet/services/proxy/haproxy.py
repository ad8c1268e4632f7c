# SPDX-License-Identifier: GPL-3.0-or-later
"""HAProxy's runtime API on this node: questions, answers, and which server it would use now."""

from __future__ import annotations

import csv
import io
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from trivet.health.config import HAPROXY_SOCKET
from trivet.node.errors import AgentError
from trivet.services.database import contract as database
from trivet.services.gateway import contract as gateway
from trivet.services.host import contract as host
from trivet.services.proxy.collect import sticky_server
from trivet.services.registry import BACKENDS, HOLDS

CHECK_PORT = host.AGENT_PORT.default
"""Where every agent answers the agent checks of all HAProxies."""
HOLD_PORTS = {name: port.default for name, port in HOLDS.items()}
"""Backends whose connections can be held, and the local port that stands in for them."""
STICKY_BACKEND = database.WRITER.name
BACKEND_SERVICES = {name: backend.asks for name, backend in BACKENDS.items()}
"""What the agent check of a backend's servers asks about: the service that is drained or not.

No drain takes a primary of Redis out, there is no other. A node hands its primaries over before it is drained, but
Sentinel may make it one at any time, when the node of the primary dies.
"""
DRAINED_ANSWER = "up 0%"
TAKING_ANSWER = "up 100%"
HANDOVER_BACKEND = gateway.HANDOVER_BACKEND
"""Its servers are switches, one per backend of HOLD_PORTS: in maintenance means "send everybody to the hold port"."""
HOLD_SERVER = "hold"
HOLD_LIMITS = {name: backend.hold_limit_seconds for name, backend in BACKENDS.items() if backend.hold}
"""A switch left in maintenance for longer is thrown back: whoever held is gone, and clients hardly wait for 10 s.

A hand-over gives itself less than that (``trivet.rotation.steps``)."""
ANSWER_SECONDS = 2.0


@dataclass(frozen=True)
class Server:
    """One server as ``show stat`` tells it."""

    backend: str
    name: str
    number: int
    status: str
    backup: bool
    weight: int
    sessions: int
    address: str
    check: str
    unchanged_seconds: int = 0
    """How long ``status`` has been what it is."""

    @property
    def up(self) -> bool:
        """Whether HAProxy considers it alive and nobody took it out (a server without a check is alive)."""
        return self.status.startswith("UP") or self.status == "no check"

    @property
    def state(self) -> str:
        """``UP``, ``DRAIN``, ``DOWN`` or ``MAINT``.

        A drain by the agent is a weight of 0: HAProxy goes on calling such a server UP.
        """
        if self.up:
            return "UP" if self.weight > 0 else "DRAIN"
        word = self.status.split()[0]
        return word if word in ("DRAIN", "MAINT") else "DOWN"

    @property
    def endpoint(self) -> tuple[str, int]:
        """Address and port to connect to."""
        host, _, port = self.address.rpartition(":")
        return host, int(port)


class Runtime:
    """The stats socket. Every call opens a connection of its own: HAProxy closes it after one answer.

    Raises (every method):
        AgentError: HAProxy does not run, did not answer in time, or refused the command.
    """

    def __init__(self, path: Path = HAPROXY_SOCKET) -> None:
        self.path = path

    def ask(self, command: str) -> str:
        """Put one question."""
        answer = bytearray()
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(ANSWER_SECONDS)
                connection.connect(str(self.path))
                connection.sendall(f"{command}\n".encode())
                while chunk := connection.recv(65536):
                    answer += chunk
        except OSError as problem:
            raise AgentError(f"HAProxy does not answer on {self.path}: {problem}") from problem
        return answer.decode(errors="replace")

    def tell(self, command: str) -> None:
        """Give one order; HAProxy answers an order that it carried out with silence."""
        refused(command, self.ask(command))


def refused(command: str, answer: str) -> None:
    """Raise AgentError when the answer to an order is not silence."""
    if answer.strip():
        raise AgentError(f"HAProxy refused «{command}»: {answer.strip().splitlines()[0]}")


def stat_command(backend: str = "-1") -> str:
    """The question for all servers of a backend (``-1``: of every backend)."""
    return f"show stat {backend} 4 -1"


def parse_stat(answer: str) -> list[Server]:
    """Read ``show stat`` restricted to servers, in the order of the configuration."""
    rows = csv.DictReader(io.StringIO(answer.removeprefix("# ").strip()))
    try:
        return [
            Server(
                backend=row["pxname"],
                name=row["svname"],
                number=int(row["sid"]),
                status=row["status"],
                backup=row["bck"] == "1",
                weight=int(row["weight"] or 0),
                sessions=int(row["scur"] or 0),
                address=row["addr"],
                check=row["check_status"] or "",
                unchanged_seconds=int(row["lastchg"] or 0),
            )
            for row in rows
        ]
    except (KeyError, TypeError, ValueError) as problem:
        raise AgentError(f"HAProxy's statistics cannot be read: {problem!r}") from problem


def real_servers(servers: Iterable[Server], backend: str) -> list[Server]:
    """The servers of a backend without its hold server."""
    return [item for item in servers if item.backend == backend and item.name != HOLD_SERVER]


def parse_entry(answer: str, servers: Sequence[Server]) -> str | None:
    """The name of the server that ``show table`` says connections stick to; None when the table is empty."""
    return sticky_server(answer, {item.number: item.name for item in servers})


def entry_commands(server: Server) -> tuple[str, str]:
    """Make connections stick to a server.

    The old entry is cleared first: the name it carries would win over the number, and a name cannot be set.
    """
    table = f"table {STICKY_BACKEND}"
    return f"clear {table}", f"set {table} key 1 data.server_id {server.number}"


def choose(servers: Sequence[Server], entry: str | None = None) -> Server | None:
    """The server that HAProxy would use now, so that all nodes choose alike; None when there is none.

    Args:
        servers: the real servers of one backend, in the order of the configuration.
        entry: the server that connections stick to, if any. HAProxy keeps using it while it is up, drained or not.
    """
    up = [item for item in servers if item.up]
    sticky = next((item for item in up if item.name == entry), None)
    if sticky:
        return sticky
    taking = [item for item in up if item.weight > 0]
    return next((item for item in taking if not item.backup), None) or next(iter(taking), None)
