# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs programs of the machine that carries the grid."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence

from trivet.errors import GridError


def run(
    command: Sequence[str],
    *,
    stdin: str | None = None,
    timeout: float = 120.0,
    environment: dict[str, str] | None = None,
    own_session: bool = False,
) -> str:
    """Standard output of a program that must succeed.

    :param timeout: seconds.
    :param own_session: Ctrl-C reaches this program alone, and not the one that is run.
    :raises GridError: with the program's last lines of output when it fails or takes too long.
    """
    completed = attempt(command, stdin=stdin, timeout=timeout, environment=environment, own_session=own_session)
    if completed.returncode != 0:
        output = (completed.stderr or completed.stdout).strip().splitlines()[-6:]
        raise GridError(f"`{shlex.join(command)}` failed with exit code {completed.returncode}: " + " / ".join(output))
    return completed.stdout


def attempt(
    command: Sequence[str],
    *,
    stdin: str | None = None,
    timeout: float = 120.0,
    environment: dict[str, str] | None = None,
    own_session: bool = False,
) -> subprocess.CompletedProcess[str]:
    """The result of a program that may fail.

    :raises GridError: when the program is missing or takes longer than ``timeout`` seconds.
    """
    try:
        return subprocess.run(
            list(command),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=timeout,
            env=environment,
            check=False,
            start_new_session=own_session,
        )
    except FileNotFoundError as error:
        raise GridError(f"{command[0]} is not installed on this machine") from error
    except subprocess.TimeoutExpired as error:
        raise GridError(f"`{shlex.join(command)}` did not end within {timeout:.0f} s") from error
