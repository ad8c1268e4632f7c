# SPDX-License-Identifier: GPL-3.0-or-later
"""Entry point of ``trivet``: all commands, and errors as one clear message."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from trivet.api import trivet_version
from trivet.cli import (
    activity,
    build,
    change,
    chaos,
    clean,
    converge,
    cron,
    db,
    deploy,
    exclusive,
    heal,
    inside,
    lab,
    mount,
    probe,
    project,
    receive,
    rotation,
    runs,
    scale,
    status,
    variable,
)
from trivet.errors import TrivetError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Three redundant nodes for a shop, made larger one after the other while customers keep buying.\n\n"
    "ENV is the name of a folder in inventories/, the name of a lab, or a path to an inventory.\n\n"
    "First steps: trivet lab up; trivet converge lab; trivet status lab; trivet upscale lab --size 12",
)
app.add_typer(lab.app, name="lab")
app.command(name="converge")(converge.converge)
app.command(name="status")(status.status)
app.command(name="upscale")(change.upscale)
app.command(name="restart")(change.restart)
app.command(name="patch")(change.patch)
app.command(name="replace")(change.replace)
app.command(name="scale-out")(scale.scale_out)
app.command(name="scale-in")(scale.scale_in)
app.command(name="deploy")(deploy.deploy)
app.command(name="rollback")(deploy.rollback)
app.command(name="redeploy")(deploy.redeploy)
app.command(name="releases")(deploy.list_releases)
app.add_typer(variable.app, name="variable")
app.command(name="ssh")(inside.ssh)
app.command(name="logs")(inside.logs)
app.add_typer(cron.app, name="cron")
app.add_typer(db.app, name="db")
app.add_typer(mount.app, name="mount")
app.add_typer(activity.app, name="activity")
app.command(name="receive", hidden=True)(receive.receive_push)
app.add_typer(rotation.app, name="rotation")
app.command(name="runs")(runs.runs)
app.command(name="clean")(clean.clean)
app.command(name="exclusive")(exclusive.exclusive)
app.add_typer(project.app, name="project")
app.command(name="build")(build.build)
app.add_typer(heal.app, name="agent")
app.command(name="events")(heal.events)
app.command(name="recover")(heal.recover)
app.command(name="probe")(probe.probe)
app.command(name="chaos")(chaos.chaos)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"trivet {trivet_version()}")
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options of the command as a whole."""


@contextmanager
def report_errors() -> Iterator[None]:
    """Turn an expected error into one message on standard error and its exit code."""
    console = Console(stderr=True, highlight=False)
    try:
        yield
    except TrivetError as error:
        console.print(f"[bold red]error:[/bold red] {escape(error.message)}", soft_wrap=True)
        if error.next_command:
            console.print(f"  next: {escape(error.next_command)}", soft_wrap=True)
        sys.exit(error.exit_code)


def main() -> None:
    """Run the command line."""
    with report_errors():
        app(standalone_mode=True)


if __name__ == "__main__":
    main()
