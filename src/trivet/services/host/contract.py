# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract of the machine and the agent."""

from __future__ import annotations

from pathlib import Path

from trivet.services.contract import Contract, Listen, Machines, Peer, Place, Port, Unit

SSH_PORT = Port(name="ssh_port", default=22, what="SSH", listens=(Listen.ALL,), peers=(Peer.ADMIN,))
AGENT_PORT = Port(
    name="agent_port",
    default=9700,
    what="agent: agent checks of every HAProxy, and questions of other agents",
    listens=(Listen.NODE, Listen.LOCAL),
    peers=(Peer.NODE, Peer.CLIENT, Peer.WEB),
)
AGENT_CHANNEL_PORT = Port(
    name="agent_channel_port",
    default=9701,
    what="healer: signed questions of other healers",
    listens=(Listen.NODE,),
    peers=(Peer.NODE,),
)

NODE_FILE = Place(
    name="node_file",
    default=Path("/etc/trivet/node.json"),
    what="0600, written by role `agent`: environment, id, name, address, interface, nodes, gateways, domain, Redis "
    "password, whether the healer runs, and the settings of the contracts",
)
PENDING_RESTART_DIRECTORY = Place(
    name="pending_restart_directory",
    default=Path("/etc/trivet/pending-restart"),
    what="a file of a service's name: its changed configuration waits for the next rotation",
)
PENDING_RELOAD_DIRECTORY = Place(
    name="pending_reload_directory",
    default=Path("/etc/trivet/pending-reload"),
    what="a file of a daemon's name: its changed configuration waits for the next converge",
)
HEAL_FILE = Place(
    name="heal_file",
    default=Path("/etc/trivet/heal.json"),
    what="0600, written by role `agent`: the healers' secret, how often they look, where alerts go",
)
AGENT_PROGRAM = Place(name="agent_program", default=Path("/usr/local/bin/trivet-agent"), what="the agent")
AGENT_ARCHIVE = Place(
    name="agent_archive",
    default=Path("/usr/local/lib/trivet/agent.pyz"),
    what="its code, which the role exchanges",
)
DRAIN_DIRECTORY = Place(
    name="drain_directory",
    default=Path("/run/trivet/drain"),
    what="a drain flag of each service that is drained, JSON: owner, since, expires. A link to the next, so that a "
    "flag outlives a reboot",
)
DRAIN_KEPT_DIRECTORY = Place(
    name="drain_kept_directory", default=Path("/var/lib/trivet/drain"), what="where the drain flags are kept"
)
DISABLED_UNITS_DIRECTORY = Place(
    name="disabled_units_directory",
    default=Path("/var/lib/trivet/disabled-units"),
    what="a file of a unit's name: it must not start with the machine, JSON: owner, since, expires",
)
PAUSE_DIRECTORY = Place(
    name="pause_directory",
    default=Path("/var/lib/trivet/pause"),
    what="with the file `agent` in it the healer repairs nothing, JSON: owner, since, expires",
)
ANNOUNCED_DIRECTORY = Place(
    name="announced_directory",
    default=Path("/var/lib/trivet/announced"),
    what="with the file `application` another status than 200 is announced, JSON: owner, since, expires",
)
LEASE_FILE = Place(name="lease_file", default=Path("/var/lib/trivet/lease.json"), what="this node's vote in the lease")
JOURNAL_DIRECTORY = Place(
    name="journal_directory",
    default=Path("/var/lib/trivet/journals"),
    what="`<journal>.jsonl`: this node's copy of a journal; `<journal>.stop`: a request to its runner to stop",
)
EVENTS_DIRECTORY = Place(
    name="events_directory",
    default=Path("/var/lib/trivet/events"),
    what="this node's event journal, `events.jsonl`, `events.1.jsonl` …: at most five files of 1 MiB",
)
HEAL_MEMORY_FILE = Place(
    name="heal_memory_file",
    default=Path("/run/trivet/heal-memory.json"),
    what="incidents that the healer has seen and attempts that it made since the machine started",
)

CONTRACT = Contract(
    service="host",
    units=(Unit(name="trivet-agent", machines=Machines.ALL),),
    ports=(SSH_PORT, AGENT_PORT, AGENT_CHANNEL_PORT),
    places=(
        NODE_FILE,
        HEAL_FILE,
        PENDING_RELOAD_DIRECTORY,
        PENDING_RESTART_DIRECTORY,
        AGENT_PROGRAM,
        AGENT_ARCHIVE,
        DRAIN_DIRECTORY,
        DRAIN_KEPT_DIRECTORY,
        DISABLED_UNITS_DIRECTORY,
        PAUSE_DIRECTORY,
        ANNOUNCED_DIRECTORY,
        LEASE_FILE,
        JOURNAL_DIRECTORY,
        EVENTS_DIRECTORY,
        HEAL_MEMORY_FILE,
    ),
)
