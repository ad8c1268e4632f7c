# SPDX-License-Identifier: GPL-3.0-or-later
"""Clones of the demo shop that are pushed to a lab."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from trivet.lab import LabState

PUSH_SECONDS = 900


class Clone:
    """A work tree of the demo shop.

    Args:
        folder: Where it is.
    """

    def __init__(self, lab: LabState, folder: Path) -> None:
        self.lab = lab
        self.folder = folder
        assert lab.builder is not None
        self.address = lab.builder.address

    @property
    def ssh(self) -> list[str]:
        """SSH as a client that may push."""
        files = self.lab.ssh_key.parent
        known = ["-o", f"UserKnownHostsFile={files / 'known_hosts'}", "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"]
        return ["ssh", "-i", str(files / "push_ed25519"), *known]

    def git(self, *words: str) -> str:
        """What Git answers, which must succeed."""
        identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
        return subprocess.run(
            ["git", *identity, *words],
            cwd=self.folder,
            check=True,
            capture_output=True,
            text=True,
            env=self._environment,
        ).stdout.strip()

    def commit(self, *more: str) -> str:
        """Commit all there is; its id."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "a change", *more)
        return self.git("rev-parse", "HEAD")

    def push(self, what: str = "production") -> tuple[int, str]:
        """Push by force; exit code, and what the client saw."""
        done = self.begin(what)
        told = done.communicate(timeout=PUSH_SECONDS)[0]
        return done.returncode, told

    def begin(self, what: str = "production") -> subprocess.Popen[str]:
        """Begin a push by force."""
        return subprocess.Popen(
            ["git", "push", "--force", f"git@{self.address}:shop.git", what],
            cwd=self.folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def there(self) -> str:
        """The commit that the branch of the environment is at."""
        listed = self.git("ls-remote", f"git@{self.address}:shop.git", "refs/heads/production")
        return listed.split("\t")[0]

    @property
    def _environment(self) -> dict[str, str]:
        return {**os.environ, "GIT_SSH_COMMAND": " ".join(self.ssh)}
