# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions of HAProxy whose server has closed, and whose client has not noticed: they wait for nothing.

A client that is idle, or that has forked, keeps its end open; until ``timeout client-fin`` HAProxy counts the session
(seen in 2.6). The kernel tells which they are: HAProxy's socket to the server is in CLOSE_WAIT.
"""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Collection
from pathlib import Path

from trivet.services.proxy.haproxy import Runtime, Server

_CLOSE_WAIT = "08"
_SESSION = re.compile(r"^(0x[0-9a-f]+): ")
_BACKEND = re.compile(r"^\s+backend=(\S+) .*\baddr=(\S+)")
SOCKETS = Path("/proc/net/tcp")


def end_half_closed(runtime: Runtime, servers: Collection[Server], sockets: Path = SOCKETS) -> int:
    """End the sessions with these servers that the server has ended; how many there were.

    Raises:
        AgentError: HAProxy does not answer, or refuses.
    """
    busy = [server for server in servers if server.sessions]
    ended = left_by(sockets.read_text(encoding="ascii"), {server.endpoint for server in busy})
    if not ended:
        return 0
    backends = {server.backend for server in busy}
    found = sessions_of(runtime.ask("show sess all"), backends, ended)
    for session in found:
        # One that is over by now is none; HAProxy says so.
        runtime.ask(f"shutdown session {session}")
    return len(found)


def left_by(table: str, servers: Collection[tuple[str, int]]) -> set[str]:
    """The local ends (``address:port``) of connections that one of these servers has closed.

    Args:
        table: as the kernel's ``/proc/net/tcp`` has it (IPv4).
    """
    rows = (line.split() for line in table.splitlines()[1:])
    return {"{}:{}".format(*_place(row[1])) for row in rows if row[3] == _CLOSE_WAIT and _place(row[2]) in servers}


def _place(text: str) -> tuple[str, int]:
    """Address and port of the kernel's hexadecimal form, in which the address has the machine's byte order."""
    address, _, port = text.partition(":")
    return socket.inet_ntoa(struct.pack("=I", int(address, 16))), int(port, 16)


def sessions_of(answer: str, backends: Collection[str], ends: Collection[str]) -> list[str]:
    """The sessions in ``show sess all`` whose connections to a server of these backends begin at these local ends."""
    found = []
    session = ""
    for line in answer.splitlines():
        if match := _SESSION.match(line):
            session = match[1]
        elif (match := _BACKEND.match(line)) and match[1] in backends and match[2] in ends:
            found.append(session)
    return found
