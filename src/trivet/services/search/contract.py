# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract of the search engine."""

from __future__ import annotations

from trivet.services.contract import Backend, Contract, Listen, Name, NameBy, Peer, Port, Unit

HTTP_PORT = Port(
    name="search_http_port",
    default=9200,
    what="search: HTTP",
    setting=True,
    listens=(Listen.NODE,),
    peers=(Peer.NODE, Peer.CLIENT),
)
TRANSPORT_PORT = Port(
    name="search_transport_port",
    default=9300,
    what="search: transport between the members",
    setting=True,
    listens=(Listen.NODE,),
    peers=(Peer.NODE,),
)
ENGINE = Name(
    name="search_engine",
    default="opensearch",
    what="the engine; its package, unit, user and directories have the same name",
    setting=True,
    pattern="opensearch|elasticsearch",
    takes="opensearch or elasticsearch",
)
VERSION = NameBy(
    name="search_version",
    default="2.19.4",
    what="version of the engine",
    setting=True,
    changeable=True,
    pattern=r"\d+\.\d+\.\d+",
    takes="a version such as 2.19.4",
    other=ENGINE,
    defaults={"opensearch": "2.19.4", "elasticsearch": "7.10.2"},
)
ALLOCATION = "cluster.routing.allocation.enable"
ALLOCATION_FLAG = "cluster.metadata.trivet_allocation"
"""A setting that the engine only stores: who limited the allocation and until when, as JSON. It is kept where the
limit itself is, so that it is known whichever node is lost."""

CONTRACT = Contract(
    service="search",
    units=(Unit(name=ENGINE),),
    ports=(HTTP_PORT, TRANSPORT_PORT),
    names=(ENGINE, VERSION),
    backends=(
        Backend(
            name="search",
            servers=HTTP_PORT,
            asks="search",
            chooses="least connections",
            local=Port(name="search_local_port", default=9200, what="HAProxy → search", listens=(Listen.LOCAL,)),
        ),
    ),
    drainable=True,
)
