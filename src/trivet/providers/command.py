# SPDX-License-Identifier: GPL-3.0-or-later
"""Any machines: the operator's own scripts stop, resize and start them.

Contract: ``trivet_provider_command`` of the inventory is a program. It is called as
``PROGRAM check|stop|resize|start NODE`` with the environment variables TRIVET_NODE, TRIVET_ADDRESS, TRIVET_SIZE,
TRIVET_CPUS and TRIVET_MEMORY_MIB. It waits until the verb is done and exits 0; anything else halts the rotation, with
its last words as the reason. Every verb must be harmless when repeated.
"""

from __future__ import annotations

import os
import shutil
import subprocess

from trivet.errors import InputError, TrivetError
from trivet.model.environment import Environment, Node
from trivet.model.size import Size, size_named

TIMEOUT_SECONDS = 1800


class CommandProvider:
    """Calls ``trivet_provider_command``.

    :raises InputError: when the inventory does not name an executable program.
    """

    def __init__(self, environment: Environment) -> None:
        program = str(environment.variables.get("trivet_provider_command") or "")
        if not program or shutil.which(program) is None:
            raise InputError(
                f"{environment.inventory}: trivet_provider_command is {program!r}; "
                "provider command needs an executable program (docs/operations.md says how it is called)"
            )
        self._program = program

    def check(self, node: Node) -> None:
        """Ask the program whether it knows the machine."""
        self._call("check", node, "")

    def target(self, size: str) -> Size:
        """The table's size."""
        return size_named(size)

    def stop(self, node: Node) -> None:
        """Shut the machine down."""
        self._call("stop", node, "")

    def resize(self, node: Node, size: str) -> None:
        """Give the machine its new size."""
        self._call("resize", node, size)

    def start(self, node: Node) -> None:
        """Start the machine."""
        self._call("start", node, "")

    def record(self, size: str) -> None:
        """Nothing: the inventory is the operator's file, and the report says to set trivet_size there."""

    def create(self, name: str, size: str) -> str:
        """Not yet: give the hosts by ``--host``."""
        raise InputError("provider command makes no machines", "trivet scale-out ENV --web 1 --host NAME=ADDRESS")

    def delete(self, node: Node) -> None:
        """Not yet: the machine is the operator's."""
        raise InputError("provider command removes no machines")

    def _call(self, verb: str, node: Node, size: str) -> None:
        variables = {"TRIVET_NODE": node.name, "TRIVET_ADDRESS": node.address, "TRIVET_SIZE": size}
        if size:
            target = self.target(size)
            variables |= {"TRIVET_CPUS": str(target.cpus), "TRIVET_MEMORY_MIB": str(target.memory_mib)}
        try:
            completed = subprocess.run(
                [self._program, verb, node.name],
                env={**os.environ, **variables},
                capture_output=True,
                text=True,
                timeout=TIMEOUT_SECONDS,
                stdin=subprocess.DEVNULL,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise TrivetError(f"{self._program} {verb} {node.name} did not end within {TIMEOUT_SECONDS} s") from error
        if completed.returncode != 0:
            words = " / ".join((completed.stderr or completed.stdout).strip().splitlines()[-3:])
            raise TrivetError(
                f"{self._program} {verb} {node.name} failed with exit code {completed.returncode}: {words}"
            )
