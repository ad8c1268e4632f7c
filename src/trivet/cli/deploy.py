# SPDX-License-Identifier: GPL-3.0-or-later
"""``trivet deploy``, ``rollback`` and ``releases``: an application goes live while customers go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer
from rich.table import Table

from trivet.api import load_environment
from trivet.api.changes import StopRequest, refuse
from trivet.api.deploy import PATIENCE_SECONDS, WHAT_HAPPENS, DeployPlan, DeployReport, Deploys, Source, ready, releases
from trivet.cli.change import REFUSED, Env, Json, PlanOnly, Yes, show_refusals, stoppable
from trivet.cli.output import Output, output_for
from trivet.cli.probe import Beside, ProbeContract, ProbeRate, beside_probe
from trivet.cli.tell import tell
from trivet.errors import InputError
from trivet.model import Environment

Work = Callable[[Deploys], DeployReport]


def deploy(
    env: Env,
    what: Annotated[
        str, typer.Argument(metavar="[DIR|REF]", help="Folder of the project, or a commit of the repository here.")
    ] = ".",
    application: Annotated[
        str, typer.Option(help="Which application of the project; needed when it has several.")
    ] = "",
    release: Annotated[
        str, typer.Option(metavar="ID", help="Deploy this release of `trivet build`; nothing is built.")
    ] = "",
    leave_data: Annotated[
        bool,
        typer.Option(
            "--leave-data", help="Deploy although databases or mounts of the release that serves stay behind."
        ),
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the deploy that was broken off.")] = False,
    plan: PlanOnly = False,
    yes: Yes = False,
    probe: ProbeRate = 0.0,
    contract: ProbeContract = None,
    json: Json = False,
) -> None:
    """Build a release of your project and bring it live on every node without a failed request.

    Your four files stay as they are; `trivet project check` tells what is wrong with them. The build runs once for a
    tree. The new release starts and is warmed beside the old one. Requests wait only when the new release says that its
    deploy hook changes the database. Until the switch, whatever fails is undone and the old release goes on serving.

    Example: trivet deploy production ~/shop --probe 20
    """
    environment = load_environment(env)
    output = output_for(json)
    beside = Beside(probe, contract, PATIENCE_SECONDS)
    if json and not (plan or yes or resume):
        raise InputError("with --json nobody can be asked: add --yes, or --plan to look only")
    with Deploys(environment) as deploys:
        if resume:
            deploys.check_open()
            _run(environment, output, deploys, lambda bound: bound.resume(), beside)
            return
        source = Source.built(release) if release else Source.named(what, application)
        _deploy(environment, output, deploys, source, beside, plan=plan, yes=yes, leave_data=leave_data)


def redeploy(
    env: Env,
    plan: PlanOnly = False,
    yes: Yes = False,
    probe: ProbeRate = 0.0,
    contract: ProbeContract = None,
    json: Json = False,
) -> None:
    """Deploy the release that serves once more: its hooks run again, with the variables as they are now.

    Nothing is built. Run it on the machine that deployed the release.

    Example: trivet variable set production env:LOG_LEVEL debug; trivet redeploy production
    """
    environment = load_environment(env)
    output = output_for(json)
    beside = Beside(probe, contract, PATIENCE_SECONDS)
    if json and not (plan or yes):
        raise InputError("with --json nobody can be asked: add --yes, or --plan to look only")
    with Deploys(environment) as deploys:
        _deploy(environment, output, deploys, Source.built(deploys.serving()), beside, plan=plan, yes=yes)


def _deploy(
    environment: Environment,
    output: Output,
    deploys: Deploys,
    source: Source,
    beside: Beside,
    *,
    plan: bool,
    yes: bool,
    leave_data: bool = False,
) -> None:
    """Show the plan, ask, and do it."""
    with ready(environment, deploys, source, lambda line: _say(output, line), leave_data=leave_data) as made:
        if plan or not yes:
            show_plan(output, made.plan)
        if plan:
            raise typer.Exit(REFUSED if made.plan.refusals else 0)
        refuse(made.plan)
        if not yes:
            typer.confirm("Do this?", abort=True)
        _run(
            environment,
            output,
            deploys,
            lambda bound: bound.apply(made.plan, made.composed, made.release),
            beside,
        )


def rollback(
    env: Env,
    instance: Annotated[str, typer.Argument(metavar="[INSTANCE]", help="One that `trivet releases` lists.")] = "",
    yes: Yes = False,
    probe: ProbeRate = 0.0,
    contract: ProbeContract = None,
    json: Json = False,
) -> None:
    """Go back to the release that served before. A deploy that was broken off is taken back.

    No hook runs: the database stays as it is. The switch is the same as that of a deploy.
    """
    environment = load_environment(env)
    output = output_for(json)
    beside = Beside(probe, contract, PATIENCE_SECONDS)
    if json and not yes:
        raise InputError("with --json nobody can be asked: add --yes")
    if not yes:
        typer.confirm(f"Have {environment.name} serve {instance or 'the release before'}?", abort=True)
    with Deploys(environment) as deploys:
        _run(environment, output, deploys, lambda bound: bound.rollback(instance), beside)


def list_releases(env: Env, json: Json = False) -> None:
    """Show the releases of each node, and which one serves."""
    environment = load_environment(env)
    output = output_for(json)
    found = releases(environment)
    if json:
        output.data({"nodes": found})
        return
    table = Table("node", "instance", "state", title=f"releases of {environment.name}")
    for node, item in found.items():
        for name, runs in sorted(item["instances"].items()):
            serves = name == item["current"]
            table.add_row(node, name, "serves" if serves else "runs" if runs else "kept")
        if not item["instances"]:
            table.add_row(node, "-", "none yet")
    output.print(table)


def _say(output: Output, line: str) -> None:
    output.event("log", text=line)


def _run(environment: Environment, output: Output, deploys: Deploys, work: Work, beside: Beside) -> None:
    with stoppable(output, after_step=True) as stop:
        beside_probe(
            environment,
            output,
            beside,
            lambda listener: work(_bound(deploys, listener, stop)),
            listener=lambda event: tell(output, event),
            show=show_times,
        )


def _bound(deploys: Deploys, listener: Callable[..., None], stop: StopRequest) -> Deploys:
    return deploys.bound(listener, stop)


def show_plan(output: Output, plan: DeployPlan) -> None:
    """The plan as text or JSON."""
    if output.json:
        output.data(plan.to_dict())
        return
    output.print(f"{plan.environment}: {plan.purpose} on {', '.join(plan.nodes)}, hooks on {plan.hook_node}:")
    for step in plan.steps:
        output.print(f"  {step.value:<12} {WHAT_HAPPENS[step]}")
    for warning in plan.warnings:
        output.print(f"note: {warning}")
    show_refusals(output, plan.refusals)


def show_times(output: Output, report: DeployReport) -> None:
    """What was done, and how long each step took."""
    if output.json:
        output.data({"event": "done", **report.to_dict()})
        return
    table = Table("step", "seconds", title=f"{report.plan.purpose} ({report.seconds:.0f} s)")
    for step, seconds in report.steps.items():
        table.add_row(step, f"{seconds:.1f}")
    output.print(table)
    waited = "no request had to wait" if report.held_seconds is None else f"requests waited {report.held_seconds:.1f} s"
    output.print(f"{report.plan.instance} serves; {waited}")
    for node, why in report.lost.items():
        output.print(f"note: {node} was lost meanwhile ({why}): it takes the release when it is back")
