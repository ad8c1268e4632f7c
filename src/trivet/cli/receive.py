# SPDX-License-Identifier: GPL-3.0-or-later
"""``trivet receive``: what the hook of a push runs on the grid machine."""

from __future__ import annotations

import os
import signal
import sys
from typing import Annotated

import typer

from trivet.api.push import Client, Output, receive


def receive_push(
    project: Annotated[str, typer.Argument(metavar="PROJECT", help="The project whose repository is pushed to.")],
) -> None:
    """Build and deploy what `git push` brings, before its branch moves. Git's hook runs this on the grid machine.

    Reads the lines of Git's pre-receive hook. Exit code 0: the branch may move, since what it has is live. 1: not.
    """
    # A client that hangs up must not cut a deploy off: it is noticed where it is told something.
    for number in (signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    output = Output(Client().write)
    taken = receive(
        project,
        sys.stdin,
        by=os.environ.get("TRIVET_PUSHER", ""),
        quarantine=os.environ.get("GIT_QUARANTINE_PATH", ""),
        output=output,
    )
    raise typer.Exit(0 if taken else 1)
