# SPDX-License-Identifier: GPL-3.0-or-later
"""``trivet lab``: the embedded lab."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from trivet.api import load_environment
from trivet.api.labs import Lab, LabStatus, ensure_secrets
from trivet.cli.output import Output, output_for

app = typer.Typer(no_args_is_help=True, help="An environment's topology as system containers on this machine.")

Name = Annotated[str, typer.Argument(help="Name of the lab; its nodes are called NAME-1, NAME-2, NAME-3.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


@app.command()
def up(
    name: Name = "lab",
    like: Annotated[str, typer.Option(help="The environment whose topology the lab gets.")] = "production",
    scale: Annotated[
        float | None,
        typer.Option(help="Factor on every size of the table (0 < scale ≤ 1); by default what fits this machine."),
    ] = None,
    grid: Annotated[
        bool, typer.Option("--grid", help="Make a grid machine NAME-grid beside the nodes: it takes `git push`.")
    ] = False,
    json: Json = False,
) -> None:
    """Bring a lab up, or repair a half-made one. Harmless when it is up.

    Installs what it needs (Incus, mmdebstrap, …) on Debian 12 or 13, with or without systemd as PID 1.
    """
    output = output_for(json)
    environment = load_environment(like)
    with output.task(f"lab {name}") as progress:
        Lab(name).up(environment, scale=scale, grid=grid, progress=progress)
        ensure_secrets(load_environment(name))
    _show(output, Lab(name).status(), name)


@app.command()
def down(name: Name = "lab", json: Json = False) -> None:
    """Remove a lab: its nodes, network, routes and files. Leaves nothing behind; harmless when there is none."""
    output = output_for(json)
    with output.task(f"lab {name} down") as progress:
        Lab(name).down(progress)
    if json:
        output.data({"removed": name})


@app.command()
def status(name: Name = "lab", json: Json = False) -> None:
    """Show the nodes, gateway addresses and shop addresses of a lab."""
    _show(output_for(json), Lab(name).status(), name)


def _show(output: Output, status: LabStatus, name: str) -> None:
    if output.json:
        output.data(asdict(status))
        return
    table = Table("node", "address", "CPUs", "memory", "state", title=f"lab {name}")
    for node in status.nodes:
        table.add_row(node.name, node.address, str(node.cpus), f"{node.memory_mib} MiB", node.state)
    output.print(table)
    output.print("shop: " + "  ".join(status.urls))
