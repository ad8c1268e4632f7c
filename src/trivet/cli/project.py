# SPDX-License-Identifier: GPL-3.0-or-later
"""``trivet project``: a repository that runs on Magento Commerce Cloud, before anything is built of it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from trivet.api import Project, ProjectFinding, check_project
from trivet.cli.output import output_for

app = typer.Typer(no_args_is_help=True, help="Check the files of a project. Nothing is built, deployed or changed.")


@app.callback()
def project() -> None:
    """Check the files of a project."""


@app.command()
def check(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The root of the repository.")] = Path(),
    environment: Annotated[
        str, typer.Option(help="Environment to work the routes out for; outside of production other domains are used.")
    ] = "production",
    domain: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST", help="Host name of the environment, the main one first. Repeat it."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Check every file of a project and tell every error at once, with its file, line and key.

    Reads .magento.app.yaml (of every application), .magento/services.yaml, .magento/routes.yaml and .magento.env.yaml,
    or the same under their .platform names. Writes nothing and contacts nobody.

    Exit code 0: the project can be deployed. 2: it cannot, or DIR cannot be read.

    Examples:

      trivet project check

      trivet project check ~/shop --domain shop.example.com --domain shop.example.de

      trivet project check ~/shop --environment staging --domain staging.example.com --json
    """
    checked = check_project(directory, environment=environment, domains=domain or ())
    output = output_for(json)
    if json:
        output.data(checked.to_dict())
    else:
        output.print(shown(checked))
    raise typer.Exit(0 if checked.ok else 2)


def shown(checked: Project) -> Group:
    """Errors, warnings and notes, what the project has, and the verdict as the last line."""
    findings = [
        *_lines(checked.errors, "error", "bold red"),
        *_lines(checked.warnings, "warning", "yellow"),
        *_lines(checked.notes, "note", "dim"),
    ]
    if not checked.ok:
        return Group(
            *findings, Text(f"rejected: {_count(checked.errors, 'error')}; nothing was changed", style="bold red")
        )
    summary = f"accepted: {_count(checked.warnings, 'warning')}" if checked.warnings else "accepted"
    return Group(*findings, _contents(checked), Text(summary, style="green"))


def _count(findings: tuple[ProjectFinding, ...], word: str) -> str:
    return f"{len(findings)} {word}{'s' if len(findings) != 1 else ''}"


def _lines(findings: Iterable[ProjectFinding], word: str, style: str) -> list[Text]:
    lines = []
    for finding in findings:
        place = f"{finding.file}:{finding.line}" if finding.line else finding.file
        key = f" {finding.key}:" if finding.key else ""
        lines.append(Text.assemble((f"{word}: ", style), f"{place}:{key} {finding.message}"))
    return lines


def _contents(checked: Project) -> Table:
    table = Table("what", "name", "", box=None, pad_edge=False)
    for application in checked.applications:
        table.add_row(
            "application", application.name, f"{application.runtime}:{application.version}, root {application.root}"
        )
        own = checked.own(application.name)
        told = f"health page {own.health_page}, warm-up {' '.join(own.warm_up)}, hold {own.hold}"
        table.add_row("", "", escape(told))
    for service in checked.services:
        disk = f", disk {service.disk_mb} MB" if service.disk_mb else ""
        table.add_row("service", service.id, f"{service.label}{disk}")
    for route in checked.routes:
        target = f"redirects to {route.to}" if route.type == "redirect" else f"is served by {route.upstream}"
        table.add_row("route", escape(route.url), escape(target))
    return table
