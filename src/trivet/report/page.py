# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as one HTML page that loads nothing."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from trivet.report import chart, tables, wording
from trivet.report.change import Change
from trivet.report.document import trivet_version
from trivet.report.measured import Measured


def render(change: Change, measured: Measured | None) -> str:
    """The page. All that comes from a journal or a probe is escaped."""
    environment = Environment(
        loader=PackageLoader("trivet.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    functions = (
        wording.clock, wording.count, wording.date_and_time, wording.duration, wording.latency, tables.duration_of_gap
    )  # fmt: skip
    environment.filters.update({function.__name__: function for function in functions})
    return environment.get_template("page.html.j2").render(_values(change, measured))


def _values(change: Change, measured: Measured | None) -> dict[str, Any]:
    names, rows = tables.differences(change)
    drawn = chart.draw(change, measured)
    return {
        "change": change,
        "measured": measured,
        "probe": measured.report if measured else None,
        "answer": wording.answer(change, measured),
        "coverage": wording.coverage(measured) if measured else None,
        "tiles": tables.tiles(change, measured),
        "chart": drawn,
        "readouts": [[readout.x, readout.text] for readout in drawn.curves.readouts] if drawn.curves else [],
        "layout": chart,
        "step_rows": tables.step_rows(change) if change.attempts else (),
        "verdicts": {"Before": tables.verdict_table(change.before), "After": tables.verdict_table(change.after)},
        "difference_names": names,
        "difference_rows": rows,
        "kinds": tables.figures_rows(dict(sorted(measured.report.kinds.items()))) if measured else (),
        "phases": tables.figures_rows(measured.report.phases) if measured else (),
        "total": tables.figures_rows({"all": measured.report.total}) if measured else (),
        "reservations": tables.reservations(change, measured),
        "version": trivet_version(),
    }
