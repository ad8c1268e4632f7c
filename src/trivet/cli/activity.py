# SPDX-License-Identifier: GPL-3.0-or-later
"""``trivet activity``: what was done to an environment by pushes."""

from __future__ import annotations

import time
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from trivet.api import activities
from trivet.cli.output import output_for

app = typer.Typer(no_args_is_help=True, help="What pushes did to an environment, as its grid machine keeps it.")

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


@app.command("list")
def list_activities(
    environment: Annotated[
        str, typer.Argument(metavar="[ENV]", help="Of which environment; on the grid machine it may be left out.")
    ] = "",
    limit: Annotated[int, typer.Option(help="How many, the newest first.", min=1)] = 20,
    json: Json = False,
) -> None:
    """Show the last activities: who pushed what to which environment, and how it ended."""
    output = output_for(json)
    found = activities.listed(environment, limit)
    if json:
        output.data({"activities": found})
        return
    table = Table("activity", "environment", "commit", "by", "began", "state")
    for item in found:
        began = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(item["began"]))
        table.add_row(item["id"], item["environment"], item["new"][:7], escape(item["by"]), began, item["state"])
    output.print(table)


@app.command("log")
def log(
    environment: Annotated[str, typer.Argument(metavar="ENV", help="Of which environment.")],
    name: Annotated[
        str, typer.Argument(metavar="[ACTIVITY]", help="One that `trivet activity list` shows; without it, the newest.")
    ] = "",
    json: Json = False,
) -> None:
    """Show all that an activity told."""
    text = activities.log(environment, name)
    if json:
        output_for(json).data({"activity": name, "log": text.splitlines()})
        return
    typer.echo(text, nl=False)
