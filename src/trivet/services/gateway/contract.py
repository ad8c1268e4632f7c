# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract of the gateway: keepalived and HAProxy."""

from __future__ import annotations

from pathlib import Path

from trivet.services.contract import Contract, Listen, Machines, Peer, Place, Port, Unit

HTTP_PORT = Port(
    name="gateway_http_port",
    default=80,
    what="HAProxy, public frontend; it serves the shop too unless `haproxy_redirect_to_https`",
    listens=(Listen.ALL,),
    peers=(Peer.PUBLIC,),
)
HTTPS_PORT = Port(
    name="gateway_https_port",
    default=443,
    what="HAProxy, public frontend with TLS and HTTP/2",
    listens=(Listen.ALL,),
    peers=(Peer.PUBLIC,),
)
PEERS_PORT = Port(
    name="haproxy_peers_port",
    default=10000,
    what="HAProxy peers: the writer's stick table",
    listens=(Listen.NODE,),
    peers=(Peer.NODE, Peer.CLIENT, Peer.WEB),
)
HAPROXY_SOCKET = Place(
    name="haproxy_socket", default=Path("/run/haproxy/admin.sock"), what="HAProxy's runtime API, level admin"
)
HAPROXY_FILE = Place(
    name="haproxy_file",
    default=Path("/etc/haproxy/haproxy.cfg"),
    what="HAProxy's configuration, written by role `haproxy`",
)
HAPROXY_STATE_FILE = Place(
    name="haproxy_state_file",
    default=Path("/run/haproxy/server-state"),
    what="what was set in HAProxy at run time, saved for the process after a reload",
)
GATEWAY_DIRECTORY = Place(
    name="gateway_directory",
    default=Path("/run/trivet/gateway"),
    what="`<n>.release`: 1 while this node is not eligible for gateway address *n*, tracked by keepalived; "
    "`handover.json`: forwards and releases in force, with owner and expiry, there only while there are any",
)
KEEPALIVED_ALIVE = Place(
    name="keepalived_alive",
    default=GATEWAY_DIRECTORY.default / "keepalived.alive",
    what="touched by keepalived every three seconds",
)
HANDOVER_BACKEND = "handover"
"""Its servers are switches, one for each backend with a hold port: in maintenance sends everybody to that port."""
HANDOVER_TABLE = ("inet", "trivet_handover")
"""Belongs to the agent; there only while a gateway address is forwarded."""
FIREWALL_TABLE = ("inet", "trivet")
"""Belongs to role ``base``, which loads it on every node; there is no setting without it."""

CONTRACT = Contract(
    service="gateway",
    units=(Unit(name="haproxy", machines=Machines.ALL), Unit(name="keepalived")),
    ports=(HTTP_PORT, HTTPS_PORT, PEERS_PORT),
    places=(HAPROXY_FILE, HAPROXY_SOCKET, HAPROXY_STATE_FILE, GATEWAY_DIRECTORY, KEEPALIVED_ALIVE),
)
