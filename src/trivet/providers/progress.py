# SPDX-License-Identifier: GPL-3.0-or-later
"""How a provider tells what it is doing while a verb takes its minutes."""

from __future__ import annotations

from collections.abc import Callable

Tell = Callable[[str], None]


def silent(_words: str) -> None:
    """For whom progress is of no interest."""
