# SPDX-License-Identifier: GPL-3.0-or-later
"""``trivet exclusive``: a program of the operator's under the environment's lease."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Annotated

import typer

from trivet.api import load_environment
from trivet.api.exclusive import run_exclusively
from trivet.cli.change import end_signals
from trivet.cli.output import output_for


def exclusive(
    env: Annotated[str, typer.Argument(metavar="ENV", help="Folder in inventories/, name of a lab, or path.")],
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND…", help="The program and its arguments.")],
    purpose: Annotated[str, typer.Option(help="What for. Shown to whoever is refused meanwhile.")] = "",
    hands_off: Annotated[
        bool, typer.Option("--hands-off", help="Stop the agents' repairs too: for a program that works on the nodes.")
    ] = False,
) -> None:
    """Run a program, such as a backup, while nothing changes the environment.

    Refuses to start while a change runs; refuses every change until the program ends. The agents go on repairing,
    unless you say --hands-off. The program ends with the lease, with Ctrl-C, SIGTERM, or your terminal.
    Exit code: the program's; 2 when it was refused or lost the lease, 130 when a signal ended it.

    Example: trivet exclusive production --purpose "nightly backup" -- /usr/local/bin/backup --full
    """
    output = output_for(False)
    with ended_by_signals():
        code = run_exclusively(
            load_environment(env),
            command,
            purpose or f"running {command[0]}",
            hands_off=hands_off,
            tell=lambda text: output.event("lease", text=text),
        )
    raise typer.Exit(code)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Have SIGTERM and SIGHUP end what runs as Ctrl-C does: a program must not outlive the lease that it runs under."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in end_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
