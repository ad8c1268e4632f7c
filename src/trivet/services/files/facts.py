# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node says of GlusterFS."""

from __future__ import annotations

from dataclasses import dataclass, field

from trivet.health.facts import ServiceFacts


@dataclass(frozen=True, kw_only=True)
class Peer:
    """Another member of the storage pool."""

    name: str
    connected: bool
    state: str = ""


@dataclass(frozen=True, kw_only=True)
class BrickHeal:
    """What one brick still has to heal; counts are None when the brick did not answer."""

    brick: str
    connected: bool
    pending: int | None = None
    split_brain: int | None = None


@dataclass(frozen=True, kw_only=True)
class FilesFacts(ServiceFacts):
    """GlusterFS on this node: pool, volume, own brick, self-heal, mount."""

    NAME = "files"

    glusterd: str = "unknown"
    peers: tuple[Peer, ...] = ()
    volume_status: str = ""
    replicas: int = 0
    brick_online: bool = False
    """The node's own brick process runs."""
    self_heal_online: bool = False
    heal_asked: bool = True
    """False when this look left it to another node to ask what there is to heal."""
    heal: tuple[BrickHeal, ...] = ()
    heal_error: str | None = None
    """Why the state of healing is not known; None when it is, or when one copy needs no healing."""
    bricks_unheard: tuple[str, ...] = ()
    """Addresses of the bricks that the mount of this node is not connected to."""
    mounted: bool = False
    writable: bool = False
    mount_error: str | None = None
    written: float | None = None
    previous: float | None = None
    """This node's mark on the volume, epoch seconds of its clock: the one just written, and the last but one before it,
    which every node must have seen. Both None when the mark was too young to be written anew."""
    seen: dict[str, float] = field(default_factory=dict)
    """The marks of all nodes as read here, by node name."""


FACTS = FilesFacts
