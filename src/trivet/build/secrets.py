# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps the values of secrets out of logs and releases."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

SHORTEST = 6
"""Of a value that is looked for: a shorter one stands everywhere by chance."""
MASK = "***"


class Secrets:
    """The values of a build's secrets.

    A value that is a JSON document (``COMPOSER_AUTH``) is as many secrets as it has texts, names of users excepted; of
    one with several lines (a key), each line is one for the log, which is told by lines.

    Args:
        secrets: By their names.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        whole = {value for text in secrets.values() for value in _values(text) if len(value) >= SHORTEST}
        lines = {line.strip() for value in whole for line in value.splitlines() if len(line.strip()) >= SHORTEST}
        # The longest first, so that one that begins as another is masked whole.
        self._in_logs = sorted(whole | lines, key=lambda value: (-len(value), value))
        self._in_files = [value.encode() for value in sorted(whole)]

    @property
    def overlap(self) -> int:
        """How many bytes of a piece of a file are to be looked at again with the next one."""
        return max((len(value) - 1 for value in self._in_files), default=0)

    def masked(self, text: str) -> str:
        """The text without any secret."""
        for value in self._in_logs:
            text = text.replace(value, MASK)
        return text

    def stand_in(self, content: bytes) -> bool:
        """Whether a secret stands in the content."""
        return any(value in content for value in self._in_files)


def _values(text: str) -> Iterator[str]:
    yield text.strip()
    if text.lstrip().startswith("{"):
        try:
            yield from _texts(json.loads(text))
        except ValueError:
            return


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key != "username":
                yield from _texts(item)
