# SPDX-License-Identifier: GPL-3.0-or-later
"""Deploys: from a folder, a commit or a release to a live application, and the way back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from trivet.build import BuildSettings, Release, Store
from trivet.deploy import WHAT_HAPPENS, DeployPlan, DeployReport, Deploys, Source, Step
from trivet.deploy.compose import Composed
from trivet.deploy.source import Opened, release_store
from trivet.errors import InputError
from trivet.model import Environment

__all__ = [
    "WHAT_HAPPENS",
    "BuildSettings",
    "DeployPlan",
    "DeployReport",
    "Deploys",
    "Ready",
    "Release",
    "Source",
    "Step",
    "Store",
    "planned",
    "ready",
    "release_store",
    "releases",
    "variables_of",
]

Say = Callable[[str], None]
"""Takes a line of the log."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A deploy that is built and planned.

    :param plan: what would be done; with refusals when it is not to be done now.
    """

    plan: DeployPlan
    composed: Composed
    release: Release


@contextmanager
def ready(environment: Environment, deploys: Deploys, source: Source, say: Say) -> Iterator[Ready]:
    """Check the project, build its release and plan the deploy. Nothing of the environment is touched.

    :param say: takes each line of the log.
    :raises TrivetError: the files are wrong, the release cannot be built, or the environment cannot run it.
    """
    with source.opened(environment, say) as opened:
        yield planned(environment, deploys, opened, BuildSettings(project=environment.name), say)


def planned(environment: Environment, deploys: Deploys, opened: Opened, settings: BuildSettings, say: Say) -> Ready:
    """Build the release of a checked project and plan the deploy. Nothing of the environment is touched.

    :param say: takes each line of the build's log.
    :raises TrivetError: the release cannot be built, or the environment cannot run it.
    """
    custom = variables_of(environment)
    deploys.check(opened, settings)
    release = opened.release(environment, settings, say)
    composed = deploys.composed(opened, release, custom)
    return Ready(deploys.plan(opened, release, composed), composed, release)


def variables_of(environment: Environment) -> dict[str, str]:
    """The variables of an environment: ``trivet_variables``, and the sensitive ones of the vault.

    :raises InputError: they are no dictionary of plain values.
    """
    found: dict[str, str] = {}
    for key in ("trivet_variables", "trivet_sensitive_variables"):
        given = environment.variables.get(key) or {}
        if not isinstance(given, Mapping) or not all(isinstance(value, str | int | float) for value in given.values()):
            raise InputError(f"{environment.inventory}: {key} takes a dictionary of plain values")
        found |= {str(name): str(value) for name, value in given.items()}
    return found


def releases(environment: Environment) -> dict[str, dict[str, Any]]:
    """Releases and instances of each node that answers."""
    with Deploys(environment) as deploys:
        return deploys.listed()
