# SPDX-License-Identifier: GPL-3.0-or-later
"""``trivet ssh`` and ``trivet logs``: the application that serves, from inside."""

from __future__ import annotations

import os
import re
import sys
import threading
from typing import Annotated

import typer
from rich.markup import escape

from trivet.api import load_environment
from trivet.api.inside import enter, log_names, login, read_log
from trivet.cli.change import Env
from trivet.cli.output import Output, output_for

INCOMPLETE = 1
MOMENT = re.compile(r"(\d{4})[-/](\d\d)[-/](\d\d)[T ](\d\d:\d\d:\d\d)")
"""How the logs write a time: nginx, its errors, systemd's journal and Magento."""

NodeName = Annotated[str, typer.Option("--node", metavar="NODE", help="Which node; by default the first that answers.")]


def ssh(
    env: Env,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[NODE] [-- COMMAND...]", help="A node, and a command to run.")
    ] = None,
    machine: Annotated[
        bool, typer.Option("--machine", help="Log in to the machine itself, as its administrator.")
    ] = False,
) -> None:
    """Open a shell in the application that serves, or run a command in it.

    You are its account, in /app, with its variables, mounts and PHP settings, as its crons and hooks are. Code is
    read-only. The exit code is the command's.

    Example: trivet ssh production -- php bin/magento cache:status
    """
    environment = load_environment(env)
    names = [item.name for item in environment.machines]
    given = list(words or [])
    node = given.pop(0) if given and given[0] in names else ""
    terminal = sys.stdin.isatty() and (not given or sys.stdout.isatty())
    command = (
        login(environment, node, given, terminal=terminal)
        if machine
        else enter(environment, node).shell(given, terminal=terminal)
    )
    become(command)


def become(command: list[str]) -> None:
    """Have a program in the place of this one: its terminal, its signals, its exit code."""
    sys.stdout.flush()
    os.execvp(command[0], command)


def logs(
    env: Env,
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="Which log; without it, list them.")] = "",
    node: Annotated[str, typer.Option("--node", metavar="NODE", help="Of this node alone.")] = "",
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of each node, the last ones.")] = 100,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with every new line, until Ctrl-C.")] = False,
    json: Annotated[bool, typer.Option("--json", help="JSON lines instead of text.")] = False,
) -> None:
    """Show a log of the application, of all nodes in the order of time.

    `access` and `error` are nginx's, `php` is PHP-FPM's, `cron` and `worker` tell what those said. Further ones are the
    files that your application writes into a mount, such as system.log.

    Example: trivet logs production error --follow
    """
    environment = load_environment(env)
    output = output_for(json)
    if not name:
        names = log_names(environment)
        if json:
            output.data({"logs": names})
        else:
            output.print("\n".join(names))
        return
    shown = _Shown(output, merged=not follow)
    problems = read_log(environment, name, node, lines, follow=follow, say=shown.take)
    shown.end()
    for which, problem in problems.items():
        output.event("missing", text=f"{which}: no log {name}: {escape(problem)}")
    if problems:
        raise typer.Exit(INCOMPLETE)


class _Shown:
    """Prints the lines of several nodes: at once, or in the order of time when all are there."""

    def __init__(self, output: Output, *, merged: bool) -> None:
        self._output = output
        self._merged = merged
        self._lock = threading.Lock()
        self._lines: dict[str, list[tuple[str, str]]] = {}

    def take(self, node: str, text: str) -> None:
        """A line. One without a time, as of a stack trace, belongs to the line before."""
        with self._lock:
            if not self._merged:
                self._show(node, text)
                return
            lines = self._lines.setdefault(node, [])
            found = MOMENT.search(text)
            moment = "-".join(found.groups()) if found else (lines[-1][0] if lines else "")
            lines.append((moment, text))

    def end(self) -> None:
        """Print what was kept."""
        rows = [(moment, node, text) for node, lines in self._lines.items() for moment, text in lines]
        for _moment, node, text in sorted(rows, key=lambda row: row[0]):
            self._show(node, text)

    def _show(self, node: str, text: str) -> None:
        if self._output.json:
            self._output.data({"node": node, "text": text})
        else:
            typer.echo(f"{node} | {text}")
