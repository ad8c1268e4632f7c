# SPDX-License-Identifier: GPL-3.0-or-later
"""The hand that breaks things: Incus and the lab's machine, past Trivet."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from trivet.errors import GridError
from trivet.grid import instances
from trivet.grid.machine import POOL
from trivet.grid.shell import attempt, run
from trivet.lab import LabState, chaos_table
from trivet.services.contract import Terms
from trivet.services.host.contract import HEAL_MEMORY_FILE

INTERFACE = "eth0"
POWER_SECONDS = 120.0
RESCAN_SECONDS = 180
STORAGE = Path("/var/lib/incus/storage-pools") / POOL
"""The btrfs file system of the labs, on which every node is a subvolume."""
FORGET = f"systemctl stop trivet-heal; rm -f {HEAL_MEMORY_FILE.default}; systemctl start trivet-heal"


def referenced_bytes(shown: str, number: str) -> int:
    """What a subvolume holds, as its quota counts it, from the output of ``btrfs qgroup show --raw``.

    :raises GridError: it is not there.
    """
    for line in shown.splitlines():
        words = line.split()
        if words and words[0] == f"0/{number}":
            return int(words[1])
    raise GridError(f"btrfs does not say what subvolume {number} holds", f"btrfs qgroup show {STORAGE}")


class LabGround:
    """A lab on this machine; see :class:`trivet.chaos.scenario.Ground`."""

    def __init__(self, state: LabState, terms: Terms) -> None:
        self._state = state
        self._terms = terms

    @property
    def nodes(self) -> tuple[str, ...]:
        return tuple(node.name for node in sorted(self._state.nodes, key=lambda node: node.node_id))

    @property
    def terms(self) -> Terms:
        return self._terms

    @property
    def table(self) -> str:
        return chaos_table(self._state.name)

    @property
    def bridge(self) -> str:
        return self._state.bridge

    def on(self, node: str, script: str, *, seconds: float = 60.0) -> str:
        return run(["incus", "exec", node, "--", "sh", "-c", script], timeout=seconds, own_session=True)

    def host(self, command: Sequence[str], *, stdin: str | None = None) -> str:
        return run(command, stdin=stdin, timeout=30, own_session=True)

    def allowed(self, command: Sequence[str]) -> bool:
        return attempt(command, timeout=30, own_session=True).returncode == 0

    def agents_forget(self) -> None:
        _at_once(lambda node: self.on(node, FORGET), self.nodes)

    def port(self, node: str) -> str:
        return str(self._network(node)["host_name"])

    def hardware_address(self, node: str) -> str:
        return str(self._network(node)["hwaddr"])

    def memory_mib(self, node: str) -> int:
        return instances.listed()[node].memory_mib

    def limit_disk(self, node: str, room_mib: int | None) -> None:
        # Past Incus, and by the pool: a full subvolume, which Incus asks, may refuse even to be given room (seen).
        subvolume = str(STORAGE / "containers" / node)
        number = run(["btrfs", "inspect-internal", "rootid", subvolume]).strip()
        limit = "none"
        if room_mib is not None:
            # Incus does so only for an instance with a limit of its own.
            run(["btrfs", "quota", "enable", str(STORAGE)])
            # Counts that btrfs calls inconsistent (images and snapshots that went make them so) hold nobody back.
            run(["btrfs", "quota", "rescan", "-w", str(STORAGE)], timeout=RESCAN_SECONDS)
            shown = run(["btrfs", "qgroup", "show", "--raw", "--sync", "-f", subvolume])
            limit = str(referenced_bytes(shown, number) + room_mib * 2**20)
        run(["btrfs", "qgroup", "limit", limit, f"0/{number}", str(STORAGE)])

    def power_off(self, nodes: Sequence[str]) -> None:
        _at_once(lambda node: instances.stop(node, force=True), nodes)

    def power_on(self, nodes: Sequence[str]) -> None:
        known = instances.listed()
        off = [node for node in nodes if known[node].state != "Running"]
        _at_once(lambda node: run(["incus", "start", node], timeout=POWER_SECONDS), off)

    def _network(self, node: str) -> dict[str, Any]:
        state = json.loads(run(["incus", "query", f"/1.0/instances/{node}/state"]))
        network: dict[str, Any] = state["network"][INTERFACE]
        return network


def _at_once(act: Callable[[str], object], nodes: Sequence[str]) -> None:
    with ThreadPoolExecutor(max_workers=max(1, len(nodes))) as pool:
        list(pool.map(act, nodes))
