#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""An example for trivet_provider command: every verb of the contract, for machines that are files in $MACHINES.

Put the calls of your hypervisor in the place of `load` and `save`. The tests of Trivet run this program as it is.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(os.environ.get("MACHINES", "/var/lib/machines-as-files"))


def main() -> int:
    request = json.load(sys.stdin)
    verb, node = request["verb"], request["node"]
    with alone():
        machine = load(node)
        if machine is None and verb not in ("create", "check-create", "delete"):
            print(f"there is no machine {node} in {FOLDER}", file=sys.stderr)
            return 1
        if verb == "create":
            # A node that is replaced must have the address that it had: the others know it by that.
            machine = machine or {"address": request["address"] or free_address(), "size": request["size"]}
            save(node, machine | {"runs": True})
            print(json.dumps({"address": machine["address"]}))
        elif verb == "check-create":
            if request["address"] in addresses(but=node):
                print(f"{request['address']} is the address of another machine", file=sys.stderr)
                return 1
        elif verb == "delete":
            (FOLDER / f"{node}.json").unlink(missing_ok=True)
        elif verb == "stop":
            print(json.dumps({"progress": f"shutting {node} down"}), flush=True)
            save(node, machine | {"runs": False})
        elif verb == "resize":
            if machine["runs"] and machine["size"] != request["size"]:
                print(f"{node} runs; stop it first", file=sys.stderr)
                return 1
            save(node, machine | {"size": request["size"]})
        elif verb == "start":
            save(node, machine | {"runs": True})
        elif verb != "check":
            print(f"unknown verb {verb}", file=sys.stderr)
            return 64
    return 0


def load(node: str) -> Any:
    """The machine, or None."""
    path = FOLDER / f"{node}.json"
    return json.loads(path.read_text()) if path.exists() else None


def save(node: str, machine: dict[str, Any]) -> None:
    """Replace the machine in one step, so that a call that is killed leaves the old one or the new one."""
    staged = FOLDER / f"{node}.json.new"
    staged.write_text(json.dumps(machine))
    staged.replace(FOLDER / f"{node}.json")


def free_address() -> str:
    """The first address of 192.0.2.100 and more that no machine has."""
    taken = addresses()
    return next(address for address in (f"192.0.2.{number}" for number in range(100, 200)) if address not in taken)


def addresses(but: str = "") -> set[str]:
    """The addresses of all machines, without the one of a name."""
    return {json.loads(path.read_text())["address"] for path in FOLDER.glob("*.json") if path.stem != but}


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """One call at a time: when Trivet dies, its call goes on, and a repetition must wait for its end."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    sys.exit(main())
