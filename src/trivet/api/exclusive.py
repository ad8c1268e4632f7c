# SPDX-License-Identifier: GPL-3.0-or-later
"""A program that is not Trivet's and must not run during a change, such as a backup, under the lease."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence

from trivet.errors import InputError, LeaseHeld
from trivet.health.facts import LeaseMode
from trivet.model import Environment
from trivet.remote import Nodes
from trivet.run.lease import HeldLease
from trivet.run.recorded import recorded

LOOK_SECONDS = 2.0
END_SECONDS = 30.0
# Killed by -9 this process can end nothing, and its lease expires: the kernel has the program end then (setpriv(1)).
ENDED_WITH_THIS = ("setpriv", "--pdeathsig", "TERM", "--")


def run_exclusively(
    environment: Environment,
    command: Sequence[str],
    purpose: str,
    *,
    hands_off: bool = False,
    tell: Callable[[str], None] = lambda text: None,
) -> int:
    """Run a program of this machine while no change of the environment can begin; its exit code.

    The agents go on repairing beside it.

    :param command: the program and its arguments.
    :param purpose: what for, in words for another operator who is refused meanwhile.
    :param hands_off: the agents repair nothing meanwhile either: for a program that works on the nodes itself.
    :param tell: takes a line when the program is ended because the lease was lost.
    :raises InputError: when there is no such program; nothing was touched.
    :raises LeaseHeld: when another run has the environment, or when the lease could not be renewed any more: the
        program was then asked to end (SIGTERM), and killed after 30 s.
    """
    for program in (command[0], ENDED_WITH_THIS[0]):
        if shutil.which(program) is None:
            raise InputError(f"{program} cannot be run: there is no such program here")
    mode = LeaseMode.HANDS_OFF if hands_off else LeaseMode.NO_CHANGE
    with Nodes(environment) as nodes, recorded(nodes, "exclusive", purpose, mode=mode) as run:
        code = _run(command, run.lease, tell)
        run.result = {"program": command[0], "exit_code": code}
        run.failure = f"{command[0]} ended with exit code {code}" if code else ""
        return code


def _run(command: Sequence[str], lease: HeldLease, tell: Callable[[str], None]) -> int:
    process = subprocess.Popen([*ENDED_WITH_THIS, *command])
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
