# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads an inventory by ``ansible-inventory`` into a checked :class:`Environment`."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from trivet.ansible.settings import ansible_environment, program
from trivet.errors import InputError
from trivet.model.environment import Environment
from trivet.paths import inventories_directory, labs_directory, machine_inventories_directory


def inventory_path(environment: str) -> Path:
    """The inventory of ENV: a path, a lab's name, or the name of a folder in inventories/.

    :raises InputError: when there is no such inventory; lists those that there are.
    """
    if os.sep in environment or Path(environment).is_file():
        path = Path(environment)
        if path.exists():
            return path.resolve()
        raise InputError(f"there is no inventory at {path}")
    lab = labs_directory() / environment / "inventory"
    local = Path.cwd() / "inventories" / environment
    machine = machine_inventories_directory() / environment
    for candidate in (lab, local, machine, inventories_directory() / environment):
        if candidate.is_dir() and environment != "common":
            return candidate
    raise InputError(
        f"unknown environment {environment!r}; there are {', '.join(known_environments())}", "trivet --help"
    )


def known_environments() -> list[str]:
    """Names that :func:`inventory_path` takes."""
    names: set[str] = set()
    for folder in (Path.cwd() / "inventories", machine_inventories_directory(), inventories_directory()):
        if folder.is_dir():
            names |= {entry.name for entry in folder.iterdir() if entry.is_dir() and entry.name != "common"}
    if labs_directory().is_dir():
        names |= {entry.parent.name for entry in labs_directory().glob("*/inventory")}
    return sorted(names)


def load_environment(environment: str) -> Environment:
    """Read and check an environment. Nothing is contacted.

    :raises InputError: for an unknown or invalid inventory, naming file and key.
    """
    path = inventory_path(environment)
    return Environment.from_inventory(inventory_listing(path), path)


def inventory_listing(path: Path) -> dict[str, Any]:
    """The output of ``ansible-inventory --list``.

    :raises InputError: with Ansible's own words when the inventory cannot be read.
    """
    completed = subprocess.run(
        [program("ansible-inventory"), "-i", str(path), "--list"],
        env={**os.environ, **ansible_environment(), "ANSIBLE_INVENTORY_UNPARSED_FAILED": "True"},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=120,
    )
    if completed.returncode != 0:
        lines = [line for line in completed.stderr.splitlines() if line.strip()]
        raise InputError(f"{path} cannot be read: " + " ".join(lines[-6:])[:1200])
    listing: dict[str, Any] = json.loads(completed.stdout, object_hook=_plain)
    return listing


def _plain(value: dict[str, Any]) -> Any:
    # ansible-inventory wraps what it may not treat as a template.
    return value["__ansible_unsafe"] if set(value) == {"__ansible_unsafe"} else value
