# SPDX-License-Identifier: GPL-3.0-or-later
"""A cheap look: does every service of this node answer at all?

A whole collection starts a dozen programs, of which GlusterFS' heal report connects to every brick. A node that is well
should not pay for that every few seconds. This asks over sockets only, and starts nothing.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

from trivet.agent.haproxy import stat_command
from trivet.health.collectors.files import RUN_DIRECTORY, process_alive
from trivet.health.collectors.proxies import parse_stat
from trivet.health.collectors.redis import RedisClient, RedisRefusal
from trivet.health.config import (
    HAPROXY_SOCKET,
    MARIADB_SOCKET,
    MOUNT,
    REDIS_PORTS,
    SEARCH_PORT,
    SENTINEL_PORT,
    VOLUME,
    WEB_PORT,
    NodeConfig,
)
from trivet.health.external import Deadline, NoAnswer, http_get, unix_dialogue
from trivet.health.holders import WRITER_BACKEND
from trivet.health.parallel import together

SECONDS = 2.0
Question = Callable[[], bool]


def silent(config: NodeConfig) -> tuple[str, ...]:
    """What does not answer as it should; empty on a node that is well. Takes at most 2 s."""
    deadline = Deadline(SECONDS)
    answers = together(questions(config, deadline), deadline.left())
    return tuple(sorted(name.removeprefix("pulse: ") for name, answer in answers.items() if answer is not True))


def questions(config: NodeConfig, deadline: Deadline) -> dict[str, Question]:
    """A question for each service, by name."""
    asked: dict[str, Question] = {
        "haproxy": lambda: _database_is_up(config, deadline),
        "web": lambda: (
            http_get(config.address, WEB_PORT, "/health_check.php", deadline, headers=_host(config)).status == 200
        ),
        "mariadb": lambda: _greets(deadline),
        "search": lambda: http_get(config.address, SEARCH_PORT, "/", deadline).status == 200,
        "brick": lambda: process_alive(RUN_DIRECTORY.glob(f"vols/{VOLUME}/*.pid"), b"glusterfsd"),
        "mount": lambda: MOUNT.is_mount() and os.statvfs(MOUNT).f_blocks > 0,
    }
    for name, port in REDIS_PORTS.items():
        asked[f"redis-{name}"] = _pings(config, port, deadline)
    if len(config.members) > 1:
        asked["redis-sentinel"] = _pings(config, SENTINEL_PORT, deadline)
    return {f"pulse: {name}": question for name, question in asked.items()}


def _host(config: NodeConfig) -> dict[str, str]:
    return {"Host": config.domain}


def _pings(config: NodeConfig, port: int, deadline: Deadline) -> Question:
    def ping() -> bool:
        try:
            with RedisClient(config.address, port, config.redis_password, deadline) as client:
                return client.ask("PING") == "PONG"
        except RedisRefusal:
            return False

    return ping


def _greets(deadline: Deadline) -> bool:
    """Whether mariadbd says hello; it does so to everybody, before any password."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(deadline.call())
        connection.connect(str(MARIADB_SOCKET))
        return len(connection.recv(5)) == 5


def _database_is_up(config: NodeConfig, deadline: Deadline) -> bool:
    """Whether HAProxy answers, and finds this node's database ready: it asks for ``wsrep_ready`` all the time.

    Raises:
        NoAnswer: HAProxy does not know the database.
    """
    servers = parse_stat(unix_dialogue(HAPROXY_SOCKET, f"{stat_command(WRITER_BACKEND)}\n", deadline))
    own = next((server for server in servers if server.server == config.name), None)
    if own is None:
        raise NoAnswer(f"{WRITER_BACKEND} has no server {config.name}")
    return own.status.startswith(("UP", "DRAIN"))
