# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers, times and the answer of a report, in words. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from trivet.probe.report import Orders
from trivet.report.change import Attempt, Change, Ending, Outcome
from trivet.report.measured import Measured

UNKNOWN = "–"
_LONGEST_REASON = 200
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")

GOOD, WARNING, BAD = "good", "warning", "bad"

# What happened to the nodes, by kind of change; a kind that is not here is told by its summary.
_DEEDS: Mapping[str, tuple[str, str]] = {
    "resize": ("went", "went"),
    "restart": ("was restarted", "were restarted"),
    "patch": ("got its packages updated", "got their packages updated"),
    "replace": ("was replaced by a new machine", "were replaced by new machines"),
    "rollback": ("was taken back", "were taken back"),
    "scale-out": ("was added", "were added"),
    "scale-in": ("was taken away", "were taken away"),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """The first line of a report; `tone` is good, warning or bad."""

    text: str
    tone: str


def count(number: float) -> str:
    """A whole number with separators."""
    return f"{number:,.0f}"


def duration(seconds: float | None) -> str:
    """Seconds as one reads them: "8.4 s", "5 min 12 s", "1 h 3 min"."""
    if seconds is None:
        return UNKNOWN
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def in_seconds(value: float | None) -> str:
    """Seconds without another unit, to compare them: "1.6 s", "241 s"."""
    return UNKNOWN if value is None else f"{value:.1f} s" if value < 99.95 else f"{value:,.0f} s"


def percent(share: float) -> str:
    """A share from 0 to 1, never rounded up to all nor down to nothing: "71 %", "below 1 %"."""
    return "below 1 %" if 0 < share < 0.01 else f"{math.floor(share * 100)} %"


def latency(milliseconds: float | None) -> str:
    """Milliseconds as one reads them: "8.4 ms", "412 ms", "1.3 s"."""
    if milliseconds is None:
        return UNKNOWN
    if milliseconds >= 999.5:
        return f"{milliseconds / 1000:.1f} s" if milliseconds < 9950 else f"{milliseconds / 1000:.0f} s"
    return f"{milliseconds:.1f} ms" if milliseconds < 9.95 else f"{milliseconds:.0f} ms"


def clock(at: float | None) -> str:
    """The time of day in UTC of epoch seconds."""
    return UNKNOWN if at is None else f"{datetime.fromtimestamp(at, UTC):%H:%M:%S}"


def date_and_time(at: float | None) -> str:
    """Day and time in UTC of epoch seconds."""
    return UNKNOWN if at is None else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"


def nodes(number: int, kind: str = "") -> str:
    """So many nodes: "one node", "three nodes", "12 web nodes".

    :param kind: what nodes they are, before the word.
    """
    return f"{_in_words(number)} {kind}{' ' if kind else ''}{'node' if number == 1 else 'nodes'}"


def answer(change: Change, measured: Measured | None) -> Answer:
    """What the reader wants to know, in one line."""
    broken = _not_healthy_after(change)
    if change.outcome is Outcome.DONE:
        text, tone = _told_of_done(change, measured)
        if broken:
            text, tone = f"{text[:-1]}, but {change.environment or 'the environment'} was {broken} afterwards.", BAD
        return Answer(text, tone)
    text = f"{_told_of_unfinished(change)} {_capital(_availability(measured))}."
    return Answer(text, BAD if change.outcome is Outcome.HALTED else _worse(WARNING, _tone(measured)))


def deed(change: Change, number: int) -> str:
    """What happened to so many nodes: "three nodes went from size 6 to 12"."""
    if change.kind not in _DEEDS:
        return f"{nodes(number)} went through {change.summary or change.kind or 'a change'}"
    verb = _DEEDS[change.kind][number != 1]
    return f"{nodes(number, _what(change))} {verb}{_sizes(change)}{_numbers(change)}"


def orders(found: Orders) -> tuple[str, str]:
    """Acknowledged orders, or what the contract calls so, against those found: a tone and a sentence."""
    if not found.acknowledged:
        return WARNING, "none was acknowledged"
    if found.missing or found.duplicates:
        return BAD, f"{count(found.missing)} missing, {count(found.duplicates)} made more than once"
    if not found.verified:
        return WARNING, "not verified on every node"
    return GOOD, "acknowledged and found once on every node"


def coverage(measured: Measured) -> str | None:
    """Which part of the change the probe saw, when it was not all of it."""
    if measured.whole or measured.share is None:
        return None
    if not measured.share:
        return "The probe did not run during the change: its figures say nothing about it."
    return (
        f"The probe saw {percent(measured.share)} of the change, "
        f"from {clock(measured.began)} to {clock(measured.ended)} UTC: availability in the rest was not measured."
    )


def _told_of_done(change: Change, measured: Measured | None) -> tuple[str, str]:
    runs = f" and {_in_words(change.runs)} runs" if change.runs > 1 else ""
    happened = f"{deed(change, len(change.node_names))} in {duration(change.seconds)}{runs}"
    if measured is None:
        return f"{_capital(happened)}; availability was not measured.", WARNING
    return f"{_capital(_availability(measured))}{'' if measured.whole else ','} while {happened}.", _tone(measured)


def _told_of_unfinished(change: Change) -> str:
    after = f" after {duration(change.seconds)}" if change.seconds else ""
    total = len(change.node_names)
    finished = len(change.finished_nodes)
    of_all = f"{_in_words(finished) if finished else 'none'} of {nodes(total, _what(change))}"
    done = f"{of_all} {'was' if finished < 2 else 'were'} done."
    if not total:
        done = "no node was touched."
    match change.outcome:
        case Outcome.HALTED:
            return f"Halted{after}{_reason(change)}; {done}"
        case Outcome.STOPPED:
            return f"Stopped on request{after}; {done}"
        case Outcome.ABORTED:
            return f"Aborted{after}; {done}"
        case Outcome.ROLLED_BACK:
            return f"Rolled back{after}: the change was taken back."
    if not change.events and not change.attempts and change.began is None:
        return "Nothing is known of this change: its journal is empty."
    where = next((item for item in reversed(change.attempts) if item.ending is Ending.CUT_OFF), None)
    return f"Not finished: the journal ends{_at(change, where)}{after}; {done}"


def _reason(change: Change) -> str:
    failed = next((item for item in reversed(change.attempts) if item.ending is Ending.FAILED), None)
    if failed is not None:
        return f"{_at(change, failed)}: {_first_line(failed.error or 'no reason was written')}"
    halts = [event.text for event in change.events if event.kind == "halted" and event.text]
    return f": {_first_line(halts[-1])}" if halts else ""


def _at(change: Change, attempt: Attempt | None) -> str:
    if attempt is None:
        return " between two steps"
    together = [item.node for item in change.attempts if (item.step, item.began) == (attempt.step, attempt.began)]
    return f" at {', '.join(together)}, step {attempt.step}"


def _availability(measured: Measured | None) -> str:
    if measured is None:
        return "availability was not measured"
    during, found = measured.during, measured.report.orders
    if not measured.share and measured.share is not None:
        return "availability was not measured (the probe ran at another time)"
    told = [f"{count(during.failures)} of {count(during.requests)} requests failed"]
    if not during.requests:
        told = ["no request was made"]
    if measured.failed_outside:
        told.append(f"{count(measured.failed_outside)} more before or after it")
    if measured.report.unfinished:
        told.append(f"{count(measured.report.unfinished)} were cut short")
    if found and found.acknowledged and orders(found)[0] != GOOD:
        told.append(f"{measured.report.contract.orders}: {orders(found)[1]}")
    text = told[0] + (f" ({', '.join(told[1:])})" if told[1:] else "")
    if measured.whole or measured.share is None:
        return text
    return f"{text} in the {percent(measured.share)} of the time that the probe saw"


def _tone(measured: Measured | None) -> str:
    if measured is None:
        return WARNING
    report = measured.report
    if report.total.failures or (report.orders and (report.orders.missing or report.orders.duplicates)):
        return BAD
    return GOOD if report.ok and measured.whole and measured.during.requests else WARNING


def _worse(one: str, other: str) -> str:
    return max(one, other, key=(GOOD, WARNING, BAD).index)


def _not_healthy_after(change: Change) -> str | None:
    after = change.after
    return None if after is None or after.healthy else after.state or "in an unknown state"


def _sizes(change: Change) -> str:
    before, after = change.size_before, change.size_after
    if after is None or (change.kind != "resize" and before == after):
        return ""
    return f" from size {before} to {after}" if before is not None else f" to size {after}"


def _numbers(change: Change) -> str:
    if change.web_nodes_before is None or change.web_nodes_after is None:
        return ""
    return f" ({change.web_nodes_before} before, {change.web_nodes_after} after)"


def _what(change: Change) -> str:
    return "" if change.web_nodes_after is None else "web"


def _first_line(text: str) -> str:
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return line if len(line) <= _LONGEST_REASON else line[:_LONGEST_REASON].rstrip() + " …"


def _in_words(number: int) -> str:
    return _NUMBERS[number] if number < len(_NUMBERS) else str(number)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
