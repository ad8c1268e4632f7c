# SPDX-License-Identifier: GPL-3.0-or-later
"""``trivet build``: a release of an application, on this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from trivet.api import (
    BuildSettings,
    Release,
    build_release,
    check_project,
    clear_build_cache,
    prepare_for_builds,
    tree_of_directory,
)
from trivet.cli.output import Output, output_for
from trivet.cli.project import shown
from trivet.errors import InputError


def build(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The root of the repository.")] = Path(),
    application: Annotated[
        str | None, typer.Option(metavar="NAME", help="The application to build, when the project has several.")
    ] = None,
    project: Annotated[
        str,
        typer.Option(metavar="NAME", help="The project: MAGENTO_CLOUD_PROJECT. Builds of one project share a cache."),
    ] = BuildSettings.project,
    variable: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A variable that the build may see; env:NAME, php:NAME. Repeat it."),
    ] = None,
    secret: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A secret, whose value is this command's environment variable of that name. Neither the log nor a"
            " release gets it. Repeat it.",
        ),
    ] = None,
    network: Annotated[
        bool, typer.Option("--network/--no-network", help="Whether the build reaches the network.")
    ] = BuildSettings.network,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Build, though a release of this tree is there.")] = False,
    clear_cache: Annotated[
        bool, typer.Option("--clear-cache", help="Empty the project's caches of composer and npm first.")
    ] = False,
    prepare: Annotated[
        bool, typer.Option("--prepare", help="Install on this machine what builds need, and build nothing.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print JSON lines: the log, and the release at the end.")
    ] = False,
) -> None:
    """Build a release of an application: once for a tree, in a throw-away unprivileged container.

    Checks the project's files, copies what Git knows (changes that are not committed, too) into a new container with
    the PHP or Node.js that the application asks for, installs its dependencies, runs the build hook as a plain user in
    /app, and makes one archive of the result, without .git and .magento. Relationships and routes are not there yet.

    The release goes to /var/lib/trivet/releases ($TRIVET_RELEASES): archive.tar.zst, release.json (the manifest),
    sbom.cdx.json (what is in it, CycloneDX) and build.log. A tree that was built with the same settings is not built
    again. A build that fails changes nothing; its log stays in the folder "failed".

    Needs root and Debian, for Incus. The first build makes an image of the builder in about a minute.

    Exit code 0: the release is there. 1: the build failed. 2: the files are wrong, or DIR cannot be read.

    Examples:

      trivet build ~/shop

      trivet build ~/shop --application storefront --variable env:BUILD_MODE=fast

      COMPOSER_AUTH="$(cat auth.json)" trivet build ~/shop --secret COMPOSER_AUTH --json
    """
    output = output_for(json)
    if prepare:
        prepare_for_builds(lambda line: output.event("prepare", text=line))
        return
    checked = check_project(directory)
    if not checked.ok:
        if json:
            output.data(checked.to_dict())
        else:
            output.print(shown(checked))
        raise typer.Exit(2)
    settings = BuildSettings(
        project=project,
        variables=_variables(variable or []),
        secrets=_secrets(secret or []),
        network=network,
        rebuild=rebuild,
    )
    if clear_cache:
        cleared = clear_build_cache(project, application)
        output.event("cleared", text=f"caches emptied: {', '.join(cleared) or 'there were none'}")
    release = build_release(
        checked,
        tree_of_directory(directory),
        application=application,
        settings=settings,
        output=lambda line: _tell(output, line),
    )
    _show(output, release)


def _tell(output: Output, line: str) -> None:
    if output.json:
        output.event("log", text=line)
    else:
        typer.echo(line, err=True)


def _show(output: Output, release: Release) -> None:
    if output.json:
        output.data({**release.manifest, "directory": str(release.directory)})
        return
    files, size = release.manifest["files"], release.size_bytes
    output.print(escape(f"release {release.name}: {files} files, archive of {size} bytes in {release.directory}"))


def _variables(given: list[str]) -> dict[str, str]:
    variables = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InputError(f"--variable {text}: write NAME=VALUE")
        variables[name] = value
    return variables


def _secrets(names: list[str]) -> dict[str, str]:
    missing = [name for name in names if name.removeprefix("env:") not in os.environ]
    if missing:
        raise InputError(f"--secret {missing[0]}: this command has no environment variable of that name")
    return {name: os.environ[name.removeprefix("env:")] for name in names}
