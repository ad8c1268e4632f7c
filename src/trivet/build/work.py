# SPDX-License-Identifier: GPL-3.0-or-later
"""What the steps of a build share: the builder, the application, the log, and how a program runs in the build."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trivet.build.builder import INSIDE, Builder
from trivet.build.log import Log
from trivet.build.recipe import Needs
from trivet.build.settings import BuildSettings
from trivet.build.tree import Contents
from trivet.project.application import Application

ENVIRONMENT = f"{INSIDE}/environment"
"""Sets the build's environment, secrets included; the builder's user alone reads it."""


@dataclass(frozen=True)
class Work:
    """A build as it runs.

    Attributes:
        builder: Has the application's files in /app.
        application: What its file says.
        settings: What the build is given.
        needs: What the builder is made of.
        contents: The files.
        folder: The folder of this machine that has the files.
        log: Takes what is done and said.
    """

    builder: Builder
    application: Application
    settings: BuildSettings
    needs: Needs
    contents: Contents
    folder: Path
    log: Log

    def run(self, command: Sequence[str]) -> int:
        """The exit code of a program that runs in the build's environment; what it says is logged.

        Raises:
            BuildError: It took too long.
        """
        return self.builder.execute(
            ["sh", "-c", f". {ENVIRONMENT} && exec {shlex.join(command)}"],
            out=self.log.said,
            err=self.log.warning,
            seconds=self.settings.hook_seconds,
        )

    def asked(self, command: Sequence[str], given: str = "") -> subprocess.CompletedProcess[str]:
        """The result of a program that runs in the build's environment, unlogged.

        Args:
            command: Program and arguments.
            given: What it reads on its standard input.
        """
        return self.builder.ask_script(f". {ENVIRONMENT} && exec {shlex.join(command)}", given)

    def text_of(self, name: str) -> str:
        """A file of the application's root as it came; empty when there is none.

        A link is none: it may lead to a file of this machine, which the build's user must not read.
        """
        path = self.folder / name
        if name not in self.contents.files or path.is_symlink():
            return ""
        return path.read_text(encoding="utf-8", errors="replace")
