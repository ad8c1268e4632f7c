# SPDX-License-Identifier: GPL-3.0-or-later
"""What a collector needs to know of its node: ``node.json``, and what the contracts fix."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trivet.services.contract import Machines, Terms
from trivet.services.database import contract as database
from trivet.services.files import contract as files
from trivet.services.gateway import contract as gateway
from trivet.services.host import contract as host
from trivet.services.redis import contract as redis
from trivet.services.registry import CONTRACTS, terms_of
from trivet.services.search import contract as search

NODE_FILE = host.NODE_FILE.default
HAPROXY_SOCKET = gateway.HAPROXY_SOCKET.default
MARIADB_SOCKET = database.SOCKET.default
MARIADB_DIRECTORY = database.DATA_DIRECTORY.default
REDIS_DIRECTORY = redis.DATA_DIRECTORY.default
HANDOVER_TABLE = gateway.HANDOVER_TABLE
FIREWALL_TABLE = gateway.FIREWALL_TABLE
PENDING_DIRECTORIES = {
    "reload": host.PENDING_RELOAD_DIRECTORY.default,
    "restart": host.PENDING_RESTART_DIRECTORY.default,
}
"""Where ``trivet.commerce.files`` marks what waits, by what it waits for."""
DRAIN_DIRECTORY = host.DRAIN_DIRECTORY.default
DISABLED_UNITS_DIRECTORY = host.DISABLED_UNITS_DIRECTORY.default
PAUSE_DIRECTORY = host.PAUSE_DIRECTORY.default
HEALER_UNIT = "trivet-heal"
PAUSE_FLAG = "agent"
"""The one flag in it: the agent of this node repairs nothing."""
ANNOUNCED_DIRECTORY = host.ANNOUNCED_DIRECTORY.default
ANNOUNCED_FLAG = "application"
"""The one flag in it: a change has announced that this node may answer with something else than 200."""
NOMINATION_DIRECTORY = redis.NOMINATION_DIRECTORY.default
GATEWAY_DIRECTORY = gateway.GATEWAY_DIRECTORY.default
KEEPALIVED_ALIVE = gateway.KEEPALIVED_ALIVE.default
LEASE_FILE = host.LEASE_FILE.default
SEARCH_ALLOCATION = search.ALLOCATION
SEARCH_ALLOCATION_FLAG = search.ALLOCATION_FLAG


@dataclass(frozen=True)
class Member:
    """A service node of the environment."""

    name: str
    node_id: int
    address: str


@dataclass(frozen=True)
class NodeConfig:
    """One node's place in its environment."""

    environment: str
    name: str
    node_id: int
    address: str
    interface: str
    members: tuple[Member, ...]
    gateways: tuple[str, ...] = ()
    terms: Terms = field(default_factory=Terms)
    redis_password: str = ""
    domain: str = "localhost"
    health_page: str = "/"
    """The application's page that this node must answer with 200."""
    log_directory: Path | None = None
    """Where the application writes its log, on the node's own disk."""
    heals: bool = False
    """Whether ``trivet-heal`` should run here; a ``node.json`` of an earlier release does not say, so nobody asks."""

    @property
    def web_only(self) -> bool:
        """Whether this is a web node: no member of any cluster, with nginx, PHP-FPM and what the application asks."""
        return self.name not in {member.name for member in self.members}

    @property
    def units(self) -> tuple[str, ...]:
        """The services that should run on this node, as systemd names them; ``php-fpm`` stands for any version."""
        runs = {
            Machines.ALL: True,
            Machines.MEMBERS: not self.web_only,
            Machines.QUORUM: not self.web_only and len(self.members) > 1,
        }
        units = (unit for contract in self.terms.present(CONTRACTS) for unit in contract.units if runs[unit.machines])
        return (*map(self.terms.unit_name, units), *((HEALER_UNIT,) if self.heals else ()))

    @property
    def written_directories(self) -> tuple[Path, ...]:
        """Where services of this node write, each maybe a file system of its own; not all are on every node."""
        engine = Path("/var/lib") / self.terms[search.ENGINE]
        brick = self.terms[files.BRICK]
        logs = () if self.log_directory is None else (self.log_directory,)
        return (Path("/"), brick, Path("/var"), MARIADB_DIRECTORY, REDIS_DIRECTORY, engine, *logs)

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any]) -> NodeConfig:
        """Read the content of ``node.json``.

        Raises:
            ValueError: a key is missing or does not fit.
        """
        try:
            application = dict(data.get("application") or {})
            return cls(
                environment=str(data["environment"]),
                name=str(data["name"]),
                node_id=int(data["id"]),
                address=str(data["address"]),
                interface=str(data["interface"]),
                members=tuple(
                    Member(str(node["name"]), int(node["id"]), str(node["address"])) for node in data["nodes"]
                ),
                gateways=tuple(str(address) for address in data.get("gateways") or ()),
                terms=terms_of(given_terms(data)),
                redis_password=str(data.get("redis_password") or ""),
                domain=str(data.get("domain") or "localhost"),
                health_page=str(application.get("health_page") or "/"),
                log_directory=Path(application["log_directory"]) if application.get("log_directory") else None,
                heals=data.get("heals") is True,
            )
        except (KeyError, TypeError, ValueError) as problem:
            raise ValueError(f"node configuration does not fit: {problem!r}") from problem

    @classmethod
    def load(cls, path: Path = NODE_FILE) -> NodeConfig:
        """Read ``node.json``.

        Raises:
            OSError: the file cannot be read.
            ValueError: its content does not fit.
        """
        return cls.from_mapping(json.loads(path.read_text(encoding="utf-8")))


def given_terms(data: Mapping[str, Any]) -> dict[str, object]:
    """The settings in ``node.json``. That of an earlier release has the search engine alone, under a key of its own."""
    earlier = {search.ENGINE.name: data["search_engine"]} if data.get("search_engine") else {}
    return {**earlier, **(data.get("settings") or {})}
