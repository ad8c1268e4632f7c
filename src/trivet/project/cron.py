# SPDX-License-Identifier: GPL-3.0-or-later
"""Cron specifications as the platform takes them: five fields, ``0/5`` and names of days and months, ``H``."""

from __future__ import annotations

import re

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
