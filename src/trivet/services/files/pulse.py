# SPDX-License-Identifier: GPL-3.0-or-later
"""Cheap questions about GlusterFS on this node."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from trivet.health.config import NodeConfig
from trivet.health.external import Deadline
from trivet.node.repair import Question
from trivet.services.files.collect import RUN_DIRECTORY, brick_pids, bricks_unheard, process_alive
from trivet.services.files.contract import BRICK, MOUNT, VOLUME

GLUSTERD_PID = Path("/run/glusterd.pid")
"""Its control group says nothing of it: the bricks live there too."""
HEAL_INDEX = ".glusterfs/indices/xattrop"
"""Where a brick keeps a name for every file that another brick misses something of (also one in split-brain)."""
_INDEX_BASE = "xattrop-"
"""The file that all names in it are links to."""


def pulse(config: NodeConfig, _deadline: Deadline) -> Mapping[str, Question]:
    """Processes, mount, the bricks that are heard, and what waits to be healed."""
    return {
        "pulse of the files": lambda: missing_files(config),
        "pulse of the bricks": lambda: unhealed(config),
    }


def missing_files(config: NodeConfig) -> tuple[str, ...]:
    """The processes and the mount of the shared files that are not there."""
    mount = config.terms[MOUNT]
    there = {
        "glusterd": process_alive((GLUSTERD_PID,), b"glusterd"),
        "brick": process_alive(brick_pids(config.terms[VOLUME]), b"glusterfsd"),
        "self-heal": len(config.members) == 1 or process_alive(RUN_DIRECTORY.glob("**/*shd.pid"), b"glusterfs"),
        "mount": mount.is_mount() and os.statvfs(mount).f_blocks > 0,
    }
    return tuple(name for name, is_there in there.items() if not is_there)


def unhealed(config: NodeConfig) -> tuple[str, ...]:
    """Bricks that this node's mount does not hear, and whether its own brick knows of files to heal."""
    unheard = bricks_unheard(config.terms[MOUNT], config.terms[VOLUME])
    return (*unheard, *(("heal",) if heal_waits(config.terms[BRICK] / HEAL_INDEX) else ()))


def heal_waits(index: Path) -> bool:
    """Whether this node's brick knows of a file that another one misses something of; a node without a brick: no."""
    try:
        return any(not path.name.startswith(_INDEX_BASE) for path in index.iterdir())
    except FileNotFoundError:
        return False
