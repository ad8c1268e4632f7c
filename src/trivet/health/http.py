# SPDX-License-Identifier: GPL-3.0-or-later
"""One HTTP request over an open connection.

``http.client`` is not used: with ``ssl`` and ``email``, which it needs, it would be a third of the memory of an agent
that runs all the time, and of the time that one of its commands takes to start.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass

LARGEST_ANSWER = 4 * 1024 * 1024
OK = 200


@dataclass(frozen=True)
class Response:
    """An HTTP response with its whole body."""

    status: int
    location: str
    body: bytes


def exchange(
    connection: socket.socket,
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes = b"",
    *,
    timeout: Callable[[], float] | None = None,
) -> Response:
    """Send a request and read the response, to the length that the server says or until it closes the connection.

    By HTTP/1.0: its answer has no chunks.

    Args:
        headers: with ``Host``.
        timeout: seconds for the next read; without it the connection's own timeout holds for each.

    Raises:
        OSError: the connection failed, or an operation took too long.
        ValueError: what came is no HTTP response, is cut off, or does not end.
    """
    sent = {**headers, "Content-Length": str(len(body))} if body or method != "GET" else headers
    lines = [f"{method} {path} HTTP/1.0", *(f"{name}: {value}" for name, value in sent.items()), "", ""]
    connection.sendall("\r\n".join(lines).encode("latin-1") + body)
    received = bytearray()
    while not _complete(received) and (chunk := connection.recv(65536)):
        received += chunk
        if len(received) > LARGEST_ANSWER:
            raise ValueError("the answer does not end")
        if timeout is not None:
            connection.settimeout(timeout())
    return parse(bytes(received))


def _complete(received: bytearray) -> bool:
    """Whether everything has come that the server has announced; where it did not say, its end is not known yet."""
    head, separator, body = received.partition(b"\r\n\r\n")
    length = _length(_fields(head)) if separator else None
    return length is not None and len(body) >= length


def _fields(head: bytes | bytearray) -> dict[str, str]:
    pairs = (line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:])
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _length(fields: Mapping[str, str]) -> int | None:
    text = fields.get("content-length", "")
    return int(text) if text.isdecimal() else None


def parse(message: bytes) -> Response:
    """A response from all bytes that the server sent.

    Raises:
        ValueError: it is none, or it is cut off.
    """
    head, separator, body = message.partition(b"\r\n\r\n")
    version, _, rest = head.partition(b"\r\n")[0].decode("latin-1").partition(" ")
    fields = _fields(head)
    length = _length(fields)
    if not separator or not version.startswith("HTTP/") or not rest[:3].isdecimal():
        raise ValueError("the server closed the connection before its answer was complete")
    if length is not None and len(body) < length:
        raise ValueError("the server closed the connection before its answer was complete")
    return Response(int(rest[:3]), fields.get("location", ""), body)
