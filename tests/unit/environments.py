# SPDX-License-Identifier: GPL-3.0-or-later
"""An environment of three nodes for tests."""

from __future__ import annotations

from pathlib import Path

from trivet.model import Environment, Node

NAMES = ("node-1", "node-2", "node-3")


def environment(count: int = 3, size: str = "6") -> Environment:
    return Environment(
        name="test",
        inventory=Path("inventories/test"),
        nodes=tuple(Node(NAMES[n], n + 1, f"192.0.2.{n + 11}") for n in range(count)),
        gateways=tuple(f"192.0.2.{n + 21}" for n in range(count)),
        size=size,
        domains=("shop.example",),
    )
