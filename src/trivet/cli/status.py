# SPDX-License-Identifier: GPL-3.0-or-later
"""``trivet status``: the verdict on an environment."""

from __future__ import annotations

import time
from typing import Annotated

import typer
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from trivet.api import load_environment
from trivet.api.verdict import Finding, State, Verdict, looking
from trivet.cli.output import output_for
from trivet.errors import InputError
from trivet.model import Environment

COLOURS = {State.HEALTHY: "green", State.BUSY: "yellow", State.BROKEN: "bold red", State.UNKNOWN: "magenta"}


def status(
    env: Annotated[str, typer.Argument(metavar="ENV", help="Folder in inventories/, name of a lab, or path.")],
    watch: Annotated[bool, typer.Option("--watch", help="Look again every few seconds until Ctrl-C.")] = False,
    interval: Annotated[float, typer.Option(help="Seconds between two looks with --watch.", min=1)] = 3.0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON; with --watch one line per look.")] = False,
) -> None:
    """Say how every service of every node is, why, and what to run next.

    Exit code as monitoring plugins have it: 0 healthy, 1 busy (leave it alone), 2 broken, 3 unknown.
    """
    output = output_for(json)
    try:
        environment = load_environment(env)
    except InputError as error:
        # To a monitor, an environment that cannot be read is unknown and not broken.
        error.exit_code = State.UNKNOWN.exit_code
        raise
    with looking(environment) as look:
        verdict = look()
        if not watch:
            if json:
                output.data(verdict.to_dict())
            else:
                output.print(shown(environment, verdict))
            raise typer.Exit(verdict.state.exit_code)
        if json:
            while True:
                output.data({"at": round(time.time(), 3), **verdict.to_dict()})
                time.sleep(interval)
                verdict = look()
        with Live(shown(environment, verdict), auto_refresh=False) as live:
            while True:
                time.sleep(interval)
                live.update(shown(environment, look()), refresh=True)


def shown(environment: Environment, verdict: Verdict) -> Group:
    """A table of services by nodes, then every finding that is not healthy with its next command, then the notes."""
    table = Table(
        "service",
        *(node.name for node in environment.machines),
        "overall",
        title=f"{environment.name}: {verdict.state.value}",
    )
    for service in verdict.services:
        cells = []
        for name in (*(node.name for node in environment.machines), None):
            state = verdict.of(service, name)
            cells.append(Text(state.value, style=COLOURS[state]))
        table.add_row(service, *cells)
    problems = (item for item in verdict.findings if item.state is not State.HEALTHY)
    lines = [line for item in problems for line in _told(item, item.state.value, COLOURS[item.state])]
    notes = [line for item in verdict.notes for line in _told(item, "note", "dim")]
    return Group(table, *lines, *notes)


def _told(finding: Finding, kind: str, style: str) -> list[Text]:
    """A finding in a line, and what to run next in another."""
    told = [Text(f"{kind}: {finding.node or 'cluster'}: {finding.service}: {finding.reason}", style=style)]
    if finding.next_command:
        told.append(Text(f"  next: {finding.next_command}", style="dim" if finding.is_note else ""))
    return told
