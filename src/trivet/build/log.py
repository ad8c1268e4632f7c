# SPDX-License-Identifier: GPL-3.0-or-later
"""The log of a build: told line by line while it runs, kept as a file, without secrets.

The words are the platform's: a line of a step is indented by two blanks, what a program says by four, and ``W: ``
stands before what it says on standard error.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from trivet.build.secrets import Secrets

LONGEST_LINE = 65536


class Log:
    """Takes the lines of a build.

    Args:
        file: Where it is kept.
        output: Is told each line at once.
        secrets: What no line may have.
    """

    def __init__(self, file: Path, output: Callable[[str], None], secrets: Secrets) -> None:
        self._output = output
        self._secrets = secrets
        self._stream: TextIO = file.open("w", encoding="utf-8")

    def line(self, text: str) -> None:
        """Something about the build as a whole."""
        masked = self._secrets.masked(text)
        self._stream.write(masked + "\n")
        self._stream.flush()
        self._output(masked)

    def step(self, text: str) -> None:
        """A step begins."""
        self.line(f"  {text}")

    def said(self, text: str) -> None:
        """A program said a line on standard output."""
        self.line(f"    {text}")

    def warning(self, text: str) -> None:
        """A program said a line on standard error, or something is probably not meant."""
        self.line(f"    W: {text}")

    def close(self) -> None:
        """Nothing more comes."""
        self._stream.close()


class Lines:
    """Makes lines of the bytes that a program writes.

    A line without end is left out, and that is told: cut in pieces, it could have half a secret in each.

    Args:
        take: Is given each line, without its end.
    """

    def __init__(self, take: Callable[[str], None]) -> None:
        self._take = take
        self._rest = b""
        self._left_out = False

    def feed(self, chunk: bytes) -> None:
        """Take what came; every whole line is told."""
        *whole, rest = chunk.split(b"\n")
        for part in whole:
            self._keep(part)
            self.end()
        self._keep(rest)

    def end(self) -> None:
        """The line ends, or the program did."""
        if self._left_out:
            self._take(f"(a line of more than {LONGEST_LINE} bytes is left out)")
        else:
            # A progress bar overwrites its line: what is seen at its end counts.
            self._take(self._rest.decode("utf-8", errors="replace").rstrip("\r").rpartition("\r")[2])
        self._rest, self._left_out = b"", False

    def close(self) -> None:
        """The program ended; a last line without an end is told."""
        if self._rest or self._left_out:
            self.end()

    def _keep(self, part: bytes) -> None:
        self._rest += part
        if self._left_out or len(self._rest) > LONGEST_LINE:
            self._rest, self._left_out = b"", True
