# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on a node, and says in JSON lines what the node's own detectors notice.

`python3 -I -S -c SOURCE NODE SECONDS HAPROXY-SOCKET EVENTS-FILE`

HAProxy's word on its servers, the addresses that the node holds, and the healer's journal where there is one, looked at
twice a second by one process that sleeps otherwise. Ends with its standard input or after the seconds.
Standard library alone, and nothing of Trivet: it must work whatever became of the agent.
"""

from __future__ import annotations

import array
import csv
import fcntl
import io
import json
import os
import select
import socket
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

POLL_SECONDS = 0.5
ANSWER_SECONDS = 1.0
GONE = "no answer"
SIOCGIFCONF = 0x8912
INTERFACE_BYTES = 40
"""Of one entry of the kernel's answer, on 64-bit machines."""
MOST_ADDRESSES = 100

States = dict[str, str]


def proxy_states(place: str) -> States:
    """Each server of the local HAProxy with its state; one entry that says so when its socket gives no answer."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(ANSWER_SECONDS)
            connection.connect(place)
            connection.sendall(b"show stat -1 4 -1\n")
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
    except OSError:
        return {"haproxy": GONE}
    rows = csv.DictReader(io.StringIO(answer.decode("utf-8", "replace").removeprefix("# ").strip()))
    return {f"{row['pxname']}/{row['svname']}": row["status"].split(" ")[0] for row in rows}


def taken_out(before: States, now: States) -> Iterator[str]:
    """What was up and is not any more."""
    if "haproxy" in now and "haproxy" not in before:
        yield "haproxy does not answer"
    for server, state in now.items():
        if before.get(server) == "UP" and state in ("DOWN", "MAINT", "NOLB"):
            yield f"{server} {state}"


def held_addresses() -> frozenset[str]:
    """The node's own IPv4 addresses, but for those on ``lo``, where every node has the gateway addresses."""
    buffer = array.array("B", bytes(INTERFACE_BYTES * MOST_ADDRESSES))
    request = struct.pack("iP", len(buffer), buffer.buffer_info()[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        filled = struct.unpack("iP", fcntl.ioctl(any_socket, SIOCGIFCONF, request))[0]
    entries = (bytes(buffer[start : start + INTERFACE_BYTES]) for start in range(0, filled, INTERFACE_BYTES))
    pairs = ((entry[:16].partition(b"\0")[0].decode(), socket.inet_ntoa(entry[20:24])) for entry in entries)
    # An alias such as lo:trivet is its interface's.
    return frozenset(address for interface, address in pairs if interface.partition(":")[0] != "lo")


class Tail:
    """Lines that are appended to a file from now on; the file may be missing, or be replaced by a new one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inode, self._position = self._now()

    def _now(self) -> tuple[int, int]:
        try:
            status = self._path.stat()
        except OSError:
            return 0, 0
        return status.st_ino, status.st_size

    def lines(self) -> list[str]:
        """What is new, in whole lines."""
        inode, size = self._now()
        if inode != self._inode or size < self._position:
            self._inode, self._position = inode, 0
        if size == self._position:
            return []
        with self._path.open("rb") as file:
            file.seek(self._position)
            whole = file.read().rpartition(b"\n")[0]
        self._position += len(whole) + 1 if whole else 0
        return whole.decode("utf-8", "replace").splitlines()


def healer_text(line: str) -> str | None:
    """What the healer wrote down, in words; None of what is no event."""
    try:
        event: dict[str, Any] = json.loads(line)
        return f"{event['kind']}: {event.get('text', event.get('incident', ''))}"
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def main(node: str, seconds: float, haproxy: str, healer: str) -> None:
    """Look until there is nobody to tell any more."""

    def say(detector: str, text: str) -> None:
        print(json.dumps({"at": time.time(), "node": node, "detector": detector, "text": text}), flush=True)

    ends = time.monotonic() + seconds
    states, journal = proxy_states(haproxy), Tail(Path(healer))
    addresses = held_addresses()
    while time.monotonic() < ends and not select.select([0], [], [], POLL_SECONDS)[0]:
        before, states = states, proxy_states(haproxy)
        for text in taken_out(before, states):
            say("haproxy", text)
        former, addresses = addresses, held_addresses()
        if former != addresses:
            say("gateway", "addresses " + ", ".join(sorted(former ^ addresses)))
        for line in journal.lines():
            if event := healer_text(line):
                say("healer", event)


if __name__ == "__main__":
    try:
        main(sys.argv[1], float(sys.argv[2]), *sys.argv[3:])
    except BrokenPipeError:
        os._exit(0)
