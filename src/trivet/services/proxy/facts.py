# SPDX-License-Identifier: GPL-3.0-or-later
"""What the HAProxy of a node knows of all servers."""

from __future__ import annotations

from dataclasses import dataclass

from trivet.health.facts import ServiceFacts

WRITER_BACKEND = "db_writer"
HOLD_SERVER = "hold"
"""The server of last resort in a backend: a port that holds connections until somebody serves them."""
HOLD_SWITCHES = "handover"
"""A backend with one server per backend that can be held; in maintenance it holds."""


@dataclass(frozen=True, kw_only=True)
class ProxyServer:
    """One server of one backend, as this node's HAProxy sees it."""

    backend: str
    server: str
    server_id: int
    status: str
    """As HAProxy writes it: ``UP``, ``DRAIN``, ``MAINT``, ``DOWN 1/2``, ``no check`` …"""
    backup: bool = False
    sessions: int = 0
    queue: int = 0
    last_check: str = ""

    @property
    def usable(self) -> bool:
        """True when HAProxy sends new connections there (``DRAIN`` takes only those that stick)."""
        return self.status.startswith(("UP", "no check"))


@dataclass(frozen=True, kw_only=True)
class ProxiesFacts(ServiceFacts):
    """The servers that this node's HAProxy knows, and where its sticky writer is."""

    NAME = "proxies"

    servers: tuple[ProxyServer, ...] = ()
    sticky_writer: str | None = None
    """Server name that the table of ``db_writer`` holds; None when the table is empty."""
    version: str = ""
    uptime_seconds: int = 0
    """How long the worker runs that answers; a reload begins a new one."""
    older_seconds: float = 0.0
    """How much older this worker is than the configuration's file; 0 for one that is not."""

    def backend(self, name: str) -> tuple[ProxyServer, ...]:
        """The servers of one backend, in HAProxy's order."""
        return tuple(server for server in self.servers if server.backend == name)


FACTS = ProxiesFacts
