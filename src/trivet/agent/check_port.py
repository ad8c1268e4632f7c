# SPDX-License-Identifier: GPL-3.0-or-later
"""The check port: one line in, one line out.

Three HAProxies ask it for each of their servers every two seconds, some twelve times a second. By asyncio's streams,
with a task, a timeout and five rounds of the loop for each question, fifty a second were 2 % of a core. Here a
connection whose line has come is answered and closed in the round in which it is accepted, and the kernel reports
a connection only once its line is there (``TCP_DEFER_ACCEPT``).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable

from trivet.services.proxy.haproxy import CHECK_PORT

REQUEST_SECONDS = 2.0
REQUEST_BYTES = 64
BACKLOG = 256
REST_SECONDS = 0.5
"""How long no connection is accepted when there are no file descriptors left."""

Replies = Callable[[str], str | Awaitable[str]]
"""Takes the line of a question."""


class CheckPort:
    """Answers on one listening socket, until it is closed; made while the event loop runs."""

    def __init__(self, listener: socket.socket, replies: Replies) -> None:
        listener.setblocking(False)
        self._listener = listener
        self._replies = replies
        self._loop = asyncio.get_running_loop()
        self._waiting: set[asyncio.Task[None]] = set()
        self._loop.add_reader(listener, self._accept)

    def close(self) -> None:
        """Answer no more."""
        self._loop.remove_reader(self._listener)
        self._listener.close()

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError:
            self._loop.remove_reader(self._listener)
            self._loop.call_later(REST_SECONDS, self._resume)
            return
        connection.setblocking(False)
        line = b""
        with contextlib.suppress(OSError):
            line = connection.recv(REQUEST_BYTES)
        said = self._replies(_question(line)) if line.endswith(b"\n") else None
        if isinstance(said, str):
            _send(connection, said)
        else:
            task = self._loop.create_task(self._converse(connection, line, said))
            self._waiting.add(task)
            task.add_done_callback(self._waiting.discard)

    def _resume(self) -> None:
        if self._listener.fileno() >= 0:
            self._loop.add_reader(self._listener, self._accept)

    async def _converse(self, connection: socket.socket, line: bytes, said: Awaitable[str] | None) -> None:
        """Answer what cannot be answered at once: a question of which only a part is there, or one that takes time."""
        with contextlib.closing(connection), contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(REQUEST_SECONDS):
                while said is None:
                    more = await self._loop.sock_recv(connection, REQUEST_BYTES)
                    line += more
                    if not more or len(line) > REQUEST_BYTES:
                        return
                    if b"\n" in line:
                        answer = self._replies(_question(line))
                        said = _at_once(answer) if isinstance(answer, str) else answer
                await self._loop.sock_sendall(connection, f"{await said}\n".encode())


async def _at_once(answer: str) -> str:
    return answer


def _question(line: bytes) -> str:
    return line.partition(b"\n")[0].decode(errors="replace").strip()


def _send(connection: socket.socket, said: str) -> None:
    # A line fits into the buffer of a new connection.
    with contextlib.closing(connection), contextlib.suppress(OSError):
        connection.send(f"{said}\n".encode())


def listening(address: str, port: int = CHECK_PORT) -> socket.socket:
    """The check port on an address, which this node need not have yet (IP_FREEBIND)."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.IPPROTO_IP, getattr(socket, "IP_FREEBIND", 15), 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, int(REQUEST_SECONDS))
    listener.bind((address, port))
    listener.listen(BACKLOG)
    return listener
