# SPDX-License-Identifier: GPL-3.0-or-later
"""The instances of Redis on this node and its Sentinel, asked in Redis's own protocol."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Self

from trivet.health.collector import Collect
from trivet.health.config import NodeConfig
from trivet.health.external import Deadline, NoAnswer, NotRunning, tcp_connection
from trivet.health.parallel import ASSEMBLY_SECONDS, together
from trivet.services.redis.contract import INSTANCES, SENTINEL_PORT
from trivet.services.redis.facts import RedisFacts, RedisInstance, RedisReplica, SentinelView

Reply = str | int | list["Reply"] | None


class RedisRefusal(Exception):
    """An error reply; its text begins with the error's name, such as ``NOQUORUM``."""


class RedisClient:
    """A connection that speaks RESP 2, enough to ask questions.

    Raises (every method):
        NotRunning: the port refuses.
        NoAnswer: no whole answer in time.
        RedisRefusal: the server answered with an error.
    """

    def __init__(self, address: str, port: int, password: str, deadline: Deadline) -> None:
        self._place = f"{address}:{port}"
        self._deadline = deadline
        self._socket = tcp_connection(address, port, deadline)
        self._buffer = b""
        if password:
            self._authenticate(password)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        self._socket.close()

    def _authenticate(self, password: str) -> None:
        try:
            self.ask("AUTH", password)
        except RedisRefusal as problem:
            # A Sentinel may be without a password, and says so.
            if "without any password configured" not in str(problem):
                self._socket.close()
                raise NoAnswer(f"{self._place}: {problem}") from problem

    def ask(self, *words: str) -> Reply:
        """Send one command and return its reply."""
        parts = [f"*{len(words)}\r\n".encode()]
        for word in words:
            data = word.encode()
            parts.append(b"$%d\r\n%s\r\n" % (len(data), data))
        try:
            self._socket.settimeout(self._deadline.call())
            self._socket.sendall(b"".join(parts))
            return self._reply()
        except OSError as problem:
            raise NoAnswer(f"{self._place}: {problem}") from problem

    def text(self, *words: str) -> str:
        """Send a command whose reply is a text."""
        reply = self.ask(*words)
        if not isinstance(reply, str):
            raise NoAnswer(f"{self._place}: {words[0]} answered {type(reply).__name__}")
        return reply

    def _reply(self) -> Reply:
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind == "+":
            return rest
        if kind == "-":
            raise RedisRefusal(rest)
        if kind == ":":
            return int(rest)
        if kind == "$":
            length = int(rest)
            return None if length < 0 else self._exactly(length)
        if kind == "*":
            return None if int(rest) < 0 else [self._reply() for _ in range(int(rest))]
        raise NoAnswer(f"{self._place}: does not speak Redis")

    def _line(self) -> str:
        while b"\r\n" not in self._buffer:
            self._receive()
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line.decode(errors="replace")

    def _exactly(self, length: int) -> str:
        while len(self._buffer) < length + 2:
            self._receive()
        data, self._buffer = self._buffer[:length], self._buffer[length + 2 :]
        return data.decode(errors="replace")

    def _receive(self) -> None:
        self._socket.settimeout(self._deadline.call())
        chunk = self._socket.recv(65536)
        if not chunk:
            raise NoAnswer(f"{self._place}: closed the connection")
        self._buffer += chunk


def collect(config: NodeConfig, deadline: Deadline) -> RedisFacts:
    """Gather the facts of Redis and Sentinel on this node.

    All at once: one that hangs must not use up the time of the others, nor be asked for so long that nothing is known.
    """
    questions: dict[str, Callable[[], RedisInstance | SentinelView]] = {}
    for name, port in INSTANCES.items():
        questions[f"redis: instance {name}"] = partial(instance_facts, config, config.terms[port], deadline)
        questions[f"redis: Sentinel of {name}"] = partial(sentinel_view, config, name, deadline)
    answers = together(questions, deadline.left() - ASSEMBLY_SECONDS)
    return RedisFacts(
        instances={name: _instance(answers[f"redis: instance {name}"]) for name in INSTANCES},
        sentinels={name: _view(answers[f"redis: Sentinel of {name}"]) for name in INSTANCES},
    )


def _instance(answer: RedisInstance | SentinelView | NoAnswer) -> RedisInstance:
    return answer if isinstance(answer, RedisInstance) else RedisInstance(error=str(answer))


def _view(answer: RedisInstance | SentinelView | NoAnswer) -> SentinelView:
    return answer if isinstance(answer, SentinelView) else SentinelView(error=str(answer))


def instance_facts(config: NodeConfig, port: int, deadline: Deadline) -> RedisInstance:
    """Ask one instance about itself."""
    try:
        with RedisClient(config.address, port, config.redis_password, deadline) as client:
            return parse_instance(client.text("INFO"))
    except (NoAnswer, RedisRefusal) as problem:
        return RedisInstance(error=str(problem), down=isinstance(problem, NotRunning))


def sentinel_view(config: NodeConfig, name: str, deadline: Deadline) -> SentinelView:
    """Ask this node's Sentinel about one instance."""
    try:
        with RedisClient(config.address, config.terms[SENTINEL_PORT], config.redis_password, deadline) as client:
            master = pairs_of(client.ask("SENTINEL", "MASTER", name))
            tilt = parse_info(client.text("INFO", "sentinel")).get("sentinel_tilt") == "1"
            return parse_sentinel(master, quorum_answer(client, name), tilt)
    except (NoAnswer, RedisRefusal) as problem:
        return SentinelView(error=str(problem), down=isinstance(problem, NotRunning))


def quorum_answer(client: RedisClient, name: str) -> str:
    """The verdict of ``SENTINEL CKQUORUM``, good or bad."""
    try:
        return client.text("SENTINEL", "CKQUORUM", name)
    except RedisRefusal as problem:
        return str(problem)


def parse_info(text: str) -> dict[str, str]:
    """``INFO``: one ``name:value`` a line, ``#`` before a section's title."""
    pairs = (line.partition(":") for line in text.splitlines() if ":" in line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def parse_instance(text: str) -> RedisInstance:
    """Facts from an instance's ``INFO``."""
    info = parse_info(text)
    role = info.get("role", "")
    offset = info.get("master_repl_offset" if role == "master" else "slave_repl_offset", "0")
    return RedisInstance(
        role=role,
        loading=info.get("loading") == "1",
        offset=int(offset),
        replicas=tuple(parse_replica(value) for name, value in sorted(info.items()) if re.fullmatch(r"slave\d+", name)),
        primary_address=info.get("master_host", ""),
        primary_link_up=info.get("master_link_status") == "up",
        primary_sync_in_progress=info.get("master_sync_in_progress") == "1",
        failover_state=info.get("master_failover_state", "no-failover"),
        used_memory=int(info.get("used_memory", 0)),
        max_memory=int(info.get("maxmemory", 0)),
        uncounted_memory=int(info.get("mem_not_counted_for_evict", 0)),
    )


def parse_replica(value: str) -> RedisReplica:
    """One ``slaveN`` line: ``ip=…,port=…,state=online,offset=…,lag=…``."""
    parts = dict(item.split("=", 1) for item in value.split(",") if "=" in item)
    return RedisReplica(
        address=parts.get("ip", ""),
        port=int(parts.get("port", 0)),
        state=parts.get("state", ""),
        offset=int(parts.get("offset", 0)),
        lag_seconds=int(parts.get("lag", 0)),
    )


def pairs_of(reply: Reply) -> dict[str, str]:
    """A flat list of names and values, as Sentinel answers."""
    if not isinstance(reply, list):
        raise NoAnswer("Sentinel answered no list")
    words = [str(item) for item in reply]
    return dict(zip(words[::2], words[1::2], strict=False))


def parse_sentinel(master: Mapping[str, str], quorum: str, tilt: bool) -> SentinelView:
    """Facts from ``SENTINEL MASTER``."""
    return SentinelView(
        address=master.get("ip", ""),
        port=int(master.get("port", 0)),
        flags=tuple(master.get("flags", "").split(",")),
        failover_state=master.get("failover-state", "none"),
        other_sentinels=int(master.get("num-other-sentinels", 0)),
        quorum=quorum,
        tilt=tilt,
    )


COLLECT = Collect(facts=RedisFacts, full=collect, members_only=True)
