# SPDX-License-Identifier: GPL-3.0-or-later
"""``trivet runs``: what was done to an environment, by whom, when, and how it ended."""

from __future__ import annotations

import json as json_module
import time
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from trivet import api
from trivet.api.runs import SHOWN_RUNS, RunDetails, RunSummary
from trivet.cli.output import Output, output_for


def runs(
    env: Annotated[str, typer.Argument(metavar="ENV", help="Folder in inventories/, name of a lab, or path.")],
    id: Annotated[str | None, typer.Argument(metavar="[ID]", help="Show this run and its steps.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Show at most this many, the newest first.")] = SHOWN_RUNS,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """List what was done to ENV: changes, converges, recoveries, cleanings, your own programs.

    Shows who ran what, when it began, how long it took and how it ended. "broken off" means that its runner died.
    A rotation or a scale command that was broken off waits for you; begin everything else anew.

    Example: trivet runs production --limit 5
    """
    output = output_for(json)
    environment = api.load_environment(env)
    if id is not None:
        _show_one(output, api.run_details(environment, id))
        return
    found = api.runs(environment, limit)
    if json:
        output.data([item.to_dict() for item in found])
    elif not found:
        output.print(f"{environment.name}: nothing was done yet")
    else:
        output.print(_table(found))


def _table(found: tuple[RunSummary, ...]) -> Table:
    table = Table()
    for column in ("began (UTC)", "what", "state"):
        table.add_column(column, overflow="fold")
    table.add_column("seconds", justify="right")
    table.add_column("who", overflow="fold")
    # An id is what the next command is given: neither cut off nor folded.
    table.add_column("id", no_wrap=True, min_width=max(len(item.id) for item in found))
    for item in found:
        seconds = "" if item.seconds is None else f"{item.seconds:.0f}"
        cells = (_moment(item.began), item.what, item.state, seconds, item.owner, item.id)
        table.add_row(*map(Text, cells))
    return table


def _show_one(output: Output, run: RunDetails) -> None:
    if output.json:
        output.data(run.to_dict())
        return
    item = run.summary
    output.print(Text(f"{item.what}: {item.state}"))
    output.print(Text(f"  began {_moment(item.began)} UTC, run by {item.owner}"))
    if item.seconds is not None:
        output.print(f"  took {item.seconds:.0f} s")
    if item.error:
        output.print(Text(f"  failed: {item.error}"))
    if item.result:
        output.print(Text(f"  result: {json_module.dumps(item.result)}"))
    for line in run.lines:
        if line["kind"] in ("begin", "end", "failed", "resumed", "halted"):
            output.print(Text(f"  {_moment(line['at'])}  {_step(line)}"))


def _step(line: dict[str, object]) -> str:
    words = [str(line[key]) for key in ("kind", "node", "step", "error") if line.get(key)]
    return " ".join([*words, *([f"in {line['seconds']} s"] if line["kind"] == "end" else [])])


def _moment(at: float | None) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at)) if at else "unknown"
