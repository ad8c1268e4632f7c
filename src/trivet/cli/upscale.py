# SPDX-License-Identifier: GPL-3.0-or-later
"""``trivet upscale``: make the nodes larger, one after the other, while the shop goes on."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from trivet.ansible import load_environment
from trivet.cli.output import Output, output_for
from trivet.errors import InputError
from trivet.rotation.engine import Rotation, RotationReport
from trivet.rotation.plan import WHAT_HAPPENS, Plan


def upscale(
    env: Annotated[str, typer.Argument(metavar="ENV", help="Folder in inventories/, name of a lab, or path.")],
    size: Annotated[str, typer.Option(help="CPU total of the three nodes: 6, 12, 24, 48 or 96.")],
    plan: Annotated[bool, typer.Option("--plan", help="Only show what would be done.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json: Annotated[bool, typer.Option("--json", help="JSON lines instead of text.")] = False,
) -> None:
    """Resize the three nodes one after the other without downtime.

    Each node hands over its roles, is drained, stopped, resized, started, must pass its gate, and is used again. A gate
    that does not pass halts the rotation; the journal says where. A smaller size is taken too.
    """
    output = output_for(json)
    environment = load_environment(env)
    rotation = Rotation(environment, size, lambda event: tell(output, event))
    if plan or not (yes or json):
        show_plan(output, rotation.plan())
    if plan:
        return
    if not yes:
        if json:
            raise InputError("with --json nobody can be asked: add --yes, or --plan to look only")
        typer.confirm("Do this?", abort=True)
    report = rotation.apply()
    show_times(output, report)


def tell(output: Output, event: Any) -> None:
    """Show one event of a rotation."""
    values = dict(event)
    kind = values.pop("event")
    if output.json:
        output.event(kind, **values)
    elif kind == "probe":
        addresses = ", ".join(values["urls"])
        output.event(kind, text=f"probe: {values['rate']:g} requests/s on {addresses}; events in {values['events']}")
    elif kind == "live":
        figures = f"{values['requests']} requests, {values['failures']} failed, p99 {values['p99_ms']} ms"
        output.event(kind, text=f"  probe: {figures}")
    elif kind == "plan":
        output.event(kind, text=f"journal {values['journal']}")
    elif kind == "step begins":
        output.event(kind, text=f"{values['node']}: {values['step']} …")
    elif kind == "step ends":
        output.event(kind, text=f"{values['node']}: {values['step']} done in {values['seconds']:.1f} s")
    else:
        output.event(kind, text=f"{values['node']}:   {values['text']}")


def show_plan(output: Output, plan: Plan) -> None:
    """The plan as text or JSON."""
    if output.json:
        output.data(plan.to_dict())
        return
    output.print(f"{plan.environment}: size {plan.size_before} → {plan.size_after}, one node at a time:")
    for number, node in enumerate(plan.nodes, 1):
        output.print(f"  {number}. {node.name} ({node.reason})")
    output.print("each node:")
    for step in plan.steps:
        output.print(f"  {step.value:<10} {WHAT_HAPPENS[step]}")


def show_times(output: Output, report: RotationReport) -> None:
    """Seconds of every node and step."""
    names = [node.name for node in report.plan.nodes]
    seconds = {(time.node, time.step): time.seconds for time in report.times}
    if output.json:
        output.data({"event": "done", "seconds": round(report.seconds, 1), "journal": str(report.journal), "steps": [
            {"node": time.node, "step": time.step, "seconds": time.seconds} for time in report.times
        ]})  # fmt: skip
        return
    table = Table("step", *names, title=f"seconds (in all {report.seconds:.0f})")
    for step in report.plan.steps:
        table.add_row(step.value, *(f"{seconds.get((name, step.value), 0):.1f}" for name in names))
    table.add_row("node", *(f"{sum(s for (node, _), s in seconds.items() if node == name):.1f}" for name in names))
    output.print(table)
