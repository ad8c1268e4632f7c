# SPDX-License-Identifier: GPL-3.0-or-later
"""What a service says to systemd (sd_notify), and how often it must say that it lives."""

from __future__ import annotations

import os
import socket


def notify(message: str) -> None:
    """Tell systemd (sd_notify); nothing when systemd did not ask for it."""
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as connection:
        connection.connect(f"\0{path[1:]}" if path.startswith("@") else path)
        connection.sendall(message.encode())


def watchdog_seconds() -> float:
    """How often to say that the service works: half of systemd's patience; 0 when systemd does not ask."""
    return int(os.environ.get("WATCHDOG_USEC", "0")) / 2_000_000
