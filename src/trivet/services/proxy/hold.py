# SPDX-License-Identifier: GPL-3.0-or-later
"""Hold ports: accept a connection, wait until HAProxy has a server for it, then connect the two ends.

HAProxy refuses at once when it has no server. Behind it, as the last server, a hold port turns the time of a hand-over
or of an election after a crash into latency.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import socket
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from trivet.health.config import HAPROXY_SOCKET
from trivet.node.errors import AgentError
from trivet.services.proxy.haproxy import (
    ANSWER_SECONDS,
    HANDOVER_BACKEND,
    STICKY_BACKEND,
    Server,
    choose,
    entry_commands,
    parse_entry,
    parse_stat,
    real_servers,
    refused,
    stat_command,
)
from trivet.services.registry import BACKENDS

HOLD_SECONDS = 20.0
"""The longest that a connection is held."""
REQUEST_SECONDS = 100.0
"""The longest that a request is held, where any server takes it: below the proxy's own patience
(``haproxy_request_timeout_seconds``), so that its client gets an answer and no broken connection."""
HELD_LIMIT = 1024
"""Connections held and spliced at a time on one port; more are refused."""
POLL_SECONDS = 0.05
WATCH_SECONDS = 0.5
"""How often the servers behind spliced connections are looked at."""
CONNECT_SECONDS = 2.0
PEERS_SECONDS = 6.0
"""How long to wait for the other nodes to say who the writer is; HAProxy's own peers need up to 5 s after a start."""
CHUNK_BYTES = 65536

TRY_AGAIN = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nRetry-After: 10\r\n"
    b"Cache-Control: no-store\r\nConnection: close\r\n\r\nThis page is being updated. Please try again in a moment.\n"
)
"""What a request gets that would be held too long, or is one too many."""

AskPeers = Callable[[], Awaitable[list[str | None]]]
"""Asks the other nodes whom they write to: a name, "" for nobody yet, None for no answer."""

log = logging.getLogger(__name__)


class AsyncRuntime:
    """HAProxy's stats socket, as ``haproxy.Runtime``, without blocking the event loop.

    Raises (every method):
        AgentError: HAProxy does not run, did not answer in time, or refused the command.
    """

    def __init__(self, path: Path = HAPROXY_SOCKET) -> None:
        self.path = path

    async def ask(self, command: str) -> str:
        """Put one question."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                reader, writer = await asyncio.open_unix_connection(str(self.path))
                try:
                    writer.write(f"{command}\n".encode())
                    return (await reader.read()).decode(errors="replace")
                finally:
                    writer.close()
        except (OSError, TimeoutError) as problem:
            raise AgentError(f"HAProxy does not answer on {self.path}: {problem}") from problem

    async def tell(self, command: str) -> None:
        """Give one order."""
        refused(command, await self.ask(command))


def elect(servers: Sequence[Server], answers: Sequence[str | None], waited: float) -> Server | None:
    """The writer for a node whose table is empty, None while it is too early to say.

    A node that has just started must not move the writer of all by guessing: the others are asked first.

    Args:
        answers: what the other nodes say, see AskPeers.
        waited: seconds since the question came up.
    """
    names = Counter(name for name in answers if name)
    if names:
        return choose(servers, max(sorted(names), key=lambda name: names[name]))
    if None in answers and waited < PEERS_SECONDS:
        return None
    return choose(servers)


class HoldPort:
    """One hold port: the backend that it stands for, and the connections that it has."""

    def __init__(self, backend: str, port: int, runtime: AsyncRuntime, ask_peers: AskPeers) -> None:
        self.backend = backend
        self.port = port
        self._runtime = runtime
        self._ask_peers = ask_peers
        self._any_server = BACKENDS[backend].any_server
        self._seconds = REQUEST_SECONDS if self._any_server else HOLD_SECONDS
        self._answer: asyncio.Future[tuple[Server, ...]] | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._spliced: dict[asyncio.Task[None], str] = {}
        self._watcher: asyncio.Task[None] | None = None

    @property
    def counts(self) -> dict[str, object]:
        """Connections that wait, and those connected, by server."""
        return {
            "waiting": len(self._connections) - len(self._spliced),
            "spliced": dict(Counter(self._spliced.values())),
        }

    async def serve(self) -> None:
        """Accept connections for ever."""
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", self.port), backlog=512) as listener:
            listener.setblocking(False)
            while True:
                client, _ = await loop.sock_accept(listener)
                if len(self._connections) >= HELD_LIMIT:
                    self._refuse(client)
                    client.close()
                    continue
                task = asyncio.create_task(self._handle(client))
                self._connections.add(task)
                task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._connections.discard(task)
        self._spliced.pop(task, None)
        if self._answer and len(self._connections) == len(self._spliced):
            self._answer.cancel()

    async def _handle(self, client: socket.socket) -> None:
        """Hold one connection, then splice it; whatever goes wrong, it is closed."""
        with client, contextlib.suppress(OSError, TimeoutError, asyncio.CancelledError):
            client.setblocking(False)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                async with asyncio.timeout(self._seconds):
                    name, server = await self._connect()
            except TimeoutError:
                self._refuse(client)
                raise
            with server:
                task = asyncio.current_task()
                assert task is not None
                self._spliced[task] = name
                self._watch()
                await splice(client, server)

    def _refuse(self, client: socket.socket) -> None:
        """Answer a request that gets no server. Other protocols have no word for it: their connection is closed."""
        if self._any_server:
            with contextlib.suppress(OSError):
                client.send(TRY_AGAIN)

    async def _connect(self) -> tuple[str, socket.socket]:
        """A connection to the server of the moment, and its name."""
        loop = asyncio.get_running_loop()
        while True:
            chosen = random.choice(await self._chosen())
            connection = socket.socket()
            try:
                connection.setblocking(False)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                async with asyncio.timeout(CONNECT_SECONDS):
                    await loop.sock_connect(connection, chosen.endpoint)
                return chosen.name, connection
            except (OSError, TimeoutError):
                connection.close()
                await asyncio.sleep(POLL_SECONDS)
            except BaseException:
                connection.close()
                raise

    async def _chosen(self) -> tuple[Server, ...]:
        """The servers that HAProxy has for it; all that wait share one poll."""
        if self._answer is None or self._answer.done():
            self._answer = asyncio.ensure_future(self._poll())
        return await asyncio.shield(self._answer)

    async def _poll(self) -> tuple[Server, ...]:
        started = time.monotonic()
        while True:
            try:
                if servers := await self._look(time.monotonic() - started):
                    return servers
            except AgentError as problem:
                log.debug("%s", problem)
            await asyncio.sleep(POLL_SECONDS)

    async def _look(self, waited: float) -> tuple[Server, ...]:
        """The servers of which HAProxy would use one now; none while the backend is held or has none."""
        switches = parse_stat(await self._runtime.ask(stat_command(HANDOVER_BACKEND)))
        if any(item.name == self.backend and not item.up for item in switches):
            return ()
        servers = real_servers(parse_stat(await self._runtime.ask(stat_command(self.backend))), self.backend)
        if self._any_server:
            return tuple(item for item in servers if item.up and item.weight > 0)
        chosen = choose(servers) if self.backend != STICKY_BACKEND else await self._writer(servers, waited)
        return (chosen,) if chosen else ()

    async def _writer(self, servers: Sequence[Server], waited: float) -> Server | None:
        """The writer: the one that connections stick to, else the one that the nodes agree on."""
        entry = parse_entry(await self._runtime.ask(f"show table {STICKY_BACKEND}"), servers)
        if entry is not None:
            return choose(servers, entry)
        elected = elect(servers, await self._ask_peers(), waited)
        if elected:
            for command in entry_commands(elected):
                await self._runtime.tell(command)
        return elected

    def _watch(self) -> None:
        if self._watcher is None or self._watcher.done():
            self._watcher = asyncio.create_task(self._close_lost())

    async def _close_lost(self) -> None:
        """Close what is spliced to a server that went down, as HAProxy does with its own sessions."""
        while self._spliced:
            await asyncio.sleep(WATCH_SECONDS)
            with contextlib.suppress(AgentError):
                servers = parse_stat(await self._runtime.ask(stat_command(self.backend)))
                lost = {item.name for item in servers if item.state in ("DOWN", "MAINT")}
                for task, name in self._spliced.items():
                    if name in lost:
                        task.cancel()


async def splice(client: socket.socket, server: socket.socket) -> None:
    """Copy both ways until the server has closed, or both ends have.

    A database or Redis that closes has nothing more to hear: the client may be idle and not notice for hours.
    """
    to_server = asyncio.create_task(_copy(client, server))
    try:
        await _copy(server, client)
    finally:
        to_server.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await to_server


async def _copy(source: socket.socket, target: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    try:
        while data := await loop.sock_recv(source, CHUNK_BYTES):
            await loop.sock_sendall(target, data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        # One direction is broken: end the other one, which may wait for data, by ending both sockets.
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
