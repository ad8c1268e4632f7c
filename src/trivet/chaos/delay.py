# SPDX-License-Identifier: GPL-3.0-or-later
"""Latency of what a node sends, by :mod:`trivet.chaos.relay`: it needs no packet scheduler of the kernel."""

from __future__ import annotations

import sys

from trivet.chaos import relay
from trivet.chaos.scenario import Ground
from trivet.lab import chaos_device

LONGEST_SECONDS = 300
"""After these the relay ends by itself, whatever became of the suite."""


def delay_begins(ground: Ground, node: str, milliseconds: int) -> None:
    """Everything that a node sends arrives that much later, at clients too. Replaces an earlier delay."""
    delay_ends(ground, node)
    port, address = ground.port(node), ground.hardware_address(node)
    program = [sys.executable, "-I", "-S", relay.__file__]
    words = [
        ground.bridge,
        port,
        address,
        chaos_device(ground.bridge),
        ground.table,
        str(milliseconds),
        str(LONGEST_SECONDS),
    ]
    ground.host([*program, *words])


def delay_ends(ground: Ground, node: str) -> None:
    """Take it back; harmless when there is none, or when the node does not run."""
    ground.allowed(["nft", "delete", "table", "netdev", ground.table])
    # The process that has the device open ends with it.
    if ground.allowed(["ip", "link", "delete", chaos_device(ground.bridge)]):
        address = ground.hardware_address(node)
        ground.allowed(["bridge", "fdb", "delete", address, "dev", ground.port(node), "master"])


def delay_obstacle(ground: Ground) -> str | None:
    """Why this machine cannot delay packets."""
    if ground.allowed(["test", "-c", "/dev/net/tun"]):
        return None
    return "the machine has no /dev/net/tun, by which the packets of a node are delayed"
