# SPDX-License-Identifier: GPL-3.0-or-later
"""``trivet upscale``, ``restart``, ``patch``, ``replace``: rolling changes, one node at a time, while the shop runs."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Annotated

import typer
from rich.table import Table

from trivet.api import load_environment
from trivet.api.changes import (
    ROTATION_STEPS,
    Change,
    Kind,
    Plan,
    Refusal,
    RotationReport,
    Rotations,
    StopRequest,
    refuse,
)
from trivet.cli.output import Output, output_for
from trivet.cli.probe import NO_PROBE, Beside, ProbeContract, ProbeRate, beside_probe
from trivet.cli.tell import tell
from trivet.errors import InputError
from trivet.model import Environment

Env = Annotated[str, typer.Argument(metavar="ENV", help="Folder in inventories/, name of a lab, or path.")]
PlanOnly = Annotated[bool, typer.Option("--plan", help="Only show what would be done, and what refuses it.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Json = Annotated[bool, typer.Option("--json", help="JSON lines instead of text.")]
Nodes = Annotated[list[str] | None, typer.Option("--node", metavar="NAME", help="A node; may be given again.")]

REFUSED = 2


def upscale(
    env: Env,
    size: Annotated[str, typer.Option(help="CPU total of the three nodes: 6, 12, 24, 48 or 96.")],
    plan: PlanOnly = False,
    yes: Yes = False,
    probe: ProbeRate = 0.0,
    contract: ProbeContract = None,
    json: Json = False,
) -> None:
    """Resize the three nodes one after the other without downtime.

    Each node hands over its roles, is drained, stopped, resized, started, must pass its gate, and is used again. A gate
    that does not pass halts the rotation; `trivet rotation resume` goes on, `trivet rotation rollback` takes it back.
    SIZE may also be smaller. Press Ctrl-C once to stop at the next safe point, twice to stop after the current step.
    """
    environment = load_environment(env)
    beside = Beside(probe, contract)
    with Rotations(environment) as rotations:
        change = Change.resize(environment, size)
        make(environment, rotations, change, output_for(json), plan=plan, yes=yes, probe=beside)


def restart(
    env: Env,
    node: Nodes = None,
    every: Annotated[bool, typer.Option("--all", help="All nodes, whether or not they wait for a restart.")] = False,
    reboot: Annotated[bool, typer.Option("--reboot", help="Restart the machines too, not only the services.")] = False,
    plan: PlanOnly = False,
    yes: Yes = False,
    probe: ProbeRate = 0.0,
    contract: ProbeContract = None,
    json: Json = False,
) -> None:
    """Restart the nodes whose changed configuration waits for it, one after the other without downtime.

    `trivet status` shows which nodes wait. With --node or --all others are restarted too.
    """
    environment = load_environment(env)
    beside = Beside(probe, contract)
    with Rotations(environment) as rotations:
        names = tuple(node or ()) or (tuple(item.name for item in environment.nodes) if every else ())
        names = names or rotations.pending_restart()
        if not names:
            raise InputError(f"no node of {environment.name} waits for a restart", f"trivet restart {env} --all")
        change = Change(Kind.RESTART, names, reboot=reboot)
        make(environment, rotations, change, output_for(json), plan=plan, yes=yes, probe=beside)


def patch(
    env: Env,
    node: Nodes = None,
    plan: PlanOnly = False,
    yes: Yes = False,
    probe: ProbeRate = 0.0,
    contract: ProbeContract = None,
    json: Json = False,
) -> None:
    """Upgrade the packages of every node, one after the other without downtime.

    The packages are upgraded while no service of the node runs; a machine that asks for it is restarted. No package of
    the stack is ever restarted by its own installation.
    """
    environment = load_environment(env)
    names = tuple(node or ()) or tuple(item.name for item in environment.nodes)
    beside = Beside(probe, contract)
    with Rotations(environment) as rotations:
        change = Change(Kind.PATCH, names)
        make(environment, rotations, change, output_for(json), plan=plan, yes=yes, probe=beside)


def replace(
    env: Env,
    node: Annotated[str, typer.Option("--node", metavar="NAME", help="The node whose machine is replaced.")],
    plan: PlanOnly = False,
    yes: Yes = False,
    probe: ProbeRate = 0.0,
    contract: ProbeContract = None,
    json: Json = False,
) -> None:
    """Put a new machine in the place of a node, whether or not the old one still runs.

    The provider removes the machine and makes a new one of the same name and address; it is set up from nothing, gets
    the data from the two others, and must pass its gate. What only the old machine had is lost.
    """
    environment = load_environment(env)
    beside = Beside(probe, contract)
    with Rotations(environment) as rotations:
        change = Change(Kind.REPLACE, (node,))
        make(environment, rotations, change, output_for(json), plan=plan, yes=yes, probe=beside)


def make(
    environment: Environment,
    rotations: Rotations,
    change: Change,
    output: Output,
    *,
    plan: bool,
    yes: bool,
    probe: Beside,
) -> None:
    """Show a change, ask, make it, and show what it did.

    :param rotations: opened, so that all of it goes over the same connections.
    :raises InputError: when it is refused: before a probe begins to place orders.
    """
    if output.json and not (plan or yes):
        raise InputError("with --json nobody can be asked: add --yes, or --plan to look only")
    shown = rotations.plan(change)
    if plan or not yes:
        show_plan(output, shown)
    if plan:
        raise typer.Exit(REFUSED if shown.refusals else 0)
    refuse(shown)
    if not yes:
        typer.confirm("Do this?", abort=True)
    with stoppable(output) as stop:
        run(environment, output, rotations, lambda bound: bound.apply(change, shown), stop, probe)


def run(
    environment: Environment,
    output: Output,
    rotations: Rotations,
    work: Callable[[Rotations], RotationReport],
    stop: StopRequest,
    probe: Beside = NO_PROBE,
) -> None:
    """Do a verb of rolling changes, with or without a probe beside it, and show its figures.

    :raises typer.Exit: with 1 when the probe saw a failure.
    """

    beside_probe(
        environment,
        output,
        probe,
        lambda listener: work(rotations.bound(listener, stop)),
        listener=lambda event: tell(output, event),
        show=show_times,
    )


def end_signals() -> tuple[signal.Signals, ...]:
    """What ends a program from outside: SIGTERM, and SIGHUP unless nohup(1) has it ignored."""
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return (signal.SIGTERM,) if ignored else (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def stoppable(output: Output, *, after_step: bool = False) -> Iterator[StopRequest]:
    """Turn Ctrl-C, SIGTERM and SIGHUP into a wish to stop: first where it is safe, then after the step, then at once.

    :param after_step: it is safe after every step: the second signal stops at once.
    """
    stop = StopRequest()

    def heed(number: int, _frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if stop.at_once:
            output.event("stopping", text=f"{name} once more: stopped at once; `trivet rotation status` says where")
            raise KeyboardInterrupt
        if after_step:
            text = f"{name}: stopping after this step (again: at once)"
        elif stop.by:
            text = f"{name} again: stopping after this step, the node stays as it is then"
        else:
            text = f"{name}: stopping at the next safe point (again: after this step)"
        stop.at_once = after_step or bool(stop.by)
        stop.by = stop.by or name
        output.event("stopping", text=text)

    before = {number: signal.signal(number, heed) for number in (signal.SIGINT, *end_signals())}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def show_plan(output: Output, plan: Plan) -> None:
    """The plan as text or JSON."""
    if output.json:
        output.data(plan.to_dict())
        return
    output.print(f"{plan.environment}: {plan.change.purpose}, one node at a time{_about(plan.seconds)}:")
    for number, node in enumerate(plan.nodes, 1):
        output.print(f"  {number}. {node.name} ({node.reason}){_about(plan.node_seconds)}")
        for action in node.actions:
            output.print(f"       {action}")
    output.print("each node:")
    for step in plan.steps:
        output.print(f"  {step.value:<10} {ROTATION_STEPS[step]}{_about(plan.expected.get(step.value))}")
    for warning in plan.warnings:
        output.print(f"note: {warning}")
    show_refusals(output, plan.refusals)


def show_refusals(output: Output, refusals: tuple[Refusal, ...]) -> None:
    """What refuses a change, and what to do about it."""
    for refusal in refusals:
        output.print(f"refused: {refusal.reason}")
        if refusal.next_command:
            output.print(f"  next: {refusal.next_command}")


def _about(seconds: float | None) -> str:
    return "" if seconds is None else f", about {seconds:.0f} s"


def show_times(output: Output, report: RotationReport) -> None:
    """Seconds of every node and step that this run did."""
    if output.json:
        steps = [{"node": time.node, "step": time.step, "seconds": time.seconds} for time in report.times]
        output.data(
            {"event": "done", "seconds": round(report.seconds, 1), "journal": str(report.journal), "steps": steps}
        )
        return
    names = list(dict.fromkeys(time.node for time in report.times))
    if not names:
        return
    seconds = {(time.node, time.step): time.seconds for time in report.times}
    table = Table("step", *names, title=f"seconds (in all {report.seconds:.0f})")
    for step in report.plan.steps:
        table.add_row(step.value, *(f"{seconds.get((name, step.value), 0):.1f}" for name in names))
    table.add_row("node", *(f"{sum(s for (node, _), s in seconds.items() if node == name):.1f}" for name in names))
    output.print(table)
