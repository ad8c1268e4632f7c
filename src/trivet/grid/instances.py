# SPDX-License-Identifier: GPL-3.0-or-later
"""System containers as nodes: made, started, resized, stopped and removed by name."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trivet.errors import GridError
from trivet.grid.machine import POOL
from trivet.grid.shell import attempt, run
from trivet.grid.state import GridNode, GridState
from trivet.model.size import Size

START_SECONDS = 60
GRID_KEY = "user.trivet.lab"
"""Where an instance says which grid it belongs to: labs were the first grids."""


@dataclass(frozen=True, slots=True)
class Instance:
    """What Incus says of a node.

    Args:
        state: Incus's word: Running, Stopped …
        grid: Name of the grid that it belongs to.
        made: Nothing of it is missing.
        cpu_allowance: Its share of the cores when others want them too, in per cent of the usual one.
    """

    name: str
    state: str
    cpus: int
    memory_mib: int
    grid: str
    made: bool
    cpu_allowance: str = "100%"


def listed() -> dict[str, Instance]:
    """All instances of grids of this machine, by name."""
    rows: list[dict[str, Any]] = json.loads(run(["incus", "list", "--format", "json"]))
    instances = {}
    for row in rows:
        # One that another program makes at this moment has none yet.
        config = row.get("config") or {}
        if GRID_KEY not in config:
            continue
        memory = config.get("limits.memory", "0MiB").removesuffix("MiB")
        instances[row["name"]] = Instance(
            row["name"],
            row["status"],
            int(config.get("limits.cpu", "0")),
            int(memory),
            config[GRID_KEY],
            config.get("user.trivet.made") == "true",
            config.get("limits.cpu.allowance", "100%"),
        )
    return instances


def create(state: GridState, node: GridNode, image: str, size: Size, files: Mapping[str, str]) -> None:
    """Make a node with its limits, name, address and key, and leave it stopped.

    Args:
        state: The grid that it belongs to.
        node: Name and address.
        image: Alias of the base image.
        size: Its limits.
        files: Further files of it: the text by the path.
    """
    run(
        [
            "incus", "init", image, node.name, "--storage", POOL, "--network", state.bridge,
            # GlusterFS' FUSE mounts and systemd's own sandboxing need both.
            "--config", "security.privileged=true",
            "--config", "security.nesting=true",
            # A node that was killed with the machine starts when its grid is brought up, not with the daemon.
            "--config", "boot.autostart=false",
            "--config", f"limits.cpu={size.cpus}",
            "--config", f"limits.memory={size.memory_mib}MiB",
            "--config", f"{GRID_KEY}={state.name}",
        ],
        timeout=300,
    )  # fmt: skip
    run(["incus", "config", "device", "add", node.name, "fuse", "unix-char", "path=/dev/fuse"])
    _push(node.name, "/etc/hostname", f"{node.name}\n")
    _push(node.name, "/etc/network/interfaces", _interfaces(state, node))
    _push(node.name, "/etc/hosts", _hosts(state, node))
    for path, text in files.items():
        _push(node.name, path, text)
    public_key = state.ssh_key.with_suffix(".pub").read_text(encoding="utf-8")
    _push(node.name, "/root/.ssh/authorized_keys", public_key, mode="0600")
    run(["incus", "config", "set", node.name, "user.trivet.made=true"])


def _interfaces(state: GridState, node: GridNode) -> str:
    return (
        "auto lo\niface lo inet loopback\n\n"
        f"auto eth0\niface eth0 inet static\n  address {node.address}/24\n  gateway {state.host_address}\n"
    )


def _hosts(state: GridState, itself: GridNode) -> str:
    named = dict.fromkeys([*state.nodes, itself])
    lines = ["127.0.0.1 localhost", *(f"{node.address} {node.name}" for node in named)]
    return "\n".join(lines) + "\n"


def _push(instance: str, path: str, text: str, mode: str = "0644") -> None:
    run(
        ["incus", "file", "push", "-q", "-p", "--uid", "0", "--gid", "0", "--mode", mode, "-", f"{instance}{path}"],
        stdin=text,
    )


def make_room_for_containers(name: str) -> None:
    """Have a stopped instance take the files of this machine's lxcfs at its start, for containers within it.

    lxcfs gives them to an instance that has the folder (its ``lxc.mount.hook``), which the package makes too late.
    """
    run(["incus", "file", "create", "--type", "directory", f"{name}/var/lib/lxcfs"])


def start(name: str) -> None:
    """Start a node and wait until SSH is served in it.

    Raises:
        GridError: When it does not come up in time.
    """
    if listed()[name].state != "Running":
        run(["incus", "start", name], timeout=120)
    # The base image has no host keys: the first start makes them.
    script = (
        "ls /etc/ssh/ssh_host_ed25519_key >/dev/null 2>&1 || ssh-keygen -A >/dev/null; "
        "systemctl start ssh; systemctl is-active -q ssh"
    )
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if attempt(["incus", "exec", name, "--", "sh", "-c", script], timeout=30).returncode == 0:
            return
        time.sleep(0.3)
    raise GridError(
        f"{name} did not serve SSH within {START_SECONDS} s of its start", f"incus exec {name} -- journalctl -b"
    )


def host_key(name: str) -> str:
    """A node's public SSH host key, read through Incus, so that nobody can stand in between."""
    words = run(["incus", "exec", name, "--", "cat", "/etc/ssh/ssh_host_ed25519_key.pub"]).split()
    return " ".join(words[:2])


def stop(name: str, *, force: bool = False, timeout: int = 180) -> None:
    """Stop a node; with ``force`` as if its power were cut.

    A stop that another process began (a killed runner's goes on in the daemon) is waited for.
    """
    command = ["incus", "stop", name] + (["--force"] if force else ["--timeout", str(timeout)])
    deadline = time.monotonic() + timeout
    while listed()[name].state != "Stopped":
        result = attempt(command, timeout=timeout + 30)
        if result.returncode == 0:
            return
        if "busy" not in result.stderr or time.monotonic() > deadline:
            raise GridError(f"{name} was not stopped: {result.stderr.strip()}", f"incus info --show-log {name}")
        time.sleep(1)


def resize(name: str, size: Size) -> None:
    """Set a node's limits; takes effect at once."""
    run(["incus", "config", "set", name, f"limits.cpu={size.cpus}", f"limits.memory={size.memory_mib}MiB"])


def set_cpu_allowance(name: str, percent: int) -> None:
    """Set a node's share of the cores when others want them too, in per cent of the usual one; takes effect at once."""
    run(["incus", "config", "set", name, f"limits.cpu.allowance={percent}%"])


def delete(name: str) -> None:
    """Remove a node by its name, running or not."""
    if attempt(["incus", "info", name]).returncode == 0:
        run(["incus", "delete", "--force", name], timeout=120)
