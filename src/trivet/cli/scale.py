# SPDX-License-Identifier: GPL-3.0-or-later
"""``trivet scale-out`` and ``trivet scale-in``: web nodes come and go, while the shop goes on."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from trivet.api import load_environment
from trivet.api.changes import (
    SCALING_STEPS,
    ScaleIn,
    ScaleOut,
    ScalePlan,
    ScaleReport,
    machine_of,
    refuse,
)
from trivet.cli.change import REFUSED, show_refusals, stoppable
from trivet.cli.output import Output, output_for
from trivet.cli.probe import Beside, ProbeContract, ProbeRate, beside_probe
from trivet.cli.tell import tell
from trivet.errors import InputError
from trivet.model import Environment

Env = Annotated[str, typer.Argument(metavar="ENV", help="Folder in inventories/, name of a lab, or path of a folder.")]
OnlyPlan = Annotated[bool, typer.Option("--plan", help="Only show what would be done, and what refuses it.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Json = Annotated[bool, typer.Option("--json", help="JSON lines instead of text; needs --yes or --plan.")]


def scale_out(
    env: Env,
    web: Annotated[int, typer.Option(help="How many web nodes to add to those that there are.")],
    size: Annotated[
        str | None,
        typer.Option(help="Size of the new machines: 6, 12, 24, 48 or 96; by default that of the environment."),
    ] = None,
    host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=ADDRESS",
            help="A machine of your own instead of one from the provider: Debian with SSH as the nodes have it. "
            "Once for each; it keeps its address and is not removed by scale-in.",
        ),
    ] = None,
    plan: OnlyPlan = False,
    yes: Yes = False,
    probe: ProbeRate = 0.0,
    contract: ProbeContract = None,
    json: Json = False,
) -> None:
    """Add web nodes (nginx and PHP-FPM only) under load, without a failed request.

    The new nodes are made, configured and tried first: only when a real page comes from each of them does any HAProxy
    use it. The other nodes get what they must know: names, firewall, shared files, database logins, HAProxy.

    Web nodes are recorded in web-nodes.yml of the inventory folder: keep that file with the inventory. A run that
    failed, was stopped or killed is continued by the same command; `trivet scale-in ENV --web N` takes its nodes back.

    Example: trivet scale-out production --web 2 --plan
    """
    given = _given(host or [])
    output = output_for(json)
    environment = load_environment(env)

    with ScaleOut(environment, web, size=size, given=given, listener=lambda event: tell(output, event)) as scaling:
        _run(environment, output, scaling, plan=plan, yes=yes, probe=Beside(probe, contract))


def scale_in(
    env: Env,
    web: Annotated[int, typer.Option(help="How many web nodes to take away, the youngest first.")],
    plan: OnlyPlan = False,
    yes: Yes = False,
    probe: ProbeRate = 0.0,
    contract: ProbeContract = None,
    json: Json = False,
) -> None:
    """Take web nodes away under load, without a failed request.

    Each is drained on every HAProxy, is forgotten when nothing of it is in flight, and its machine is removed by the
    provider. A machine that was given by --host stays; its services are stopped. Nodes of an unfinished scale-out go
    first, and one that is broken or cannot be reached can be taken away too.

    A run that failed, was stopped or killed is continued by the same command. Ctrl-C stops after the step that runs.

    Example: trivet scale-in production --web 1 --plan
    """
    output = output_for(json)
    environment = load_environment(env)

    with ScaleIn(environment, web, listener=lambda event: tell(output, event)) as scaling:
        _run(environment, output, scaling, plan=plan, yes=yes, probe=Beside(probe, contract))


def _given(hosts: list[str]) -> dict[str, str]:
    """The addresses of ``NAME=ADDRESS``, by name.

    :raises InputError: for another form, or a name that is given twice.
    """
    given: dict[str, str] = {}
    for text in hosts:
        name, sign, address = text.partition("=")
        if not (name and sign and address):
            raise InputError(f"--host {text}: it takes NAME=ADDRESS, such as shop-web-1=192.0.2.31")
        if name in given:
            raise InputError(f"--host {text}: {name} is given twice")
        given[name] = address
    return given


def _run(
    environment: Environment,
    output: Output,
    scaling: ScaleOut | ScaleIn,
    *,
    plan: bool,
    yes: bool,
    probe: Beside,
) -> None:
    """Show a scale-out or scale-in, ask, make it, and show what it did.

    :param scaling: makes it.
    :raises typer.Exit: with 1 when the probe saw a failure.
    """
    if output.json and not (plan or yes):
        raise InputError("with --json nobody can be asked: add --yes, or --plan to look only")
    shown = scaling.plan()
    if plan or not yes:
        show_plan(output, shown)
    if plan:
        raise typer.Exit(REFUSED if shown.refusals else 0)
    # Before a probe begins to place orders.
    refuse(shown)
    if not yes:
        typer.confirm("Do this?", abort=True)
    with stoppable(output, after_step=True) as stop:
        beside_probe(
            environment,
            output,
            probe,
            lambda listener: scaling.bound(listener, stop).apply(shown),
            listener=lambda event: tell(output, event),
            show=show_report,
        )


def show_plan(output: Output, plan: ScalePlan) -> None:
    """The plan as text or JSON."""
    if output.json:
        output.data(plan.to_dict())
        return
    begun = ", continuing what an earlier run had begun" if plan.continued else ""
    output.print(f"{plan.environment}: {plan.kind} of {len(plan.nodes)} web nodes{begun}:")
    for node in plan.nodes:
        output.print(f"  {node.name}{f' at {node.address}' if node.address else ''} ({machine_of(node, plan.size)})")
    for step in plan.steps:
        output.print(f"  {step:<10} {SCALING_STEPS[step]}")
    show_refusals(output, plan.refusals)


def show_report(output: Output, report: ScaleReport) -> None:
    """Seconds of every step."""
    if output.json:
        output.data({"event": "done", "seconds": round(report.seconds, 1), "journal": str(report.journal),
                     "nodes": report.plan.names, "steps": report.steps})  # fmt: skip
        return
    table = Table("step", "seconds", title=f"{report.plan.kind} of {', '.join(report.plan.names)}")
    for step, seconds in report.steps.items():
        table.add_row(step, f"{seconds:.1f}")
    table.add_row("in all", f"{report.seconds:.1f}")
    output.print(table)
