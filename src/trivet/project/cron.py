# SPDX-License-Identifier: GPL-3.0-or-later
"""Cron specifications as the platform takes them: five fields, ``0/5`` and names of days and months, ``H``."""

from __future__ import annotations

import re
import zlib

FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of the month", 1, 31), ("month", 1, 12), ("day of the week", 0, 7))
MONTHS = dict(
    zip(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
        range(1, 13),
        strict=True,
    )
)
DAYS = dict(zip(("sun", "mon", "tue", "wed", "thu", "fri", "sat"), range(7), strict=True))
_PART = re.compile(r"^(?P<first>\*|h(?:\(\d+-\d+\))?|\w+)(?:-(?P<last>\w+))?(?:/(?P<step>\d+))?$")


def problem(spec: str) -> str | None:
    """What is wrong with a specification, as a sentence; None when nothing is."""
    parts = spec.split()
    if len(parts) != len(FIELDS):
        count = {4: "four", 6: "six", 7: "seven"}.get(len(parts), str(len(parts)))
        return f"{count} fields; a cron specification has five, and nothing runs more often than once a minute"
    for text, (name, low, high) in zip(parts, FIELDS, strict=True):
        for part in text.split(","):
            if not _fits(part.lower(), low, high):
                return f"`{part}` is no {name}; it is from {low} to {high}, or a list, a range or a step of these"
    return None


def _fits(part: str, low: int, high: int) -> bool:
    match = _PART.match(part)
    if match is None or match["step"] == "0":
        return False
    if match["first"].startswith(("*", "h")):
        return match["last"] is None
    names = MONTHS if high == 12 else DAYS if high == 7 else {}
    ends = [names.get(word, int(word) if word.isdigit() else -1) for word in (match["first"], match["last"]) if word]
    return all(low <= end <= high for end in ends) and ends == sorted(ends)


def times(spec: str, seed: str) -> tuple[tuple[int, ...], ...]:
    """The minutes, hours, days of the month, months and days of the week (0 is Sunday) of a valid specification.

    Args:
        spec: five fields.
        seed: what ``H`` is drawn from, so that it is the same for one cron and spread over many.
    """
    found = [_numbers(text, low, high, seed) for text, (_, low, high) in zip(spec.split(), FIELDS, strict=True)]
    # Sunday is 0 and 7.
    found[-1] = {number % 7 for number in found[-1]}
    return tuple(tuple(sorted(numbers)) for numbers in found)


def any_day(spec: str) -> bool:
    """Whether a day that fits one of both day fields is enough: both are restricted (crontab(5))."""
    parts = spec.split()
    return not parts[2].startswith("*") and not parts[4].startswith("*")


def _numbers(text: str, low: int, high: int, seed: str) -> set[int]:
    found: set[int] = set()
    for part in text.lower().split(","):
        match = _PART.match(part)
        assert match is not None, f"{part} was checked"
        if match["first"].startswith("h"):
            found |= _drawn(match["first"], match["step"], low, 6 if high == 7 else high, seed)
        else:
            found |= _range(match, low, high)
    return found


def _drawn(first: str, step: str | None, low: int, high: int, seed: str) -> set[int]:
    """What ``H``, ``H(2-9)`` and ``H/5`` stand for."""
    bounds = re.fullmatch(r"h\((\d+)-(\d+)\)", first)
    begin, end = (int(bounds[1]), int(bounds[2])) if bounds else (low, high)
    room = end - begin + 1
    drawn = begin + zlib.crc32(seed.encode()) % (min(int(step), room) if step else room)
    return set(range(drawn, end + 1, int(step))) if step else {drawn}


def _range(match: re.Match[str], low: int, high: int) -> set[int]:
    names = MONTHS if high == 12 else DAYS if high == 7 else {}
    first, last = match["first"], match["last"]
    begin = low if first == "*" else _number(first, names)
    # `0/5` begins at 0 and goes on to the end, as `*/5` does.
    end = high if first == "*" or (match["step"] and last is None) else begin
    return set(range(begin, (_number(last, names) if last else end) + 1, int(match["step"] or 1)))


def _number(word: str, names: dict[str, int]) -> int:
    return names[word] if word in names else int(word)
