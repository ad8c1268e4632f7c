# SPDX-License-Identifier: GPL-3.0-or-later
"""What a command prints: text with live progress for people, or JSON lines for programs."""

from __future__ import annotations

import json as json_module
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console

PIPED_COLUMNS = 160

Progress = Callable[[str], None]


class Output:
    """Prints results on standard output and progress on standard error.

    :param json: JSON lines instead of text.
    """

    def __init__(self, json: bool) -> None:
        self.json = json
        # Rich takes 80 columns where there is no terminal: a table in a log or a pipe would be folded to be unreadable.
        piped = not sys.stdout.isatty() and "COLUMNS" not in os.environ
        self._out = Console(highlight=False, width=PIPED_COLUMNS if piped else None)
        self._err = Console(stderr=True, highlight=False)
        self._started = time.monotonic()

    def data(self, value: Any) -> None:
        """One JSON document on one line."""
        sys.stdout.write(json_module.dumps(value, default=str) + "\n")
        sys.stdout.flush()

    def print(self, thing: Any) -> None:
        """Text or a Rich renderable."""
        self._out.print(thing)

    def event(self, kind: str, /, **values: Any) -> None:
        """Something happened: a JSON line, or a line of progress with the time since the start."""
        if self.json:
            self.data({"event": kind, "at": round(time.time(), 3), **values})
            return
        elapsed = int(time.monotonic() - self._started)
        words = values.get("text") or " ".join(f"{value}" for value in values.values())
        self._err.print(f"[dim]{elapsed // 60:3d}:{elapsed % 60:02d}[/dim]  {words}", soft_wrap=True)

    @contextmanager
    def task(self, name: str) -> Iterator[Progress]:
        """A piece of long work; yields a function that tells a step of it."""
        yield lambda text: self.event("progress", task=name, text=f"{name}: {text}")


def output_for(json: bool) -> Output:
    """The output of a command."""
    return Output(json)
