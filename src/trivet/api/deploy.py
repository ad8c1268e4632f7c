# SPDX-License-Identifier: GPL-3.0-or-later
"""Deploys: from a folder, a commit or a release to a live application, and the way back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from trivet.ansible.variables import variables_of
from trivet.build import BuildSettings, Release, Store
from trivet.deploy import WHAT_HAPPENS, DeployPlan, DeployReport, Deploys, Source, Step
from trivet.deploy.compose import Composed
from trivet.deploy.source import Opened, release_store
from trivet.model import Environment
from trivet.services.proxy.hold import REQUEST_SECONDS

__all__ = [
    "PATIENCE_SECONDS",
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

PATIENCE_SECONDS = REQUEST_SECONDS + 10.0
"""How long a customer of the probe waits beside a deploy: a request that is held is answered late, and did not fail."""

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
def ready(
    environment: Environment, deploys: Deploys, source: Source, say: Say, *, leave_data: bool = False
) -> Iterator[Ready]:
    """Check the project, build its release and plan the deploy. Nothing of the environment is touched.

    :param leave_data: the release may leave data of the one that serves behind unused.
    :param say: takes each line of the log.
    :raises TrivetError: the files are wrong, the release cannot be built, or the environment cannot run it.
    """
    with source.opened(environment, say) as opened:
        settings = BuildSettings(project=environment.name)
        yield planned(environment, deploys, opened, settings, say, leave_data=leave_data)


def planned(
    environment: Environment,
    deploys: Deploys,
    opened: Opened,
    settings: BuildSettings,
    say: Say,
    *,
    leave_data: bool = False,
) -> Ready:
    """Build the release of a checked project and plan the deploy. Nothing of the environment is touched.

    :param say: takes each line of the build's log.
    :raises TrivetError: the release cannot be built, or the environment cannot run it.
    """
    custom = variables_of(environment)
    deploys.check(opened, settings)
    release = opened.release(environment, settings, say)
    composed = deploys.composed(opened, release, custom)
    opened.keep(release)
    return Ready(deploys.plan(opened, release, composed, leave_data=leave_data), composed, release)


def releases(environment: Environment) -> dict[str, dict[str, Any]]:
    """Releases and instances of each node that answers."""
    with Deploys(environment) as deploys:
        return deploys.listed()
