# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract of the database: MariaDB with Galera."""

from __future__ import annotations

from pathlib import Path

from trivet.services.contract import Backend, Contract, Listen, Peer, Place, Port, Unit

PORT = Port(
    name="database_port",
    default=3307,
    what="mariadbd",
    setting=True,
    listens=(Listen.NODE, Listen.LOCAL),
    peers=(Peer.NODE, Peer.CLIENT),
)
REPLICATION_PORT = Port(
    name="galera_replication_port",
    default=4567,
    what="Galera: replication",
    listens=(Listen.NODE,),
    peers=(Peer.NODE,),
    protocols=("tcp", "udp"),
)
IST_PORT = Port(
    name="galera_ist_port",
    default=4568,
    what="Galera: incremental state transfer",
    listens=(Listen.NODE,),
    peers=(Peer.NODE,),
)
SST_PORT = Port(
    name="galera_sst_port",
    default=4444,
    what="Galera: whole state transfer",
    listens=(Listen.NODE,),
    peers=(Peer.NODE,),
)
DATA_DIRECTORY = Place(name="database_directory", default=Path("/var/lib/mysql"), what="MariaDB's data")
SOCKET = Place(name="database_socket", default=Path("/run/mysqld/mysqld.sock"), what="MariaDB's socket")
POSITION_FILE = Place(
    name="galera_position_file",
    default=Path("/run/trivet/galera-position.json"),
    what="MariaDB's position as recovered last, and the files' times by which it is seen that no server has run since",
)

WRITER = Backend(
    name="db_writer",
    servers=PORT,
    asks="database",
    chooses="the one in the stick table (one entry, key 1), shared by the peers section `trivet`; it stays until it "
    "goes down",
    local=Port(name="database_writer_port", default=3306, what="HAProxy → database writer", listens=(Listen.LOCAL,)),
    hold=Port(
        name="database_writer_hold_port", default=3305, what="agent: hold port of the writer", listens=(Listen.LOCAL,)
    ),
)
READER = Backend(
    name="db_reader",
    servers=PORT,
    asks="database",
    chooses="the next node after the writer that is up and not drained; else any that is up",
    local=Port(name="database_reader_port", default=3304, what="HAProxy → database reader", listens=(Listen.LOCAL,)),
)

CONTRACT = Contract(
    service="database",
    units=(Unit(name="mariadb"),),
    ports=(PORT, REPLICATION_PORT, IST_PORT, SST_PORT),
    places=(DATA_DIRECTORY, SOCKET, POSITION_FILE),
    backends=(WRITER, READER),
    drainable=True,
)
