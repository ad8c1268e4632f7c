# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading what a flag says of itself, whoever wrote it."""

from __future__ import annotations

from typing import Any

from trivet.health.facts import Flag


def flag_of(content: Any) -> Flag:
    """A flag from the JSON that it was stored as; what is missing or does not fit is left unknown."""
    if not isinstance(content, dict):
        return Flag()
    return Flag(
        owner=str(content.get("owner") or "unknown"),
        since=moment(content.get("since")),
        expires=moment(content.get("expires")),
    )


def moment(value: Any) -> float | None:
    """Epoch seconds; None when the value is no number."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
