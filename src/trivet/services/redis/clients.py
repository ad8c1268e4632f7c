# SPDX-License-Identifier: GPL-3.0-or-later
"""The clients of an instance of Redis: what each of them keeps, and how the instance closes those that keep nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping

from trivet.health.config import NodeConfig
from trivet.health.external import Deadline, NoAnswer
from trivet.node.clients import Seen
from trivet.services.redis.collect import RedisClient, RedisRefusal
from trivet.services.redis.contract import INSTANCES

SECONDS = 2.0
IDLE_SECONDS = 1
"""How long a client must have been idle, in Redis's whole seconds: between two of its commands."""
_TYPES = ("normal", "pubsub")
_HARMLESS = frozenset("Nu")
"""Flags of a client that waits for nothing and subscribes to nothing; ``u`` is one that came by a unix socket."""
_STATES = {
    "b": "waits for a blocking command",
    "x": "in a transaction",
    "P": "subscribes",
    "O": "monitors",
}


def read(line: str) -> dict[str, str]:
    """One line of ``CLIENT LIST``: ``name=value`` each."""
    return dict(item.partition("=")[::2] for item in line.split())


def is_free(client: Mapping[str, str]) -> bool:
    """Whether the instance may close the connection without a loss: the client will make a new one."""
    watches = client.get("cmd") == "watch" or client.get("watch", "0") != "0"
    unread = client.get("qbuf", "0") != "0"
    idle = int(client.get("idle", 0)) >= IDLE_SECONDS
    return idle and set(client["flags"]) <= _HARMLESS and client.get("multi") == "-1" and not watches and not unread


def is_customer(client: Mapping[str, str]) -> bool:
    """Whether it is neither a Sentinel nor the agent that asks."""
    return not client.get("name", "").startswith("sentinel-") and client.get("cmd") != "client|list"


def words(client: Mapping[str, str], names: Mapping[str, str]) -> str:
    """Who it is and what it keeps, for an operator.

    Args:
        names: nodes by address.
    """
    address = client["addr"].rpartition(":")[0]
    called = f" «{client['name']}»" if client.get("name") else ""
    last = client.get("cmd", "").replace("|", " ").upper()
    return (
        f"client{called} from {names.get(address, address)} (connection {client['id']}): {', '.join(_keeps(client))} "
        f"for {client.get('idle', '?')} s, last command {last}"
    )


def _keeps(client: Mapping[str, str]) -> Iterator[str]:
    found = [word for flag, word in _STATES.items() if flag in client["flags"]]
    yield from found or ["idle"]


class InstanceClients:
    """Whoever is connected to one instance of this node.

    Raises (every method):
        NoAnswer: the instance does not answer, or refuses the question.
    """

    def __init__(self, node: NodeConfig, instance: str) -> None:
        self._node = node
        self._port = node.terms[INSTANCES[instance]]
        self._names = {member.address: member.name for member in node.members}

    def look(self) -> list[Seen]:
        """The customers' connections now."""
        with self._client() as client:
            try:
                lines = [line for kind in _TYPES for line in client.text("CLIENT", "LIST", "TYPE", kind).splitlines()]
            except RedisRefusal as problem:
                raise NoAnswer(str(problem)) from problem
        return [
            Seen(
                number=int(item["id"]),
                free=is_free(item),
                words=words(item, self._names),
                age=float(item.get("age", 0)),
            )
            for item in map(read, lines)
            if is_customer(item)
        ]

    def end(self, numbers: Collection[int]) -> None:
        """Close these connections; one that has ended meanwhile is none any more."""
        with self._client() as client:
            for number in numbers:
                with contextlib.suppress(RedisRefusal):
                    client.ask("CLIENT", "KILL", "ID", str(number))

    def _client(self) -> RedisClient:
        return RedisClient(self._node.address, self._port, self._node.redis_password, Deadline(SECONDS))
