# SPDX-License-Identifier: GPL-3.0-or-later
"""The figures of one run as a file: what was measured, when, on which commit and machine.

Every program that measures calls :func:`leave`; a file is written where ``$TRIVET_RESULTS`` names a folder, and nothing
otherwise. ``docs/results/`` holds the files that the documents' tables are made from (``bin/docs``).

Keys of a file: ``format`` 1; ``kind``, a value of :class:`Kind`; ``at``, UTC in ISO 8601; ``commit``, null outside a
checkout, ``-dirty`` when files were changed; ``machine``, the controller's, which a lab's nodes share; ``note``, what
a reader must know of how it was run; ``figures``, whose keys are the kind's and end with their unit.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from trivet.paths import collection_root

FORMAT = 1
FOLDER_VARIABLE = "TRIVET_RESULTS"
NOTE_VARIABLE = "TRIVET_RESULTS_NOTE"
"""A sentence for ``note``: what else ran on the machine, or what the lab had just been through."""


class Kind(StrEnum):
    """What was run."""

    PROBE = "probe"
    CHANGE = "change"
    """A change of nodes with the probe beside it."""
    BROKEN_CHANGE = "broken-change"
    """A change that was broken off and continued: bin/test failures."""
    CHAOS = "chaos"
    """The failure suite: rows as :class:`trivet.chaos.row.Row` has them."""
    NODE_LOSS = "node-loss"
    CONVERGE = "converge"
    """benchmarks/converge.py."""
    OVERHEAD = "overhead"
    """benchmarks/rotation.py: seconds per node ÷ what its services and its machine take by themselves."""
    PUSH = "push"
    """benchmarks/push.py: seconds of a `git push` to the live answer of all nodes."""
    AGENT = "agent"
    """What the agents cost at rest."""
    DEMO = "demo"
    """bin/demo as a whole."""
    TEST = "test"
    """bin/test as a whole."""


def leave(kind: Kind, figures: Mapping[str, Any]) -> Path | None:
    """Write the figures of a run where ``$TRIVET_RESULTS`` names a folder.

    Returns:
        The file; None when nobody asked for it.
    """
    folder = os.environ.get(FOLDER_VARIABLE)
    if not folder:
        return None
    now = datetime.now(UTC)
    document = {
        "format": FORMAT,
        "kind": kind.value,
        "at": now.isoformat(timespec="seconds"),
        "commit": _commit(),
        "machine": machine(),
        "note": os.environ.get(NOTE_VARIABLE, ""),
        "figures": figures,
    }
    path = Path(folder) / f"{now:%Y-%m-%d-%H%M%S}-{kind.value}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def machine() -> dict[str, Any]:
    """This machine: cores, memory in MiB, kernel, release."""
    return {
        "cores": os.cpu_count(),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        "kernel": platform.release(),
        "release": _release(),
    }


def _release() -> str | None:
    try:
        known = platform.freedesktop_os_release()
    except OSError:
        return None
    return f"{known['NAME'].removesuffix(' GNU/Linux')} {known.get('VERSION_ID', '')}".strip()


def _commit() -> str | None:
    """The commit of the checkout that this code is in; None of an installed package."""
    command = ["git", "-C", str(collection_root()), "describe", "--always", "--dirty", "--abbrev=9", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() or None
    except (OSError, subprocess.CalledProcessError):
        return None
