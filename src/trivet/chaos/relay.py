# SPDX-License-Identifier: GPL-3.0-or-later
"""`relay.py BRIDGE PORT HARDWARE_ADDRESS TAP TABLE MILLISECONDS SECONDS`: what a node sends arrives later.

For kernels without sch_netem. What comes in at the node's port of the bridge is forwarded by nftables (family netdev)
to a TAP device, waits here, and enters the bridge by that device. Returns when this is in force; a process in the
background does the waiting, until the device is removed or the seconds are over, and takes the rule back when it ends.

Standard library alone; run by its path.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import struct
import subprocess
import sys
import time
from collections import deque

TUNSETIFF = 0x400454CA
IFF_TAP = 0x0002
IFF_NO_PI = 0x1000
LARGEST_FRAME = 65536
MOST_WAITING = 100_000
"""Frames; what comes beyond is lost, as at a full queue."""


def open_tap(name: str) -> int:
    """A TAP device of that name, which lives as long as the file descriptor."""
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TAP | IFF_NO_PI))
    return device


def plug_in(bridge: str, port: str, address: str, tap: str, table: str) -> None:
    """Put the TAP device between the port and its bridge, for one direction."""
    run("ip", "link", "set", tap, "master", bridge, "up")
    # The bridge is to send nothing out here: the device is an entrance only, and the node stays where it is.
    silent = ("learning", "flood", "mcast_flood", "bcast_flood")
    run("bridge", "link", "set", "dev", tap, *(word for option in silent for word in (option, "off")))
    run("bridge", "fdb", "replace", address, "dev", port, "master", "static")
    chain = f'chain ingress {{ type filter hook ingress device "{port}" priority 0; fwd to "{tap}"; }}'
    run("nft", f"table netdev {table} {{ {chain}; }}")


def relay(device: int, delay: float, ends: float) -> None:
    """Give every frame back after the delay, in order, until the device is gone or the time (monotonic) is over."""
    waiting: deque[tuple[float, bytes]] = deque()
    while (now := time.monotonic()) < ends:
        while waiting and waiting[0][0] <= now:
            frame = waiting.popleft()[1]
            with contextlib.suppress(BlockingIOError):
                os.write(device, frame)
        patience = min(1.0, waiting[0][0] - now) if waiting else 1.0
        if not select.select([device], [], [], max(0.0, patience))[0]:
            continue
        with contextlib.suppress(BlockingIOError):
            while len(waiting) < MOST_WAITING:
                waiting.append((time.monotonic() + delay, os.read(device, LARGEST_FRAME)))


def run(*command: str) -> None:
    """A program that must succeed."""
    subprocess.run(command, check=True, timeout=10, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def main(bridge: str, port: str, address: str, tap: str, table: str, milliseconds: str, seconds: str) -> None:
    """Set it up, then go into the background."""
    device = open_tap(tap)
    plug_in(bridge, port, address, tap, table)
    if os.fork():
        os._exit(0)
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    try:
        with contextlib.suppress(OSError):  # the device was removed: the delay is over
            relay(device, float(milliseconds) / 1000, time.monotonic() + float(seconds))
    finally:
        subprocess.run(["nft", "delete", "table", "netdev", table], check=False, timeout=10)


if __name__ == "__main__":
    main(*sys.argv[1:])
