# SPDX-License-Identifier: GPL-3.0-or-later
"""``trivet activity``: what was done to an environment by pushes, on the grid machine that keeps it."""

from __future__ import annotations

import time
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from trivet.api.push import ACTIVITIES, activities, log_of, to_dict
from trivet.cli.output import output_for

app = typer.Typer(no_args_is_help=True, help="What pushes did to environments; on the grid machine.")

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


@app.command("list")
def list_activities(
    environment: Annotated[str, typer.Argument(metavar="[ENV]", help="Of which environment alone.")] = "",
    limit: Annotated[int, typer.Option(help="How many, the newest first.", min=1)] = 20,
    json: Json = False,
) -> None:
    """Show the last activities: who pushed what to which environment, and how it ended."""
    output = output_for(json)
    found = activities(ACTIVITIES, environment)[:limit]
    if json:
        output.data({"activities": [to_dict(item) for item in found]})
        return
    table = Table("activity", "environment", "commit", "by", "began", "state")
    for item in found:
        began = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(item.began))
        table.add_row(item.id, item.environment, item.new[:7], escape(item.by), began, item.state)
    output.print(table)


@app.command("log")
def log(
    name: Annotated[str, typer.Argument(metavar="ACTIVITY", help="One that `trivet activity list` shows.")],
    json: Json = False,
) -> None:
    """Show all that an activity told."""
    text = log_of(ACTIVITIES, name)
    if json:
        output_for(json).data({"activity": name, "log": text.splitlines()})
        return
    typer.echo(text, nl=False)
