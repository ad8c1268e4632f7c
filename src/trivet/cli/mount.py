# SPDX-License-Identifier: GPL-3.0-or-later
"""``trivet mount``: the folders of the application that stay writable."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from trivet.api import load_environment
from trivet.api.inside import enter
from trivet.cli.change import Env, Json
from trivet.cli.inside import NodeName
from trivet.cli.output import Output, output_for

TOLD_EVERY_SECONDS = 2.0

app = typer.Typer(no_args_is_help=True, help="The application's mounts: list, download, upload.")

MountName = Annotated[str, typer.Argument(metavar="MOUNT", help="One that `trivet mount list` shows.")]


@app.command("list")
def list_mounts(env: Env, node: NodeName = "", json: Json = False) -> None:
    """Show the mounts of the application that serves."""
    environment = load_environment(env)
    output = output_for(json)
    inside = enter(environment, node)
    if json:
        output.data(inside.to_dict()["mounts"])
        return
    table = Table("mount", "of", title=f"mounts of {environment.name}")
    for path, shared in inside.mounts.items():
        table.add_row(escape(path), "all nodes" if shared else "each node")
    output.print(table)


@app.command("download")
def download(
    env: Env,
    mount: MountName,
    target: Annotated[Path, typer.Argument(metavar="DIR", help="Where to; made when it is not there.")],
    exclude: Annotated[
        list[str] | None, typer.Option(metavar="PATTERN", help="Leave these out; may be given again.")
    ] = None,
    node: NodeName = "",
    json: Json = False,
) -> None:
    """Bring the files of a mount here. What is here of the same name is replaced; nothing is removed.

    Example: trivet mount download production pub/media media --exclude 'cache'
    """
    environment = load_environment(env)
    output = output_for(json)
    inside = enter(environment, node, mount=mount)
    number = inside.download(mount, target, exclude or (), _Progress(output))
    _done(output, mount, str(target), number)


@app.command("upload")
def upload(
    env: Env,
    mount: MountName,
    source: Annotated[Path, typer.Argument(metavar="DIR", help="Its contents go into the mount.")],
    node: NodeName = "",
    json: Json = False,
) -> None:
    """Bring files into a mount. What is there of the same name is replaced; nothing is removed.

    Example: trivet mount upload production pub/media media
    """
    environment = load_environment(env)
    output = output_for(json)
    inside = enter(environment, node, mount=mount)
    number = inside.upload(mount, source, _Progress(output))
    _done(output, str(source), mount, number)


def _done(output: Output, source: str, target: str, number: int) -> None:
    if output.json:
        output.data({"from": source, "to": target, "files": number})
    else:
        output.print(f"{number} files: {escape(source)} to {escape(target)}")


class _Progress:
    """Tells now and then which file it is."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._number = 0
        self._told = time.monotonic()

    def __call__(self, name: str) -> None:
        self._number += 1
        if time.monotonic() - self._told > TOLD_EVERY_SECONDS:
            self._told = time.monotonic()
            self._output.event("progress", text=escape(f"{self._number} files, now {name}"))
