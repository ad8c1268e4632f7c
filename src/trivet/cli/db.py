# SPDX-License-Identifier: GPL-3.0-or-later
"""``trivet db``: the application's database."""

from __future__ import annotations

import contextlib
import gzip
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Annotated

import typer

from trivet.api import load_environment
from trivet.api.inside import Inside, enter
from trivet.cli.change import Env, Json
from trivet.cli.inside import NodeName, become
from trivet.cli.output import output_for
from trivet.errors import InputError

MIB = 1024 * 1024
TOLD_EVERY_SECONDS = 5.0
OURS = 0o600
"""A dump has customers in it."""

app = typer.Typer(no_args_is_help=True, help="The application's database: SQL, and a dump of it.")

Relationship = Annotated[
    str, typer.Option("--relationship", "-r", metavar="NAME", help="Which one, by its name in the application's file.")
]


@app.command("sql")
def sql(
    env: Env,
    query: Annotated[str, typer.Argument(metavar="[QUERY]", help="Run this; else type, or pipe SQL in.")] = "",
    relationship: Relationship = "database",
    node: NodeName = "",
) -> None:
    """Open a client of the database, with the application's own account.

    Example: trivet db sql production "SELECT COUNT(*) FROM sales_order"
    """
    inside = enter(load_environment(env), node)
    words = ["--execute", query] if query else []
    become(inside.client(relationship, words, terminal=sys.stdin.isatty() and not query))


@app.command("dump")
def dump(
    env: Env,
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", metavar="FILE", help="Where to; `-` is standard output, *.gz is compressed."),
    ] = None,
    relationship: Relationship = "database",
    node: NodeName = "",
    json: Json = False,
) -> None:
    """Write the database as SQL: one snapshot of it, read beside customers.

    Example: trivet db dump production --file shop.sql.gz
    """
    environment = load_environment(env)
    output = output_for(json)
    target = file or Path(f"{environment.label}-{relationship}-{time.strftime('%Y%m%d-%H%M%S')}.sql.gz")
    to_file = str(target) != "-"
    if to_file and target.exists():
        raise InputError(f"{target} is there already", "name another file by --file")
    told = time.monotonic()

    def tell(count: int) -> None:
        nonlocal told
        if to_file and time.monotonic() - told > TOLD_EVERY_SECONDS:
            told = time.monotonic()
            output.event("progress", text=f"{count // MIB} MiB of SQL")

    inside = enter(environment, node)
    if not to_file:
        inside.dump(relationship, sys.stdout.buffer, tell)
        return
    _dump_into(target, inside, relationship, tell)
    size = target.stat().st_size
    if json:
        output.data({"file": str(target), "bytes": size})
    else:
        output.print(f"{target}: {size / MIB:.1f} MiB")


def _dump_into(target: Path, inside: Inside, relationship: str, tell: Callable[[int], None]) -> None:
    staged = target.with_name(f".{target.name}.part")
    try:
        with _opened(staged, compressed=target.suffix == ".gz") as stream:
            inside.dump(relationship, stream, tell)
        staged.rename(target)
    finally:
        staged.unlink(missing_ok=True)


@contextlib.contextmanager
def _opened(path: Path, *, compressed: bool) -> Iterator[IO[bytes]]:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, OURS)
    with os.fdopen(handle, "wb") as plain:
        if not compressed:
            yield plain
            return
        with gzip.GzipFile(fileobj=plain, mode="wb", filename="", compresslevel=6) as packed:
            yield packed  # type: ignore[misc]
