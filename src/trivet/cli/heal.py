# SPDX-License-Identifier: GPL-3.0-or-later
"""``trivet agent``, ``trivet events``, ``trivet recover``: the environment that repairs itself, and its operator."""

from __future__ import annotations

import re
import time
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from trivet import api
from trivet.api import load_environment
from trivet.api.agents import AgentsAnswer
from trivet.api.changes import run_owner
from trivet.api.events import Timeline
from trivet.api.recover import SERVICES, Recovery, RecoveryPlan
from trivet.cli.output import Output, output_for
from trivet.errors import InputError, TrivetError

Env = Annotated[str, typer.Argument(metavar="ENV", help="Folder in inventories/, name of a lab, or path.")]
Json = Annotated[bool, typer.Option("--json", help="JSON instead of text.")]
LEFT_EXIT_CODE = 1
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

app = typer.Typer(no_args_is_help=True, help="The agents that repair an environment: pause and resume them.")


def seconds_of(text: str) -> float:
    """The seconds of a duration such as ``90s``, ``15m``, ``2h`` or ``7d``.

    :raises InputError: it is none.
    """
    found = re.fullmatch(r"(\d+)([smhd])", text)
    if not found or int(found[1]) == 0:
        raise InputError(f"{text!r} is no duration: give a number with s, m, h or d, such as 15m")
    return float(found[1]) * UNITS[found[2]]


@app.command()
def pause(
    env: Env,
    duration: Annotated[str, typer.Option("--for", help="Until they resume by themselves: 90s, 15m, 2h, 1d.")] = "1h",
    owner: Annotated[str | None, typer.Option(help="Who pauses; by default you and this machine.")] = None,
    json: Json = False,
) -> None:
    """Have the agents repair nothing for a time, before you work on the nodes by hand. They go on to watch."""
    output = output_for(json)
    answer = api.pause(load_environment(env), owner or run_owner(), seconds_of(duration))
    _show_answer(output, answer, "paused")


@app.command()
def resume(env: Env, json: Json = False) -> None:
    """Have the agents repair again."""
    _show_answer(output_for(json), api.resume(load_environment(env), run_owner()), "repairs again")


def _show_answer(output: Output, answer: AgentsAnswer, word: str) -> None:
    """What the agents said.

    :raises TrivetError: not all did it.
    """
    if output.json:
        output.data(answer.to_dict())
    for name, until in answer.done.items() if not output.json else ():
        output.print(f"{name}: {word}" + (f" until {_moment(until)} UTC" if until else ""))
    if answer.problems:
        raise TrivetError("; ".join(answer.problems.values()))


def events(
    env: Env,
    since: Annotated[str, typer.Option(help="How far back: 90s, 15m, 2h, 7d.")] = "1d",
    json: Json = False,
) -> None:
    """Show one timeline of all nodes: failures, what the agents decided and did, and the steps of rolling changes.

    Exit code 0; 2 when a node did not answer: then its events are missing.
    """
    output = output_for(json)
    timeline = api.events(load_environment(env), time.time() - seconds_of(since))
    if json:
        output.data(timeline.to_dict())
    else:
        output.print(_timeline(timeline) if timeline.events else f"nothing happened in the last {since}")
    if timeline.silent:
        raise TrivetError("events are missing: " + "; ".join(timeline.silent.values()))


def _timeline(timeline: Timeline) -> Table:
    table = Table("at (UTC)", "node", "what")
    table.add_column("", overflow="fold")
    for event in timeline.events:
        cells = (_moment(float(event["at"])), str(event["node"]), str(event["kind"]), str(event["text"]))
        table.add_row(*map(Text, cells))
    return table


def recover(
    env: Env,
    service: Annotated[
        str | None, typer.Argument(metavar="|".join(SERVICES), help="One service; all by default.")
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Only show what would be done, with the evidence.")] = False,
    json: Json = False,
) -> None:
    """Repair now what the agents would repair, by their rules, under the environment's lease.

    Exit code 0: nothing is left to repair; 1: with --plan, there is something; 2: a human has to decide, or it failed.
    """
    output = output_for(json)
    environment = load_environment(env)
    if plan:
        found = api.plan_recovery(environment, service)
        _show_plan(output, found)
        if found.silent:
            raise TrivetError("; ".join(f"{name}: {why}" for name, why in found.silent.items()))
        raise typer.Exit(LEFT_EXIT_CODE if found.steps else 0)
    done = api.recover(environment, service, tell=lambda text: output.event("progress", text=text))
    _show_done(output, done)
    if done.left:
        first = next((step for step in done.left if step.next_command), done.left[0])
        raise TrivetError(f"{first.node}: {first.reason}", first.next_command or f"trivet status {env}")


def _show_plan(output: Output, found: RecoveryPlan) -> None:
    if output.json:
        output.data(found.to_dict())
        return
    if not found.steps:
        output.print(f"{found.environment}: nothing to recover")
    for step in found.steps:
        does = " ".join(("trivet-agent", *step.order)) if step.order else "waits" if step.waits else "a human decides"
        output.print(Text(f"{step.node}: {step.reason.splitlines()[0]}: {does}"))
        if step.next_command and not step.order:
            output.print(Text(f"  next: {step.next_command}"))
    if found.election:
        output.print(Text(f"\nGalera: {found.election['outcome']}: {found.election['reason']}"))
        output.print(Text(str(found.election["evidence"])))


def _show_done(output: Output, done: Recovery) -> None:
    if output.json:
        output.event("recovered", **done.to_dict())
        return
    for line in done.done or ("nothing was to be done",):
        output.print(Text(line))
    output.print(", ".join(f"{service}: {state}" for service, state in done.states.items()))


def _moment(seconds: float) -> str:
    return time.strftime("%m-%d %H:%M:%S", time.gmtime(seconds))
