# SPDX-License-Identifier: GPL-3.0-or-later
"""``trivet rotation``: what became of a rolling change, and the ways on and back."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer
from rich.table import Table

from trivet.api import load_environment
from trivet.api.changes import Rotations
from trivet.cli.change import Env, Json, run, stoppable
from trivet.cli.output import Output, output_for
from trivet.cli.probe import Beside, ProbeContract, ProbeRate
from trivet.errors import InputError, LeaseHeld
from trivet.model import Environment

app = typer.Typer(
    no_args_is_help=True,
    help="A rolling change that runs, was broken off, or is over.\n\n"
    "The journal lives on the nodes: any operator with access to them can continue what another began.",
)

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
NOT_OVER = 1


@app.command()
def status(env: Env, json: Json = False) -> None:
    """Show the unfinished change, or the last one.

    Exit code: 0 when it is over, 1 when it is not. For everything that was done to ENV: trivet runs ENV.
    """
    output = output_for(json)
    found = Rotations(load_environment(env)).status()
    if json:
        output.data(found)
    elif not found:
        output.print("no change was ever made")
    else:
        _show(output, env, found)
    raise typer.Exit(NOT_OVER if found.get("state") in ("running", "halted") else 0)


@app.command()
def history(env: Env, json: Json = False) -> None:
    """List the changes that the nodes remember, the newest first."""
    output = output_for(json)
    found = Rotations(load_environment(env)).history()
    if json:
        output.data(found)
        return
    table = Table("began (UTC)", "change", "state", "seconds", "owner", "journal")
    for item in found:
        seconds = f"{item['last'] - item['began']:.0f}" if item["began"] else ""
        table.add_row(
            _moment(item["began"]),
            item["change"].get("summary", "?"),
            item["state"],
            seconds,
            item["owner"],
            item["id"],
        )
    output.print(table)


@app.command()
def report(
    env: Env,
    journal: Annotated[str, typer.Option(help="The change's journal, as `rotation history` names it.")] = "",
    json: Json = False,
) -> None:
    """Write the report of a change, by default the last, as one HTML page and as JSON, from the nodes' journals.

    Every change leaves its report by itself, with the probe's figures when it ran under --probe. This one is for a
    change that another machine made, or whose runner was killed; it has no figures of a probe.
    """
    output = output_for(json)
    files = Rotations(load_environment(env)).report(journal)
    if json:
        output.data({"html": str(files.html), "json": str(files.json)})
    else:
        output.print(f"report: {files.html}")


@app.command()
def resume(env: Env, probe: ProbeRate = 0.0, contract: ProbeContract = None, json: Json = False) -> None:
    """Continue the unfinished change from where its journal ends.

    Waits for the lease of a dead runner, a minute and a half at most. A node that was not touched yet, or that serves
    again, is taken out from the beginning.
    """
    output = output_for(json)
    environment = load_environment(env)
    with Rotations(environment) as rotations:
        # Before a probe begins to place orders.
        rotations.check_open()
        with stoppable(output) as stop:
            run(environment, output, rotations, Rotations.resume, stop, Beside(probe, contract))


@app.command()
def abort(env: Env, yes: Yes = False, json: Json = False) -> None:
    """End the unfinished change where it is: bring the node in hand back into use as it is, leave the others alone.

    While its runner lives, this asks it to stop at its next safe point and exits with 1: say abort again when it has
    stopped. Waits for the lease of a dead runner, a minute and a half at most.
    """
    output = output_for(json)
    environment = load_environment(env)
    with Rotations(environment) as rotations:
        rotations.check_open()
        _ask(output, yes, "End it, and bring the node in hand back into use as it is?")
        _abort(environment, output, rotations)


def _abort(environment: Environment, output: Output, rotations: Rotations) -> None:
    found = rotations.status()
    holder = str(found.get("held_by"))
    own_runner = holder.startswith(f"{found['owner']} since ")
    if own_runner:
        name = rotations.request_stop()
        output.event("stopping", text=f"{holder}: was asked to stop {name} at its next safe point")
    try:
        with stoppable(output) as stop:
            run(environment, output, rotations, Rotations.abort, stop)
    except LeaseHeld:
        if not own_runner:
            raise
        output.event("stopping", text="it renews its lease, so it lives: say abort again when it has stopped")
        raise typer.Exit(NOT_OVER) from None


@app.command()
def rollback(
    env: Env, yes: Yes = False, probe: ProbeRate = 0.0, contract: ProbeContract = None, json: Json = False
) -> None:
    """Take the unfinished change back, on every node that it has touched.

    A resize goes back by the same steps. Restarts and package updates cannot be taken back: resume or abort those.
    """
    output = output_for(json)
    environment = load_environment(env)
    with Rotations(environment) as rotations:
        rotations.check_open()
        _ask(output, yes, "Take it back on every node that it has touched?")
        with stoppable(output) as stop:
            run(environment, output, rotations, Rotations.rollback, stop, Beside(probe, contract))


def _ask(output: Output, yes: bool, question: str) -> None:
    if yes:
        return
    if output.json:
        raise InputError("with --json nobody can be asked: add --yes")
    typer.confirm(question, abort=True)


def _show(output: Output, env: str, found: dict[str, Any]) -> None:
    output.print(f"{found['change'].get('summary', '?')}: {found['state']}")
    output.print(f"  journal {found['id']}, begun {_moment(found['began'])} UTC, last run by {found['owner']}")
    output.print(f"  finished: {', '.join(found['finished']) or 'no node'}")
    if found["current"]:
        output.print(f"  in hand:  {found['current']}, step {found['step']}")
    if found["remaining"]:
        output.print(f"  remain:   {', '.join(found['remaining'])}")
    errors = [line["error"] for line in found["lines"] if line["kind"] in ("failed", "halted")]
    if found["state"] == "halted" and errors:
        output.print(f"  halted:   {errors[-1]}")
    if found["held_by"]:
        output.print(f"  lease:    {found['held_by']}")
    elif found["state"] in ("running", "halted"):
        if found["state"] == "running":
            output.print("  nobody holds the lease: its runner is gone")
        # A change of web nodes goes on with its own command.
        own = found["change"].get("command")
        output.print(f"  next:     {own or f'trivet rotation resume {env}   (or rollback, or abort)'}")


def _moment(at: float | None) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at)) if at else "unknown"
