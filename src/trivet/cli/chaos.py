# SPDX-License-Identifier: GPL-3.0-or-later
"""``trivet chaos``: break a lab on purpose, and say what customers saw."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from trivet import api
from trivet.api import load_environment
from trivet.api.chaos import (
    COLUMNS,
    Event,
    Injecting,
    Mending,
    Row,
    RowMade,
    Scenario,
    ScenarioBegan,
    SuiteNoted,
    Undone,
    cells,
    chosen,
    lab_of,
)
from trivet.cli.output import Output, output_for
from trivet.cli.probe import ProbeContract
from trivet.errors import ChaosStopped, InputError

FAILED = 1


def chaos(
    lab: Annotated[str, typer.Argument(metavar="LAB", help="Name of a lab; nothing else is ever taken.")],
    scenarios: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SCENARIO…]", help="Names, patterns such as 'kill-*', or groups. Default: all."),
    ] = None,
    show: Annotated[bool, typer.Option("--list", help="Only list the scenarios.")] = False,
    rate: Annotated[float, typer.Option(help="Requests per second of the probe.", min=1)] = 50.0,
    contract: ProbeContract = None,
    output_file: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="FILE",
            help="The JSON file; the Markdown table goes beside it. Rows of other scenarios in it are kept.",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json: Annotated[bool, typer.Option("--json", help="JSON lines instead of text.")] = False,
) -> None:
    """Break a lab on purpose, one scenario after the other, and say what customers saw and who noticed.

    Each scenario begins on a healthy lab, with real orders at a constant rate, is undone, and leaves a row. Ctrl-C
    undoes what is broken. Exit code: 0 every goal was kept; 1 one was missed; 2 refused, or the lab stayed unhealthy.
    """
    output = output_for(json)
    wanted = chosen(scenarios or ())
    environment = load_environment(lab)
    lab_of(environment)
    if show:
        show_scenarios(output, wanted)
        return
    if not yes:
        if json:
            raise InputError("with --json nobody can be asked: add --yes, or --list to look only")
        show_scenarios(output, wanted)
        typer.confirm(f"Break lab {lab} in these ways?", abort=True)
    with stoppable(lab):
        report = api.run_chaos(
            environment,
            wanted,
            rate=rate,
            contract=contract,
            output=output_file,
            listener=lambda event: tell(output, event),
        )
    if json:
        output.event("table", json=str(report.json), markdown=str(report.markdown))
    else:
        output.print(table_of(report.rows))
        output.print(f"all rows: {report.json}  {report.markdown}")
    raise typer.Exit(0 if report.ok else FAILED)


@contextmanager
def stoppable(lab: str) -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into one error, once what was broken is undone.

    :raises ChaosStopped: one of them came.
    """

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        raise ChaosStopped("stopped; what was broken is undone", f"trivet status {lab}") from None
    finally:
        signal.signal(signal.SIGTERM, before)


def show_scenarios(output: Output, scenarios: Sequence[Scenario]) -> None:
    """The scenarios as a table, or one JSON line each."""
    if output.json:
        for item in scenarios:
            output.data(
                {
                    "scenario": item.name,
                    "group": item.group,
                    "sentence": item.sentence,
                    "goal": str(item.goal),
                    "human_expected": item.human,
                }
            )
        return
    table = Table("group", "scenario", "what is broken", "goal", title=f"{len(scenarios)} scenarios")
    for item in scenarios:
        goal = f"{item.goal}; fails closed: a human decides" if item.human else str(item.goal)
        table.add_row(item.group, item.name, item.sentence, goal)
    output.print(table)


def tell(output: Output, event: Event) -> None:
    """Show one event of the suite."""
    if output.json:
        values = event.to_dict()
        output.event(values.pop("event"), **values)
    else:
        output.event(event.kind, text=told(event))


def told(event: Event) -> str:
    """An event in a line."""
    match event:
        case RowMade():
            return f"  {summary(event.row)}"
        case ScenarioBegan():
            return f"{event.place} {event.scenario}: {event.sentence}"
        case Injecting():
            return f"  breaking {', '.join(event.struck)}"
        case Undone():
            return f"  undone after {event.seconds:.1f} s; waiting until it is healthy"
        case Mending() | SuiteNoted():
            return f"  {event.text}"
    return event.kind


def summary(row: Row) -> str:
    """A row in one line."""
    words = dict(zip(COLUMNS, cells(row), strict=True))
    return "; ".join(f"{name} {words[name]}" for name in COLUMNS[1:])


def table_of(rows: Sequence[Row]) -> Table:
    """The rows as they stand in the Markdown table; a missed goal in red."""
    table = Table(*COLUMNS, title=f"{sum(row.ok for row in rows)} of {len(rows)} as they should be")
    for row in rows:
        table.add_row(*(Text(cell) for cell in cells(row)), style=None if row.ok else "red")
    return table
