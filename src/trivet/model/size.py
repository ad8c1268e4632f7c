# SPDX-License-Identifier: GPL-3.0-or-later
"""Cluster sizes, named by their CPU total over three equal nodes (Magento Commerce Cloud Pro's names)."""

from __future__ import annotations

from dataclasses import dataclass

from trivet.errors import InputError


@dataclass(frozen=True, slots=True)
class Size:
    """What each node of a cluster has.

    :param name: CPU total of the cluster at scale 1, as text ("6", "12" …).
    :param cpus: virtual CPUs per node.
    :param memory_mib: RAM per node in MiB.
    """

    name: str
    cpus: int
    memory_mib: int


# 3 × (2 CPU, 3.75 GB) … 3 × (32 CPU, 60 GB): docs/sizing.md.
SIZES: dict[str, Size] = {
    size.name: size
    for size in (
        Size("6", 2, 3840),
        Size("12", 4, 7680),
        Size("24", 8, 15360),
        Size("48", 16, 30720),
        Size("96", 32, 61440),
    )
}

# Below this every service together does not fit (measured on the lab: docs/sizing.md).
SMALLEST_NODE_MIB = 1536


# The kernel and the platform keep some of a machine's memory for themselves.
MEMORY_TOLERANCE = 0.15


def is_of_size(cpus: int, memory_mib: int, size: Size) -> bool:
    """Whether a machine has what a size says, but for what the kernel keeps of its memory."""
    return cpus == size.cpus and abs(memory_mib - size.memory_mib) <= MEMORY_TOLERANCE * size.memory_mib


def session_memory_mib(memory_mib: int) -> int:
    """What a node of so much memory gives the sessions in Redis, in MiB.

    The rule is that of plugins/filter/sizing.py (``redis_session_maxmemory_mib``); a test holds the two together.
    """
    return max(64, memory_mib // 24)


def size_named(name: str) -> Size:
    """The size of a name.

    :raises InputError: when the table has no such size.
    """
    if name not in SIZES:
        raise InputError(f"size {name!r} is not in the table; sizes are {', '.join(SIZES)}", "trivet upscale --help")
    return SIZES[name]


def scaled(size: Size, scale: float, cpu_limit: int | None = None) -> Size:
    """The size shrunk by a factor (0 < scale ≤ 1), as the lab does on a machine that is too small for the table.

    :param cpu_limit: at most so many CPUs (those of the machine).
    :raises InputError: when the factor is out of range.
    """
    if not 0 < scale <= 1:
        raise InputError(f"--scale is {scale}; it takes a number above 0 and at most 1")
    cpus = max(1, round(size.cpus * scale))
    if cpu_limit is not None:
        cpus = min(cpus, cpu_limit)
    return Size(size.name, cpus, int(size.memory_mib * scale))
