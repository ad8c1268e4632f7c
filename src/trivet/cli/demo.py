# SPDX-License-Identifier: GPL-3.0-or-later
"""``bin/demo``: from nothing to a production cluster that is made larger while customers keep buying."""

from __future__ import annotations

import os
import time
from typing import Annotated

import typer

from trivet.api import load_environment
from trivet.api.changes import Change, Rotations, measured
from trivet.api.deploy import PATIENCE_SECONDS, Deploys, Source, ready
from trivet.api.labs import CACHE_DIRECTORY, Lab
from trivet.api.probes import ProbeReport, ResultKind, customers, leave_result
from trivet.api.verdict import State, looking
from trivet.cli.change import show_times, stoppable
from trivet.cli.converge import converge_environment
from trivet.cli.deploy import show_times as show_deploy_times
from trivet.cli.main import report_errors
from trivet.cli.output import Output, output_for
from trivet.cli.probe import show_figures
from trivet.cli.status import shown
from trivet.cli.tell import tell
from trivet.errors import ChangeHalted
from trivet.model import Environment
from trivet.paths import shop_directory

HEALTHY_SECONDS = 300
FAILED = 1
BEGAN_VARIABLE = "TRIVET_DEMO_BEGAN"
"""When bin/demo began, in epoch seconds: the Python environment is made before this program runs."""

app = typer.Typer(pretty_exceptions_enable=False)


@app.command()
def demo(
    down: Annotated[bool, typer.Option("--down", help="Remove the demo's lab and nothing else.")] = False,
    name: Annotated[str, typer.Option(help="Name of the lab.")] = "demo",
    size: Annotated[str, typer.Option(help="Size to go to from 6.")] = "12",
    rate: Annotated[float, typer.Option(help="Requests per second of the probe.")] = 35.0,
    json: Annotated[bool, typer.Option("--json", help="JSON lines instead of text.")] = False,
) -> None:
    """Make a lab like production from nothing, put the shop on it, make it larger and deploy under load.

    Exit code 0 only with zero failed requests and zero lost orders.
    """
    output = output_for(json)
    warm = CACHE_DIRECTORY.exists()
    began = float(os.environ.get(BEGAN_VARIABLE) or time.time())
    with output.task("lab") as progress:
        Lab(name).down(progress)
        if down:
            return
        Lab(name).up(load_environment("production"), progress=progress)
    lab_made = time.time()
    environment = load_environment(name)
    converge_environment(environment, output)
    # With the secrets that the first converge has generated.
    environment = load_environment(name)
    wait_healthy(environment, output)
    converged = time.time()
    change = Change.resize(environment, size)
    with stoppable(output) as stop:
        report, rotation = measured(
            environment,
            rate,
            lambda listener: Rotations(environment, listener, stop).apply(change),
            listener=lambda event: tell(output, event),
            partial=lambda figures: show_figures(output, figures),
        )
    upscaled = time.time()
    show_times(output, rotation)
    show_figures(output, report)
    deployed = deploy_shop(environment, output, rate)
    figures = {
        "seconds": round(time.time() - began),
        "lab_seconds": round(lab_made - began),
        "converge_seconds": round(converged - lab_made),
        "upscale_seconds": round(upscaled - converged),
        "deploy_seconds": round(time.time() - upscaled),
        "deploy_requests": deployed.total.requests,
        "deploy_failed": deployed.total.failures,
        "warm": warm,
    }
    leave_result(ResultKind.DEMO, {**figures, **customers(report)})
    if not json:
        output.print("the shop: " + "  ".join(Lab(name).status().urls))
        output.print(f"look around: bin/trivet status {name}    remove it: bin/demo --down")
    raise typer.Exit(0 if report.ok and deployed.ok else FAILED)


def deploy_shop(environment: Environment, output: Output, rate: float) -> ProbeReport:
    """Bring the shop live as a release, from the folder of its project, while customers go on; what they saw."""
    with (
        Deploys(environment) as deploys,
        ready(
            environment, deploys, Source.named(str(shop_directory())), lambda line: output.event("log", text=line)
        ) as made,
        stoppable(output, after_step=True) as stop,
    ):
        report, deployed = measured(
            environment,
            rate,
            lambda listener: deploys.bound(listener, stop).apply(made.plan, made.composed, made.release),
            patience=PATIENCE_SECONDS,
            listener=lambda event: tell(output, event),
            partial=lambda figures: show_figures(output, figures),
        )
    show_deploy_times(output, deployed)
    show_figures(output, report)
    return report


def wait_healthy(environment: Environment, output: Output) -> None:
    """Wait until the verdict is healthy, and show it.

    :raises ChangeHalted: when it is not in time.
    """
    deadline = time.monotonic() + HEALTHY_SECONDS
    with looking(environment) as look:
        while True:
            verdict = look()
            if verdict.state == State.HEALTHY or time.monotonic() > deadline:
                break
            finding = next(f for f in verdict.findings if f.state != State.HEALTHY)
            output.event("waiting", text=f"waiting: {finding.node or 'cluster'}: {finding.service}: {finding.reason}")
            time.sleep(3)
    if not output.json:
        output.print(shown(environment, verdict))
    if verdict.state != State.HEALTHY:
        raise ChangeHalted(
            f"{environment.name} is not healthy {HEALTHY_SECONDS} s after it was converged",
            f"trivet status {environment.label}",
        )


def main() -> None:
    """Entry point of bin/demo."""
    with report_errors():
        app()


if __name__ == "__main__":
    main()
