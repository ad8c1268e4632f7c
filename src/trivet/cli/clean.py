# SPDX-License-Identifier: GPL-3.0-or-later
"""``trivet clean``: what was left set on the nodes, and its removal."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from trivet import api
from trivet.api import load_environment
from trivet.api.clean import Cleaned, LeftFlag, Leftovers, Selection, refuse
from trivet.cli.output import Output, output_for
from trivet.errors import InputError, TrivetError

LEFT_EXIT_CODE = 1


def clean(
    env: Annotated[str, typer.Argument(metavar="ENV", help="Folder in inventories/, name of a lab, or path.")],
    plan: Annotated[bool, typer.Option("--plan", help="Only show what would be removed.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    owner: Annotated[str | None, typer.Option(help="Only the flags of this owner.")] = None,
    expired: Annotated[bool, typer.Option("--expired", help="Only flags whose time is over.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Also the flags of an interrupted change.")] = False,
    json: Annotated[bool, typer.Option("--json", help="JSON lines instead of text.")] = False,
) -> None:
    """List and remove what a run or an operator left set: drains, forwards, releases, holds, limits, disabled units.

    Removes nothing while a run holds the lease. Exit code: 0 nothing is left; 1 with --plan, there is something;
    2 refused, a node was not reached, or something could not be removed.
    """
    output = output_for(json)
    environment = load_environment(env)
    if json and not (yes or plan):
        raise InputError("with --json nobody can be asked: add --yes, or --plan to look only")
    left = api.left_behind(environment, Selection(owner, expired))
    show(output, left)
    if plan:
        _end(left.silent, LEFT_EXIT_CODE if left.flags else 0)
    refuse(environment, left, force=force)
    if not left.flags:
        _end(left.silent, 0)
    if not yes:
        typer.confirm("Remove them?", abort=True)
    cleaned = api.clean(environment, left, force=force)
    show_cleaned(output, cleaned)
    if cleaned.problems or cleaned.left:
        raise TrivetError("; ".join(cleaned.problems) or "not everything was removed", f"trivet clean {env} --plan")


def _end(silent: dict[str, str], code: int) -> None:
    """End the command; who did not answer makes it an error, never an empty list.

    :raises TrivetError: somebody did not answer.
    """
    if silent:
        raise TrivetError("not known: " + "; ".join(f"{name}: {why}" for name, why in silent.items()))
    raise typer.Exit(code)


def show(output: Output, left: Leftovers) -> None:
    """What is set, as a table or JSON."""
    if output.json:
        output.event("left behind", **left.to_dict())
        return
    if left.flags:
        output.print(_table(f"{left.environment}: set on the nodes", left.flags))
    elif not left.silent:
        output.print(f"{left.environment}: nothing is left behind")
    if left.lease:
        lease = left.lease
        output.print(Text(f"lease: {lease['owner']} since {lease['since_text']} for: {lease['purpose']}"))
    for journal in left.interrupted:
        output.print(Text(f"journal: {journal['id']} of {journal['owner']} is {journal['state']}"))
    for name, why in left.silent.items():
        output.print(Text(f"not known: {name}: {why}", style="bold red"))


def show_cleaned(output: Output, cleaned: Cleaned) -> None:
    """What was removed and what was not."""
    if output.json:
        output.event("cleaned", **cleaned.to_dict())
        return
    for word, flags in (
        ("removed", cleaned.removed),
        ("ends by itself", cleaned.ending),
        ("still there", cleaned.left),
    ):
        for flag in flags:
            until = f" at {_moment(flag.expires)} UTC" if flag.ending else ""
            output.print(Text(f"{word}{until}: {flag.node or 'cluster'}: {flag.kind} {flag.subject} of {flag.owner}"))


def _table(title: str, flags: Iterable[LeftFlag]) -> Table:
    table = Table("node", title=f"{title} (times in UTC)")
    for column in ("what", "owner"):
        # An owner is what the next command is given: never cut off.
        table.add_column(column, overflow="fold")
    for column in ("since", "expires", "in use"):
        table.add_column(column)
    for flag in flags:
        expires = _moment(flag.expires) + (" (over)" if flag.expired else "")
        in_use = "ends by itself" if flag.ending else "yes: lease" if flag.leased else "no"
        cells = (flag.node or "cluster", f"{flag.kind}: {flag.what}", flag.owner, _moment(flag.since), expires, in_use)
        table.add_row(*(Text(cell) for cell in cells))
    return table


def _moment(seconds: float | None) -> str:
    return "unknown" if seconds is None else time.strftime("%m-%d %H:%M:%S", time.gmtime(seconds))
