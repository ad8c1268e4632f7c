# SPDX-License-Identifier: GPL-3.0-or-later
"""What docs/results/ holds: figures in pages, tables, the page of all runs, the page of the failure suite."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import median
from typing import Any

from pages.blocks import Block
from pages.places import ROOT
from trivet.chaos.row import Row
from trivet.chaos.scenarios import catalogue
from trivet.chaos.table import COLUMNS, cells, markdown, merged
from trivet.results import Kind

FOLDER = "docs/results"
NOTHING = "–"
RATE_OF_GOALS = 50
"""Requests per second at which the promises about changes are measured."""
ROTATIONS = 3
WRITTEN = "<!-- Written by bin/docs from docs/results/*.json: changes made here are lost. -->"
NAMES = {
    Kind.CHANGE: "Changes with the probe beside them",
    Kind.BROKEN_CHANGE: "Changes that were broken off (`bin/test failures`)",
    Kind.CHAOS: "The failure suite (`trivet chaos`)",
    Kind.NODE_LOSS: "Loss of a node",
    Kind.CONVERGE: "`benchmarks/converge.py`",
    Kind.OVERHEAD: "`benchmarks/rotation.py`",
    Kind.PUSH: "`benchmarks/push.py`",
    Kind.AGENT: "The agents at rest",
    Kind.DEMO: "`bin/demo`",
    Kind.TEST: "`bin/test`",
    Kind.PROBE: "`trivet probe`",
}


@dataclass(frozen=True, slots=True)
class Result:
    """A file of docs/results/."""

    name: str
    kind: Kind
    at: str
    commit: str | None
    machine: Mapping[str, Any]
    note: str
    figures: Mapping[str, Any]

    @property
    def link(self) -> str:
        """Its date, linked from a page of docs/."""
        commit = f", {self.commit}" if self.commit else ""
        return f"[{self.at[:10]}{commit}](results/{self.name})"


@cache
def results() -> tuple[Result, ...]:
    """All results, the oldest first: names begin with the time."""
    found = []
    for path in sorted((ROOT / FOLDER).glob("*.json")):
        data = json.loads(path.read_text(encoding="utf-8"))
        if data.pop("format") != 1:
            raise ValueError(f"{path.name}: an unknown format")
        found.append(Result(name=path.name, **{**data, "kind": Kind(data["kind"])}))
    return tuple(found)


def of_kind(kind: Kind, *keys: str) -> list[Result]:
    """Results of a kind that have all of these figures, the oldest first."""
    return [one for one in results() if one.kind is kind and all(key in one.figures for key in keys)]


def resizes() -> list[Result]:
    """The last three resizes at the rate of the goals that ended well."""
    found = [
        one
        for one in of_kind(Kind.CHANGE, "requests", "p99_during_ms")
        if one.figures["change"] == "resize"
        and one.figures.get("rate_per_second") == RATE_OF_GOALS
        and one.figures.get("outcome") == "done"
    ]
    return found[-ROTATIONS:]


def web_changes() -> list[Result]:
    """The last scale-out and the last scale-in at the rate of the goals."""
    last = {
        one.figures["change"]: one
        for one in of_kind(Kind.CHANGE, "requests")
        if one.figures["change"] in ("scale-out", "scale-in") and one.figures.get("rate_per_second") == RATE_OF_GOALS
    }
    return list(last.values())


def broken_changes() -> list[Result]:
    """The last run of each way to break a change off, in the order in which they were first tried."""
    return list({one.figures["what"]: one for one in of_kind(Kind.BROKEN_CHANGE)}.values())


def chaos_rows() -> list[Row]:
    """The last row of each scenario, in the order of the catalogue."""
    order = [scenario.name for scenario in catalogue()]
    rows: list[Row] = []
    for result in of_kind(Kind.CHAOS):
        rows = merged(rows, [Row.from_dict(row) for row in result.figures["rows"]], order)
    return rows


# What stands in pages.


def figure(kind: str, key: str, form: str = "plain") -> str:
    """The last figure of a kind and key."""
    return FORMS[form](of_kind(Kind(kind), key)[-1].figures[key])


def run(kind: str, key: str) -> str:
    """The run that the last figure of a kind and key is of."""
    return of_kind(Kind(kind), key)[-1].link


def demo(warm: str, what: str) -> str:
    """The last bin/demo from nothing (``cold``) or with caches (``warm``): its ``minutes``, or its ``run``."""
    last = [one for one in of_kind(Kind.DEMO, "warm") if one.figures["warm"] is (warm == "warm")][-1]
    return last.link if what == "run" else minutes(last.figures["seconds"])


def overhead(what: str) -> str:
    """Seconds per node ÷ their services' own, in the last three rotations: ``median``, ``most``, ``run``."""
    last = of_kind(Kind.OVERHEAD)[-ROTATIONS:]
    ratios = [node["ratio"] for one in last for node in one.figures["nodes"].values() if node["ratio"]]
    made: dict[str, Callable[[], str]] = {
        "median": lambda: f"{median(ratios):.2f}",
        "most": lambda: f"{max(ratios):.2f}",
        "run": lambda: last[-1].link,
    }
    return made[what]()


def rotations(what: str = "table") -> str:
    """The last three resizes: their ``table``, or ``failed``, ``orders``, ``slower``, ``gap``, ``run``."""
    last = resizes()
    figures = [one.figures for one in last]
    made: dict[str, Callable[[], str]] = {
        "table": lambda: table(CHANGE_COLUMNS, [change_cells(one) for one in last]),
        "failed": lambda: f"{_sum(figures, 'failed')} of {_sum(figures, 'requests')}",
        "orders": lambda: f"{_sum(figures, 'orders_found')} of {_sum(figures, 'orders_acknowledged')}",
        "slower": lambda: f"{max(ratio(one) or 0 for one in figures):.1f} ×",
        "gap": lambda: gap(max(one["longest_gap_seconds"] for one in figures)),
        "run": lambda: last[-1].link,
    }
    return made[what]()


def web_nodes(what: str = "table") -> str:
    """The last scale-out and scale-in: their ``table``, or ``failed``, ``run``."""
    last = web_changes()
    figures = [one.figures for one in last]
    made: dict[str, Callable[[], str]] = {
        "table": lambda: table(CHANGE_COLUMNS, [change_cells(one) for one in last]),
        "failed": lambda: f"{_sum(figures, 'failed')} of {_sum(figures, 'requests')}",
        "run": lambda: last[-1].link,
    }
    return made[what]()


def broken(what: str = "table") -> str:
    """Changes that were broken off: their ``table``, or ``failed`` (where two nodes serve), ``orders``, ``run``."""
    last = broken_changes()
    kept = [one.figures for one in last if not one.figures["what"].startswith("another node dies")]
    figures = [one.figures for one in last]
    made: dict[str, Callable[[], str]] = {
        "table": lambda: table(BROKEN_COLUMNS, [broken_cells(one) for one in last]),
        "failed": lambda: f"{_sum(kept, 'failed')} of {_sum(kept, 'requests')}",
        "orders": lambda: f"{_sum(figures, 'orders_found')} of {_sum(figures, 'orders_acknowledged')}",
        "run": lambda: last[-1].link,
    }
    return made[what]()


def steps() -> str:
    """Seconds by step and node of the last resize whose steps were written down."""
    last = [one for one in of_kind(Kind.CHANGE, "step_seconds") if one.figures["change"] == "resize"][-1]
    by_node: dict[str, dict[str, float]] = last.figures["step_seconds"]
    names = list(dict.fromkeys(step for node in by_node.values() for step in node))
    rows = [[name, *(number(node.get(name)) for node in by_node.values())] for name in names]
    rows.append(["node", *(number(total) for total in last.figures["node_seconds"].values())])
    return table(["step", *by_node], rows) + f"\n\nRun: {last.link}, {change_name(last.figures)}."


def chaos(what: str, *names: str) -> str:
    """The failure suite: ``kept``, ``impossible``, ``lost``, ``human``, ``run``, or ``rows`` of some scenarios."""
    rows = chaos_rows()
    tried = [row for row in rows if row.customers]
    made: dict[str, Callable[[], str]] = {
        "kept": lambda: f"{sum(row.ok for row in tried)} of {len(tried)}",
        "impossible": lambda: str(len(rows) - len(tried)),
        "lost": lambda: (
            f"{sum(row.customers.orders_lost or 0 for row in tried if row.customers):,} of "
            f"{sum(row.customers.orders_acknowledged or 0 for row in tried if row.customers):,}"
        ),
        "human": lambda: str(sum(row.human_needed for row in tried)),
        "run": lambda: of_kind(Kind.CHAOS)[-1].link,
        "rows": lambda: table(COLUMNS, [cells(row) for row in rows if row.scenario in names]),
    }
    return made[what]()


# Cells.


def number(value: Any) -> str:
    """A figure as it is."""
    return NOTHING if value is None else f"{value:,}"


def seconds(value: float | None) -> str:
    """Seconds, with their unit."""
    return NOTHING if value is None else f"{value:g} s"


def gap(value: float | None) -> str:
    """A time without an answer, to the hundredth of a second."""
    return NOTHING if value is None else f"{value:.2f} s"


def minutes(value: float) -> str:
    """Seconds as minutes, with their unit."""
    return f"{value / 60:.1f} min"


def gibibytes(value: float) -> str:
    """MiB as GiB, with their unit."""
    return f"{value / 1024:.1f} GiB"


def highest(values: Iterable[float]) -> str:
    """The highest of several."""
    return f"{max(values):g}"


FORMS: dict[str, Callable[[Any], str]] = {
    "plain": number,
    "seconds": seconds,
    "minutes": minutes,
    "gib": gibibytes,
    "highest": highest,
}

CHANGE_COLUMNS = (
    "change",
    "requests",
    "failed",
    "longest gap",
    "orders found ÷ acknowledged",
    "p99 before",
    "p99 during",
    "during ÷ before",
    "slowest answer",
    "run",
)
BROKEN_COLUMNS = (
    "what broke",
    "requests",
    "failed",
    "longest gap",
    "orders found ÷ acknowledged",
    "p99 before",
    "p99 during",
    "run",
)


def change_cells(one: Result) -> list[str]:
    """A change as a row."""
    figures = one.figures
    factor = ratio(figures)
    return [
        change_name(figures),
        number(figures.get("requests")),
        number(figures.get("failed")),
        gap(figures.get("longest_gap_seconds")),
        orders(figures),
        milliseconds(figures.get("p99_before_ms")),
        milliseconds(figures.get("p99_during_ms")),
        NOTHING if factor is None else f"{factor:.1f} ×",
        milliseconds(figures.get("longest_ms")),
        one.link,
    ]


def broken_cells(one: Result) -> list[str]:
    """A broken change as a row."""
    figures = one.figures
    return [
        figures["what"],
        number(figures["requests"]),
        number(figures["failed"]),
        gap(figures["longest_gap_seconds"]),
        orders(figures),
        milliseconds(figures.get("p99_before_ms")),
        milliseconds(figures.get("p99_during_ms")),
        one.link,
    ]


def change_name(figures: Mapping[str, Any]) -> str:
    """What was changed."""
    if figures.get("from") and figures.get("to"):
        return f"{figures['from']} → {figures['to']}"
    nodes = figures.get("web_nodes")
    return f"{figures['change']}{f', web nodes: {nodes}' if nodes else ''}"


def ratio(figures: Mapping[str, Any]) -> float | None:
    """p99 during a change ÷ before it; ``p99_ratio`` where that was told of figures that had been rounded."""
    if "p99_ratio" in figures:
        return float(figures["p99_ratio"])
    before, during = figures.get("p99_before_ms"), figures.get("p99_during_ms")
    return during / before if before and during else None


def orders(figures: Mapping[str, Any]) -> str:
    """Orders found exactly once on every node, of those acknowledged."""
    if "orders_acknowledged" not in figures:
        return NOTHING
    return f"{figures['orders_found']:,} of {figures['orders_acknowledged']:,}"


def milliseconds(value: float | None) -> str:
    """Milliseconds, with their unit."""
    return NOTHING if value is None else f"{value:,.0f} ms"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _sum(figures: Iterable[Mapping[str, Any]], key: str) -> str:
    return f"{sum(one[key] for one in figures):,}"


BLOCKS: dict[str, Block] = {
    "figure": figure,
    "run": run,
    "demo": demo,
    "overhead": overhead,
    "rotations": rotations,
    "web-nodes": web_nodes,
    "broken": broken,
    "steps": steps,
    "chaos": chaos,
}


# Whole pages.


def pages() -> dict[str, str]:
    """The page of all runs, and that of the failure suite."""
    return {f"{FOLDER}/README.md": all_runs(), f"{FOLDER}/failure-suite.md": failure_suite()}


HEAD = f"""{WRITTEN}

# Results

One JSON file a run. `bin/docs` makes the tables of [reliability.md](../reliability.md) and
[performance.md](../performance.md) from them.

Set `TRIVET_RESULTS=docs/results` for a command that measures: it leaves its file there. Such commands are `bin/demo`,
`bin/test`, `bin/test failures`, `benchmarks/*.py`, `trivet probe`, `trivet chaos`, and any change with `--probe`.
Put into `TRIVET_RESULTS_NOTE` what else ran on the machine. Run `bin/docs` afterwards.
`src/trivet/results.py` tells the keys.

Files whose names count (`-0001-`) were carried over from earlier pages, which did not tell the commit.
What was not written down is missing, or null; its cell says `{NOTHING}`.
"""


def all_runs() -> str:
    """The page of all runs, the newest first."""
    lines = [HEAD]
    for kind, name in NAMES.items():
        found = of_kind(kind)[::-1]
        if not found:
            continue
        lines += [f"## {name}", ""]
        if kind is Kind.CHAOS:
            lines += ["[The rows](failure-suite.md).", ""]
        columns, row = SHAPES[kind]
        lines += [table([*columns, "note"], [[*row(one), one.note or NOTHING] for one in found]), ""]
    return "\n".join(lines).replace("](results/", "](").rstrip("\n") + "\n"


def _plain(*keys: str) -> tuple[Sequence[str], Callable[[Result], Sequence[str]]]:
    columns = [key.replace("_", " ") for key in keys]
    return [*columns, "run"], lambda one: [*(_cell(one.figures.get(key)) for key in keys), one.link]


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_cell(item) for item in value)
    return NOTHING if value is None else f"{value:,}" if isinstance(value, (int, float)) else str(value)


def _overhead_cells(one: Result) -> Sequence[str]:
    figures = one.figures
    change = f"{figures['from']} → {figures['to']}" if "from" in figures else NOTHING
    ratios = ", ".join(f"{node['ratio']}" for node in figures["nodes"].values())
    return [change, ratios, one.link]


def _chaos_cells(one: Result) -> Sequence[str]:
    rows = [Row.from_dict(row) for row in one.figures["rows"]]
    return [str(len(rows)), str(sum(row.ok for row in rows)), one.link]


SHAPES: dict[Kind, tuple[Sequence[str], Callable[[Result], Sequence[str]]]] = {
    Kind.CHANGE: (CHANGE_COLUMNS, change_cells),
    Kind.BROKEN_CHANGE: (BROKEN_COLUMNS, broken_cells),
    Kind.CHAOS: (("scenarios", "as they should be", "run"), _chaos_cells),
    Kind.NODE_LOSS: _plain(
        "lost",
        "requests",
        "failed",
        "longest_gap_seconds",
        "longest_gap_own_address_seconds",
        "orders_acknowledged",
        "orders_lost",
        "seconds_until_healthy",
    ),
    Kind.CONVERGE: _plain(
        "first_converge_seconds", "bare_apt_seconds", "ratio", "second_converge_seconds", "idle_memory_total_mib"
    ),
    Kind.OVERHEAD: (("change", "seconds per node ÷ its services' own", "run"), _overhead_cells),
    Kind.PUSH: _plain("one_file_live_seconds", "one_file_live_worst_seconds", "unchanged_push_seconds"),
    Kind.AGENT: _plain("cpu_percent", "memory_mib"),
    Kind.DEMO: _plain("seconds", "lab_seconds", "converge_seconds", "upscale_seconds", "deploy_seconds", "warm"),
    Kind.TEST: _plain("seconds"),
    Kind.PROBE: _plain("requests", "failed", "longest_gap_seconds", "orders_acknowledged", "orders_found"),
}


def failure_suite() -> str:
    """The last row of each scenario, what was done in it, and its goal."""
    last = of_kind(Kind.CHAOS)[-1]
    text = [
        WRITTEN,
        "",
        "# The failure suite, row by row",
        "",
        f"The last row of each scenario; the newest run is {last.link}. "
        "[What a figure means](../reliability.md#what-failure-costs).",
        "",
        last.note,
        "",
        markdown(chaos_rows()).rstrip("\n"),
        "",
    ]
    return "\n".join(text).replace("](results/", "](")
