# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows as a table: Markdown for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from trivet.chaos.row import Customers, Row
from trivet.errors import InputError

COLUMNS = (
    "scenario",
    "detected after",
    "recovered after",
    "failed reads",
    "failed writes",
    "longest gap",
    "on the other addresses",
    "on its own",
    "without orders",
    "orders lost",
    "human",
    "goal",
)
NOTHING = "–"


def cells(row: Row) -> tuple[str, ...]:
    """A row as text, in the order of ``COLUMNS``."""
    if row.customers is None:
        return row.scenario, *[NOTHING] * (len(COLUMNS) - 2), _goal(row)
    customers = row.customers
    return (
        row.scenario,
        _detected(row),
        _recovered(row),
        str(customers.failed_reads),
        str(customers.failed_writes),
        _seconds(customers.longest_gap),
        _seconds(customers.other_gap),
        _seconds(customers.home_gap),
        _seconds(customers.order_gap),
        _lost(customers),
        _human(row),
        _goal(row),
    )


def _lost(customers: Customers) -> str:
    if customers.orders_acknowledged is None:
        return NOTHING
    lost = "not known" if customers.orders_lost is None else str(customers.orders_lost)
    return f"{lost} of {customers.orders_acknowledged}"


def _goal(row: Row) -> str:
    if row.skipped is not None:
        return f"not possible: {row.skipped}"
    return "kept" if row.ok else "missed: " + "; ".join(row.missed)


def markdown(rows: Sequence[Row]) -> str:
    """The table, then what was done in each scenario, and what the verdict said where a human was needed."""
    lines = [_line(COLUMNS), _line(["---"] * len(COLUMNS)), *(_line(cells(row)) for row in rows), ""]
    lines += [f"- `{row.scenario}`: {row.sentence}. Goal: {row.goal}." for row in rows]
    for row in rows:
        if row.said:
            lines += [
                "",
                f"What `trivet status` said of `{row.scenario}`:",
                "",
                *(f"- {_plain(item)}" for item in row.said),
            ]
    return "\n".join(lines) + "\n"


def read_rows(path: Path) -> list[Row]:
    """The rows of an earlier run; none when there is no such file.

    :raises InputError: the file is something else, and must not be written over.
    """
    try:
        return [Row.from_dict(row) for row in json.loads(path.read_text(encoding="utf-8"))["rows"]]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path} exists and is no table of trivet chaos ({error!r}): give another --output") from error


def merged(known: Sequence[Row], fresh: Sequence[Row], order: Sequence[str]) -> list[Row]:
    """Earlier rows with the fresh ones in their places, in the order of the catalogue's names."""
    rows = {row.scenario: row for row in (*known, *fresh)}
    places = {name: place for place, name in enumerate(order)}
    return sorted(rows.values(), key=lambda row: places.get(row.scenario, len(places)))


def write(path: Path, rows: Sequence[Row], lab: str) -> Path:
    """Write the JSON file, and the Markdown table beside it; the latter's path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = path.with_suffix(".md")
    text = json.dumps({"lab": lab, "rows": [row.to_dict() for row in rows]}, indent=2, ensure_ascii=False)
    for file, content in ((path, text + "\n"), (table, markdown(rows))):
        fresh = file.with_name(file.name + ".new")
        fresh.write_text(content, encoding="utf-8")
        fresh.replace(file)
    return table


def _detected(row: Row) -> str:
    return NOTHING if row.detected_after is None else f"{row.detected_after:.1f} s ({row.detected_by})"


def _recovered(row: Row) -> str:
    if row.recovered_after is None:
        return "never" if row.left else "by hand"
    return f"{row.recovered_after:.1f} s{'' if row.alone else ' after the undoing'}"


def _human(row: Row) -> str:
    words = "yes" if row.human_needed else "no"
    return f"{words} (fails closed)" if row.human_expected else words


def _seconds(seconds: float | None) -> str:
    return NOTHING if seconds is None else f"{seconds:.2f} s"


def _line(words: Sequence[str]) -> str:
    return "| " + " | ".join(_plain(word) for word in words) + " |"


def _plain(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
