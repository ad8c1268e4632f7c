# SPDX-License-Identifier: GPL-3.0-or-later
"""What a collector needs to know of its node: ``node.json``, and the places fixed by the contract."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NODE_FILE = Path("/etc/trivet/node.json")

REDIS_PORTS = {"cache": 6380, "session": 6390}
SENTINEL_PORT = 26379
SEARCH_PORT = 9200
WEB_PORT = 8080
HAPROXY_SOCKET = Path("/run/haproxy/admin.sock")
MARIADB_SOCKET = Path("/run/mysqld/mysqld.sock")
MARIADB_DIRECTORY = Path("/var/lib/mysql")
REDIS_DIRECTORY = Path("/var/lib/redis")
STORE_LOGS = Path("/srv/store-local/log")
HANDOVER_TABLE = ("inet", "trivet_handover")
FIREWALL_TABLE = ("inet", "trivet")
"""Role base loads it on every node; there is no setting without it."""
VOLUME = "shared"
MOUNT = Path("/srv/shared")
BRICK_FILE_SYSTEM = Path("/srv/glusterfs")
BRICK = BRICK_FILE_SYSTEM / VOLUME / "brick"
"""Where role files keeps the brick by default. Elsewhere, only the hint at what is to heal is lost."""
PENDING_RESTART_DIRECTORY = Path("/etc/trivet/pending-restart")
DRAIN_DIRECTORY = Path("/run/trivet/drain")
DISABLED_UNITS_DIRECTORY = Path("/var/lib/trivet/disabled-units")
PAUSE_DIRECTORY = Path("/var/lib/trivet/pause")
PAUSE_FLAG = "agent"
"""The one flag in it: the agent of this node repairs nothing."""
NOMINATION_DIRECTORY = Path("/var/lib/trivet/nomination")
GATEWAY_DIRECTORY = Path("/run/trivet/gateway")
KEEPALIVED_ALIVE = GATEWAY_DIRECTORY / "keepalived.alive"
"""Touched by keepalived every three seconds (role gateway)."""
LEASE_FILE = Path("/var/lib/trivet/lease.json")
SEARCH_ALLOCATION = "cluster.routing.allocation.enable"
SEARCH_ALLOCATION_FLAG = "cluster.metadata.trivet_allocation"
"""A setting that the engine only stores: who limited the allocation and until when, as JSON. It is kept where the
limit itself is, so that it is known whichever node is lost."""


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
    search_engine: str = "opensearch"
    redis_password: str = ""
    domain: str = "localhost"
    heals: bool = False
    """Whether ``trivet-heal`` should run here; a ``node.json`` of an earlier release does not say, so nobody asks."""

    @property
    def web_only(self) -> bool:
        """Whether this is a web node: no member of any cluster, with nginx, PHP-FPM and what the application asks."""
        return self.name not in {member.name for member in self.members}

    @property
    def units(self) -> tuple[str, ...]:
        """The services that should run on this node, as systemd names them; ``php-fpm`` stands for any version."""
        healer = ("trivet-heal",) if self.heals else ()
        everywhere = ("trivet-agent", *healer, "haproxy", "nginx", "php-fpm", "trivet-shared")
        if self.web_only:
            return everywhere
        clustered = ("mariadb", "redis-cache", "redis-session", self.search_engine, "glusterd")
        sentinel = ("redis-sentinel",) if len(self.members) > 1 else ()
        return (*everywhere, "keepalived", *clustered, *sentinel)

    @property
    def written_directories(self) -> tuple[Path, ...]:
        """Where services of this node write, each maybe a file system of its own; not all are on every node."""
        search = Path("/var/lib") / self.search_engine
        return (Path("/"), BRICK_FILE_SYSTEM, Path("/var"), MARIADB_DIRECTORY, REDIS_DIRECTORY, search, STORE_LOGS)

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any]) -> NodeConfig:
        """Read the content of ``node.json``.

        Raises:
            ValueError: a key is missing or does not fit.
        """
        try:
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
                search_engine=str(data.get("search_engine") or "opensearch"),
                redis_password=str(data.get("redis_password") or ""),
                domain=str(data.get("domain") or "localhost"),
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
