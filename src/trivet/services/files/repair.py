# SPDX-License-Identifier: GPL-3.0-or-later
"""GlusterFS' daemons and the mount, where they do not run or do not answer, and files in split-brain."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from trivet.health.config import NodeConfig
from trivet.node.repair import Repair
from trivet.node.symptom import DOWN_LOOKS, HUNG_LOOKS, OUTAGE_LOOKS, Remedy, Symptom, View, hung, stopped
from trivet.services.files.collect import brick_pids
from trivet.services.files.command import gluster
from trivet.services.files.contract import VOLUME
from trivet.services.files.facts import FilesFacts
from trivet.services.files.pulse import GLUSTERD_PID, pulse

START_BRICK = "start brick"
RESTART_BRICK = "restart brick"


def symptoms(view: View) -> Iterator[Symptom]:
    """What is wrong with GlusterFS on this node."""
    files = view.own.of(FilesFacts)
    yield from stopped(view, "files", ("glusterd",))
    if view.state("glusterd") == "active":
        yield from _daemon(view)
    yield from stopped(view, "files", ("trivet-shared",))
    error = files.mount_error if files.mounted else "it is not mounted"
    yield from hung(view, "files", ("trivet-shared",), error, lambda facts: facts.of(FilesFacts).writable)


def _daemon(view: View) -> Iterator[Symptom]:
    """glusterd and the processes that it keeps; it may be restarted at any time, its bricks live on."""
    files = view.own.of(FilesFacts)
    if files.error is not None:
        yield from hung(view, "files", ("glusterd",), files.error, lambda facts: facts.of(FilesFacts).error is None)
        return
    if files.volume_status != "Started":
        return
    yield from _split_brain(view)
    partners = len(view.config.members) > 1
    for subject, missing in (("brick", not files.brick_online), ("self-heal", partners and not files.self_heal_online)):
        if missing:
            yield Symptom(
                service="files",
                subject=subject,
                problem="down",
                reason=f"the {subject} process of this node does not run",
                looks=DOWN_LOOKS,
                remedy=Remedy(START_BRICK),
            )
    # Not from the report of what is to heal: while a brick hangs, that does not end either (seen).
    if files.brick_online and view.config.address in files.bricks_unheard:
        elsewhere = files.bricks_unheard == (view.config.address,)
        yield Symptom(
            service="files",
            subject="brick",
            problem="hangs",
            reason="the brick of this node is alive and does not answer",
            looks=HUNG_LOOKS,
            remedy=Remedy(RESTART_BRICK) if elsewhere else None,
            alone=True,
        )


def _split_brain(view: View) -> Iterator[Symptom]:
    """Files whose copies contradict each other: which one is right, no machine can tell."""
    count = max((brick.split_brain or 0 for brick in view.own.of(FilesFacts).heal), default=0)
    if count:
        volume = view.config.terms[VOLUME]
        yield Symptom(
            service="files",
            subject=volume,
            problem="split-brain",
            reason=f"files in split-brain: {count}",
            looks=OUTAGE_LOOKS,
            cluster_wide=True,
            next_command=f"ssh {view.config.address} gluster volume heal {volume} info split-brain",
        )


def _start_brick(_arguments: Sequence[str], config: NodeConfig, _data: Mapping[str, Any]) -> str:
    # On a volume that is started this starts what is missing, and touches nothing else.
    volume = config.terms[VOLUME]
    gluster("volume", "start", volume, "force")
    return f"started the missing processes of volume {volume}"


def _restart_brick(arguments: Sequence[str], config: NodeConfig, data: Mapping[str, Any]) -> str:
    for path in brick_pids(config.terms[VOLUME]):
        with contextlib.suppress(OSError, ValueError):
            pid = int(path.read_text(encoding="ascii"))
            if Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].endswith(b"glusterfsd"):
                os.kill(pid, signal.SIGKILL)
    return f"killed the brick; {_start_brick(arguments, config, data)}"


def _waits_for_others(view: View, unit: str) -> bool:
    return unit == "trivet-shared" and not view.served_elsewhere(lambda facts: facts.of(FilesFacts).mounted)


REPAIR = Repair(
    symptoms=symptoms,
    acts={START_BRICK: _start_brick, RESTART_BRICK: _restart_brick},
    pulse=pulse,
    waits_for_others=_waits_for_others,
    written_at_start=(GLUSTERD_PID,),
)
