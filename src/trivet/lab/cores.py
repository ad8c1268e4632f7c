# SPDX-License-Identifier: GPL-3.0-or-later
"""How a runner and the nodes of a lab share this machine's cores.

On real machines neither a runner nor another node takes a core of a node. Here they do, and a playbook alone wants a
whole one: while a node is changed the others would serve slower than they do in life, and the figures of customers
would be those of the runner.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")
GROUP = "trivet-runner"
PER_CENT = 3
"""Of a node's share, when the nodes want the cores too and the kernel cannot have a group give way."""
CPU_IDLE = "cpu.idle"
"""Linux has it since 5.15: "1" has a group run where no other wants the core, and leave it at once to one that does.

By a small share alone it would go on to the end of its time slice: some milliseconds at each of the twenty programs
that a page of the shop goes through.
"""


class _Controller(NamedTuple):
    """The kernel's controller of the cores; its two versions count shares in different units (cgroups(7))."""

    root: Path
    share: str
    whole: int
    origin: Path


@contextmanager
def lower_runner_priority(cgroups: Path = CGROUPS, own: Path = OWN_CGROUPS) -> Iterator[None]:
    """Have this process, and what it starts meanwhile, run after the nodes.

    What it started before keeps its share: a probe measures like the customers do. Where the controller of the cores
    may not be written to, nothing is done, and only figures suffer.
    """
    controller = _controller(cgroups, own)
    moved = controller is not None and _moved_into_group(controller)
    try:
        yield
    finally:
        if controller is not None and moved:
            _move(controller.origin)
            _remove(controller.root / GROUP)


@contextmanager
def normal_runner_priority(cgroups: Path = CGROUPS) -> Iterator[None]:
    """Have the runners that let the nodes go first take part like a node meanwhile: somebody waits for what they do.

    Where none does, or the kernel cannot have a group give way, nothing is done.
    """
    files = [file for place in (cgroups / "cpu", cgroups) if (file := place / GROUP / CPU_IDLE).exists()]
    _write(files, "0")
    try:
        yield
    finally:
        _write(files, "1")


def pin_one_core_each(instances: Sequence[str], cgroups: Path = CGROUPS) -> None:
    """Give those of these running containers that have one core a core each, as far as there are enough.

    Of three containers of one core on two cores two share one, and Incus decides anew with every start which: it may be
    the two that serve, while the third, which nobody uses yet, has the other core for itself. This holds until Incus
    decides again. Where it may not be written to, nothing is done, and only figures suffer.

    Args:
        instances: Names, as Incus knows them.
        cgroups: The tree of control groups.
    """
    own = sorted(os.sched_getaffinity(0))
    given = 0
    for name in instances:
        for place in (cgroups / "cpuset", cgroups):
            file = place / f"lxc.payload.{name}" / "cpuset.cpus"
            with suppress(OSError):
                if file.read_text(encoding="utf-8").strip().isdigit():
                    file.write_text(str(own[given % len(own)]), encoding="utf-8")
                    given += 1


def set_idle(instance: str, idle: bool, cgroups: Path = CGROUPS) -> None:
    """Have a running container leave the cores to whoever else wants them, or take part again.

    This holds until it stops; while it does, the kernel lets nobody set its share. Where it may not be written to,
    nothing is done, and only figures suffer.

    Args:
        instance: Its name, as Incus knows it.
        idle: It leaves them.
        cgroups: The tree of control groups.
    """
    for place in (cgroups / "cpu", cgroups):
        file = place / f"lxc.payload.{instance}" / CPU_IDLE
        with suppress(OSError):
            if file.exists():
                file.write_text("1" if idle else "0", encoding="utf-8")


def _write(files: Sequence[Path], word: str) -> None:
    for file in files:
        # Another runner may have removed the group, being the last in it.
        with suppress(OSError):
            file.write_text(word, encoding="utf-8")


def _controller(cgroups: Path, own: Path) -> _Controller | None:
    """The controller of the cores, and where this process is now; None where there is none."""
    places = {
        names: path.lstrip("/")
        for _, names, path in (line.split(":", 2) for line in own.read_text(encoding="utf-8").splitlines())
    }
    for names, path in places.items():
        if "cpu" in names.split(","):
            root = cgroups / "cpu"
            return _Controller(root, "cpu.shares", 1024, _existing(root / path, root))
    enabled = cgroups / "cgroup.subtree_control"
    if enabled.exists() and "cpu" in enabled.read_text(encoding="utf-8").split():
        return _Controller(cgroups, "cpu.weight", 100, _existing(cgroups / places.get("", ""), cgroups))
    return None


def _existing(place: Path, root: Path) -> Path:
    """The place, or the root where it is not mounted: a container may see only a part of the tree."""
    return place if place.is_dir() else root


def _moved_into_group(controller: _Controller) -> bool:
    group = controller.root / GROUP
    try:
        group.mkdir(exist_ok=True)
        if (group / CPU_IDLE).exists():
            (group / CPU_IDLE).write_text("1", encoding="utf-8")
        else:
            (group / controller.share).write_text(str(controller.whole * PER_CENT // 100), encoding="utf-8")
    except OSError:
        return False
    return _move(group)


def _move(group: Path) -> bool:
    try:
        (group / "cgroup.procs").write_text(str(os.getpid()), encoding="utf-8")
    except OSError:
        return False
    return True


def _remove(group: Path) -> None:
    """Remove the group unless another runner is in it, or a process that this one left behind."""
    try:
        group.rmdir()
    except OSError:
        return
