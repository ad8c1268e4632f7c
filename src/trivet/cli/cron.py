# SPDX-License-Identifier: GPL-3.0-or-later
"""``trivet cron``: the application's crons."""

from __future__ import annotations

import time
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from trivet.api import load_environment
from trivet.api.inside import crons, run_cron
from trivet.cli.change import Env, Json
from trivet.cli.output import output_for

FAILED = 1

app = typer.Typer(no_args_is_help=True, help="The application's crons: which there are, and one of them now.")


@app.command("list")
def list_crons(env: Env, json: Json = False) -> None:
    """Show the crons, the node that runs them, and what runs now."""
    environment = load_environment(env)
    output = output_for(json)
    found = crons(environment)
    if json:
        output.data(found)
        return
    table = Table("cron", "next", "command", title=f"crons of {environment.name}")
    for item in found["crons"]:
        table.add_row(item["name"], _moment(item["next"]), escape(item["command"]))
    output.print(table)
    output.print(
        f"run by {found['node'] or 'no node yet'}" + (f"; held by {found['paused']}" if found["paused"] else "")
    )


def _moment(at: float | None) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at)) if at else "in more than a week"


@app.command("run")
def run(
    env: Env,
    name: Annotated[str, typer.Argument(metavar="CRON", help="One that `trivet cron list` shows.")],
    json: Json = False,
) -> None:
    """Run a cron now, beside its schedule, and show what it says. Exit code 1 when it fails.

    It runs on the node that runs all crons. It is not kept from running beside a run of the schedule.
    """
    environment = load_environment(env)
    output = output_for(json)
    code = run_cron(environment, name, lambda node, line: output.event("line", text=escape(f"{node}: {line}")))
    if json:
        output.data({"event": "done", "cron": name, "code": code})
    if code != 0:
        if not json:
            output.event("failed", text=f"{name} ended with status code {code}")
        raise typer.Exit(FAILED)
