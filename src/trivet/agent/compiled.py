# SPDX-License-Identifier: GPL-3.0-or-later
"""``compile``: makes the agent's modules ready for this node's Python.

The agent comes as one archive of sources, since the Python of the node is not known where it is made. Compiled anew at
every start, they would cost a command a third of its time, and a process that runs all the time a megabyte that is
never given back. The archive's first lines name the folder, by the archive's content and by the Python: what is in it
is never old.
"""

from __future__ import annotations

import argparse
import compileall
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trivet.node.errors import AgentError

KEPT = 2
"""Processes that were started from the archive before still run for a moment."""


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``compile`` to the agent's command line."""
    subparsers.add_parser("compile", help="make the agent ready for this Python").set_defaults(run=run_compile)


def run_compile(_args: argparse.Namespace, _config: Mapping[str, Any]) -> dict[str, Any]:
    """Compile the archive that this runs from."""
    place = Path(sys.path[0])
    changed = not place.is_dir()
    if changed:
        compile_archive(Path(sys.argv[0]), place)
        remove_old(place.parent)
    return {"compiled": str(place), "changed": changed}


def compile_archive(archive: Path, place: Path) -> None:
    """Fill a folder with the compiled modules of an archive; it is there as a whole or not at all.

    Raises:
        AgentError: a module cannot be compiled.
    """
    place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as folder:
        staged = Path(folder) / "modules"
        with zipfile.ZipFile(archive) as content:
            content.extractall(staged, [name for name in content.namelist() if name.startswith("trivet/")])
        if not compileall.compile_dir(staged, ddir=str(archive), quiet=1, legacy=True):
            raise AgentError(f"{archive} cannot be compiled")
        for source in staged.rglob("*.py"):
            source.unlink()
        staged.rename(place)


def remove_old(folder: Path) -> None:
    """Keep the newest few."""
    found = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in found[KEPT:]:
        shutil.rmtree(path, ignore_errors=True)
