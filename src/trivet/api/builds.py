# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds: a release of a project's application on this machine, and the cache that builds share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from trivet.build import BuildSettings, Release, Store, Tree, build
from trivet.build import clear_cache as _clear_cache
from trivet.build.builder import PACKAGES
from trivet.deploy.source import keep_project
from trivet.errors import InputError
from trivet.grid import machine
from trivet.paths import releases_directory
from trivet.project import Project
from trivet.project.application import Application


def build_release(
    project: Project,
    tree: Tree,
    *,
    application: str | None = None,
    settings: BuildSettings | None = None,
    store: Store | None = None,
    output: Callable[[str], None] = lambda line: None,
) -> Release:
    """Build a release of an application, or take the one that was built of the same.

    Args:
        project: What the files say; without errors.
        tree: The files.
        application: Its name; needed when the project has several.
        settings: What the build is given.
        store: Where the release goes; by default this machine's own.
        output: Is told each line of the log at once.

    Raises:
        InputError: The project has errors, or there is no such application.
        BuildError: It could not be built.
        GridError: This machine cannot make containers.
    """
    if not project.ok:
        raise InputError(
            f"the project has {len(project.errors)} errors; nothing was built", f"trivet project check {tree.directory}"
        )
    release = build(
        tree,
        application_named(project.applications, application),
        store=store or Store(releases_directory()),
        settings=settings or BuildSettings(),
        output=output,
    )
    keep_project(tree, project, release)
    return release


def prepare_for_builds(progress: Callable[[str], None]) -> None:
    """Have all on this machine that builds need: packages, Incus and its storage pool. Harmless when it is all there.

    Args:
        progress: Is told what is done.

    Raises:
        GridError: A step fails, or this is not root's process.
    """
    machine.prepare(progress, PACKAGES)


def application_named(applications: Sequence[Application], name: str | None) -> Application:
    """An application of a project.

    Args:
        applications: Those that it has.
        name: None for the only one.

    Raises:
        InputError: There is none of that name, or there are several to choose from.
    """
    names = [application.name for application in applications]
    if name is None and len(applications) == 1:
        return applications[0]
    if name is None:
        raise InputError(f"the project has several applications: {', '.join(names)}; name one with --application")
    if name not in names:
        raise InputError(f"the project has no application {name!r}; it has {', '.join(names)}")
    return applications[names.index(name)]


def clear_build_cache(project: str, application: str | None = None, cache: Path | None = None) -> tuple[str, ...]:
    """Empty the caches that the builds of a project share (composer, npm, ``MAGENTO_CLOUD_CACHE_DIR``).

    Args:
        project: Name of the project.
        application: One of its applications; every one when None.
        cache: Folder with the caches; by default this machine's own.

    Returns:
        Names of the caches that were emptied.
    """
    return _clear_cache(cache or BuildSettings().cache, project, application)
