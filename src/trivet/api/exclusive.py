# SPDX-License-Identifier: GPL-3.0-or-later
"""A program that is not Trivet's and must not run during a change, such as a backup, under the lease."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence

from trivet.errors import InputError, LeaseHeld
from trivet.model import Environment
from trivet.remote import Nodes
from trivet.rotation.lease import Lease, run_owner

LOOK_SECONDS = 2.0
END_SECONDS = 30.0


def run_exclusively(
    environment: Environment, command: Sequence[str], purpose: str, *, tell: Callable[[str], None] = lambda text: None
) -> int:
    """Run a program of this machine while no change of the environment can begin; its exit code.

    :param command: the program and its arguments.
    :param purpose: what for, in words for another operator who is refused meanwhile.
    :param tell: takes a line when the program is ended because the lease was lost.
    :raises InputError: when there is no such program; nothing was touched.
    :raises LeaseHeld: when another run has the environment, or when the lease could not be renewed any more: the
        program was then asked to end (SIGTERM), and killed after 30 s.
    """
    with Nodes(environment) as nodes, Lease(nodes, run_owner(), purpose) as lease:
        try:
            process = subprocess.Popen(command)
        except OSError as error:
            raise InputError(f"{command[0]} cannot be run: {error.strerror}") from error
        try:
            while True:
                try:
                    return process.wait(timeout=LOOK_SECONDS)
                except subprocess.TimeoutExpired:
                    lease.check()
        except LeaseHeld:
            tell(f"the lease is lost: ending {command[0]}")
            raise
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(timeout=END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
