# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract of the shared files: GlusterFS."""

from __future__ import annotations

from pathlib import Path

from trivet.services.contract import Contract, Listen, Machines, Name, Peer, Place, Port, Unit

MANAGEMENT_PORT = Port(
    name="files_management_port",
    default=24007,
    what="GlusterFS: management",
    listens=(Listen.NODE,),
    peers=(Peer.NODE, Peer.CLIENT),
)
BRICK_PORTS = Port(
    name="files_brick_ports",
    default=49152,
    last=49251,
    what="GlusterFS: bricks",
    listens=(Listen.NODE,),
    peers=(Peer.NODE, Peer.CLIENT),
)
VOLUME = Name(name="files_volume", default="shared", what="name of the volume", setting=True)
MOUNT = Place(name="files_mount", default=Path("/srv/shared"), what="where the volume is mounted", setting=True)
BRICK = Place(
    name="files_brick", default=Path("/srv/glusterfs/shared/brick"), what="the node's copy of the volume", setting=True
)

CONTRACT = Contract(
    service="files",
    units=(Unit(name="trivet-shared", machines=Machines.ALL), Unit(name="glusterd")),
    ports=(MANAGEMENT_PORT, BRICK_PORTS),
    places=(MOUNT, BRICK),
    names=(VOLUME,),
)
