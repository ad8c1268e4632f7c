# SPDX-License-Identifier: GPL-3.0-or-later
"""What the grid machine knows of its projects, as the role ``grid`` wrote it. Standard library alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from trivet.errors import InputError

FILE = Path("/etc/trivet/projects.json")
REPOSITORIES = Path("/srv/trivet/git")
ACTIVITIES = Path("/srv/trivet/activities")
CONVERGE = "trivet converge ENV, on the controller"


@dataclass(frozen=True, slots=True)
class Project:
    """A project of this machine.

    :param branches: the environment that a branch goes to, by the branch.
    :param pushers: who may push and fetch.
    """

    name: str
    branches: Mapping[str, str]
    pushers: tuple[str, ...]

    @property
    def repository(self) -> Path:
        """Its bare repository."""
        return REPOSITORIES / f"{self.name}.git"


@dataclass(frozen=True, slots=True)
class Settings:
    """All projects of this machine.

    :param queue_seconds: how long a push waits for another change of the same environment.
    """

    projects: Mapping[str, Project]
    queue_seconds: float

    def project(self, name: str) -> Project:
        """The project of a name.

        :raises InputError: there is none.
        """
        if name not in self.projects:
            raise InputError(f"this machine has no project {name!r}")
        return self.projects[name]


def read_settings(file: Path = FILE) -> Settings:
    """Read what the role wrote.

    :raises InputError: it is missing or cannot be read.
    """
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
        projects = {
            str(name): Project(str(name), dict(item["branches"]), tuple(item["pushers"]))
            for name, item in raw["projects"].items()
        }
        return Settings(projects, float(raw["queue_seconds"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{file} cannot be read: {error}", CONVERGE) from error
