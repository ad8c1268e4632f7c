# SPDX-License-Identifier: GPL-3.0-or-later
"""Moving a gateway address between nodes without cutting a connection off.

Every node has every gateway address on ``lo`` and listens on it; the *holder* is the node whose keepalived also
put it on the outer interface and so answers ARP. A move happens in two halves: first the new connections go,
through the old holder, to the next one; then, when the old holder has no connection of its own left, the address.

Steps of a move of ADDRESS from OLD to NEW. OTHERS are the remaining nodes. The runner calls them over SSH;
after a failure up to step 5 the way back is given below.

===  ======  =====================================  ==============================================================
no.  on      command                                why
===  ======  =====================================  ==============================================================
1    NEW     ``gateway allow ADDRESS``              NEW is eligible: in BACKUP, ready to win
2    OLD     ``gateway forward ADDRESS NEW_NODE``   from now on each new connection is NEW's, by way of OLD
3    OLD     ``systemctl reload haproxy``           the old worker says goodbye to its keep-alive clients at their
                                                    next response; other addresses of OLD go on in the new worker
4    OLD     ``gateway connections ADDRESS          what began before step 2 ends (bounded by the caller;
             --wait 50``                            what is left then is cut)
5    OTHERS  ``gateway release ADDRESS``            not eligible: exactly NEW can win
6    OLD     ``gateway release ADDRESS``            priority 0 is sent, NEW takes over within milliseconds
7    NEW     ``gateway take ADDRESS``               waits until NEW holds it; gratuitous ARP goes out
8    OLD,    ``gateway allow ADDRESS``              eligible again for the next failure (not on a node that is
     OTHERS                                         about to be stopped: there the file goes with ``/run``)
9    OLD     ``gateway end ADDRESS``                no packet comes this way any more; 1.5 s after step 7, when the
                                                    repeated gratuitous ARP is out
===  ======  =====================================  ==============================================================

Several addresses move at once: do each step for all of them, step 3 once.
A node that is about to be stopped hands over all that ``gateway held`` lists. An address goes home by the same
steps, with OLD the present holder and NEW its home node.

Way back before step 6: ``gateway allow`` on OTHERS; on OLD ``gateway retain ADDRESS`` (new connections stay, forwarded
ones go on); on NEW ``systemctl reload haproxy`` and ``gateway connections ADDRESS --wait 50``; on OLD
``gateway clear ADDRESS``.

Every forward and every release has an owner and an expiry in ``/run/trivet/gateway/handover.json``. ``flags expire``
(a timer of role agent) undoes what is overdue: releases are lifted, forwards are first retained, then cleared.

How forwarding works. A raw prerouting chain on OLD remembers source address and port of every SYN to ADDRESS in a
dynamic set, and marks (without tracking) each packet of a flow in that set. A routing rule for mark and ADDRESS,
placed before the rule of the ``local`` table, sends those packets to NEW, which answers the client directly.
Connection-tracking marks would not do: OLD sees half of each flow.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from trivet.health.config import GATEWAY_DIRECTORY
from trivet.node.errors import AgentError

DIRECTORY = GATEWAY_DIRECTORY
SYSCTLS = Path("/proc/sys/net/ipv4")
MARK = 0x7E1
"""Packet mark of a forwarded flow. One is enough: the routing rule looks at the address as well."""
TABLE_BASE = 2017
"""Routing table of gateway address number n: TABLE_BASE + n."""
RULE_BASE = 10
"""Priority of the routing rule of gateway address number n: RULE_BASE + n."""
LOCAL_RULE_MOVED = 100
"""Priority of the rule of the ``local`` table (else 0) while anything is forwarded."""
FLOW_TIMEOUT_SECONDS = 600
"""A forwarded flow without a packet for so long is forgotten; longer than any time-out of HAProxy."""
FLOW_LIMIT = 262_144
"""Flows remembered for each address. When they are full, new connections just stay here."""
RETAINED_SECONDS = 120
"""How long flows that are forwarded already go on after an expired forward was retained."""
POLL_SECONDS = 0.02
NFT_TABLE = "inet trivet_handover"
SERVICE_PORTS = (80, 443)
LIVE_STATES = ("established", "syn-recv", "fin-wait-1", "close-wait")
"""States of a TCP connection that would lose data if its packets went to another node."""

Config = Mapping[str, Any]
Record = dict[str, Any]


class GatewayError(AgentError):
    """A step could not be done; the message is meant for an operator."""


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``gateway …`` to the agent's command line; each sub-command sets ``run(args, config) -> dict``."""
    parser = subparsers.add_parser("gateway", help="move gateway addresses between nodes")
    commands = parser.add_subparsers(dest="gateway_command", required=True)

    def add(
        name: str, run: Callable[[argparse.Namespace, Config], Record], text: str, *positional: str
    ) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text)
        for argument in positional:
            command.add_argument(argument)
        command.set_defaults(run=run)
        return command

    forward = add("forward", run_forward, "send new connections to the next holder", "address", "next_address")
    release = add("release", run_release, "give the address up; not eligible for it any more", "address")
    for command, seconds in ((forward, 600), (release, 900)):
        command.add_argument("--owner", default="operator", help="who undoes it (recorded)")
        command.add_argument("--expires", type=float, default=seconds, help="seconds until it undoes itself")
    release.add_argument("--timeout", type=float, default=5.0, help="seconds to wait until the address is gone")
    add("retain", run_retain, "keep new connections here; forwarded ones go on", "address")
    connections = add("connections", run_connections, "count connections that still end here", "address")
    connections.add_argument("--wait", type=float, default=0.0, help="seconds to wait until there are none")
    add("allow", run_allow, "eligible for the address (again)", "address")
    take = add("take", run_take, "eligible for the address; wait until it is held", "address")
    take.add_argument("--timeout", type=float, default=10.0, help="seconds to wait")
    add("held", run_held, "addresses held here, forwards and releases in force")
    add("clear", run_clear, "remove a forward completely", "address")
    add("end", run_end, "end a forward, cutting nobody off: clear it, or retain it where the address is", "address")


def run_forward(args: argparse.Namespace, config: Config) -> Record:
    """Send each new connection to ``args.address`` to ``args.next_address``, a node address. Idempotent."""
    number = address_number(config, args.address)
    if args.next_address not in other_node_addresses(config):
        raise GatewayError(f"{args.next_address} is not the address of another node")
    check_kernel()
    check_listens(args.next_address)
    with locked_state() as state:
        present = state["forwards"].get(args.address)
        if present and present["next"] != args.next_address:
            raise GatewayError(f"{args.address} is forwarded to {present['next']} already: clear it first")
        record = {"next": args.next_address, "number": number, "retained": False}
        state["forwards"][args.address] = record | ownership(args.owner, args.expires)
        set_routes(state["forwards"], config["interface"])
        execute("nft", "-f", "-", stdin=ruleset(state["forwards"]))
    return {"address": args.address, **state["forwards"][args.address]}


def run_retain(args: argparse.Namespace, config: Config) -> Record:
    """Let new connections to ``args.address`` end here again, while those forwarded already go on."""
    address_number(config, args.address)
    with locked_state() as state:
        if args.address not in state["forwards"]:
            raise GatewayError(f"{args.address} is not forwarded")
        retain(state["forwards"], args.address)
    return {"address": args.address, **state["forwards"][args.address]}


def run_clear(args: argparse.Namespace, config: Config) -> Record:
    """Remove the forward of ``args.address`` (or ``all``): rules, sets, routes, marks. Idempotent."""
    if args.address != "all":
        address_number(config, args.address)
    with locked_state() as state:
        cleared = [a for a in state["forwards"] if args.address in (a, "all")]
        clear(state["forwards"], cleared, config)
    return {"cleared": cleared, "forwards": state["forwards"]}


def run_end(args: argparse.Namespace, config: Config) -> Record:
    """End the forward of ``args.address`` (or ``all``), as :func:`end_forward` does; what was done, by address."""
    if args.address != "all":
        address_number(config, args.address)
    wanted = [address for address in read_state()["forwards"] if args.address in (address, "all")]
    return {"ended": {address: end_forward(address, config) for address in wanted}}


def run_connections(args: argparse.Namespace, config: Config) -> Record:
    """Count the connections to ``args.address`` that end here; with ``--wait``, wait until there are none."""
    address_number(config, args.address)
    started = time.monotonic()
    left = wait_for(lambda: not live_connections(args.address), args.wait, poll=0.1)
    count = 0 if left else live_connections(args.address)
    return {"address": args.address, "connections": count, "seconds": elapsed(started)}


def run_release(args: argparse.Namespace, config: Config) -> Record:
    """Give ``args.address`` up, and do not take it until allowed; wait until it left the interface.

    :raises GatewayError: when the address is still there after ``--timeout``.
    """
    number = address_number(config, args.address)
    started = time.monotonic()
    was_held = args.address in held_addresses(config)
    with locked_state() as state:
        state["releases"][args.address] = {"number": number} | ownership(args.owner, args.expires)
        write_release(number, True)
    if not wait_for(lambda: args.address not in held_addresses(config), args.timeout):
        raise GatewayError(f"{args.address} is still on {config['interface']}: is keepalived running?")
    return {"address": args.address, "was_held": was_held, "seconds": elapsed(started)}


def run_allow(args: argparse.Namespace, config: Config) -> Record:
    """Be eligible for ``args.address`` (or ``all``) again. Nobody loses the address by that."""
    addresses = list(config["gateways"]) if args.address == "all" else [args.address]
    for address in addresses:
        allow(address, address_number(config, address))
    return {"allowed": addresses}


def run_take(args: argparse.Namespace, config: Config) -> Record:
    """Wait until this node holds ``args.address``, which another node has released.

    :raises GatewayError: when it does not within ``--timeout``.
    """
    started = time.monotonic()
    allow(args.address, address_number(config, args.address))
    if not wait_for(lambda: args.address in held_addresses(config), args.timeout):
        raise GatewayError(f"{args.address} did not come here within {args.timeout:g} s: does another node hold it?")
    return {"address": args.address, "seconds": elapsed(started)}


def run_held(_args: argparse.Namespace, config: Config) -> Record:
    """List the gateway addresses on the outer interface, and what is in force."""
    return {"held": held_addresses(config), **read_state()}


def end_forward(address: str, config: Config) -> str:
    """End a forward that was left behind, cutting nobody off who is being served; what was done, in words.

    While the address is here, its new connections stay from now on, and those forwarded already go on until
    ``flags expire`` clears the forward. Where the address has moved away, no packet comes this way any more.
    """
    with locked_state() as state:
        record = state["forwards"].get(address)
        if record is None:
            return "was gone already"
        ended = record["retained"] and record["expires"] <= time.time()
        if address in held_addresses(config) and not ended:
            if not record["retained"]:
                record["expires"] = 0.0
                retain(state["forwards"], address)
            return f"new connections stay here; those forwarded go on for {RETAINED_SECONDS} s, then it is removed"
        clear(state["forwards"], [address], config)
        return "forward removed"


# ---------------------------------------------------------------- what the node says


def address_number(config: Config, address: str) -> int:
    """The number of a gateway address, from 1: its home node's.

    :raises GatewayError: when it is not one of the environment's.
    """
    gateways = list(config["gateways"])
    if address not in gateways:
        raise GatewayError(f"{address} is not a gateway address; there are {', '.join(gateways)}")
    return gateways.index(address) + 1


def other_node_addresses(config: Config) -> list[str]:
    """Addresses of the nodes that are not this one."""
    return [node["address"] for node in config["nodes"] if node["address"] != config["address"]]


def check_kernel() -> None:
    """See that this node forwards packets at all; role gateway sets this up.

    :raises GatewayError: when a kernel setting is not as it must be.
    """
    # With early demux, a SYN whose client port left a TIME_WAIT socket here would be dropped instead of forwarded.
    for name, needed in (("ip_forward", "1"), ("tcp_early_demux", "0")):
        if (SYSCTLS / name).read_text(encoding="ascii").strip() != needed:
            raise GatewayError(f"net.ipv4.{name} must be {needed}: apply role gateway to this node first")


def check_listens(node_address: str) -> None:
    """See that the next holder serves, so that connections are not forwarded into the void.

    :raises GatewayError: when its HAProxy accepts no connection.
    """
    try:
        socket.create_connection((node_address, SERVICE_PORTS[0]), timeout=3).close()
    except OSError as error:
        raise GatewayError(f"{node_address}:{SERVICE_PORTS[0]} accepts no connection: {error}") from error


def held_addresses(config: Config) -> list[str]:
    """Gateway addresses on the outer interface, in the order of the environment."""
    links = json.loads(execute("ip", "-json", "-4", "address", "show", "dev", config["interface"]))
    present = {entry.get("local") for link in links for entry in link.get("addr_info", [])}
    return [address for address in config["gateways"] if address in present]


def live_connections(address: str) -> int:
    """Number of connections to ``address`` on this node that carry data or may still do so."""
    states = [word for state in LIVE_STATES for word in ("state", state)]
    ports = " or ".join(f"sport = :{port}" for port in SERVICE_PORTS)
    listing = execute("ss", "-Htn", *states, f"src {address} and ( {ports} )")
    return len(listing.splitlines())


# ---------------------------------------------------------------- nftables and routing


def ruleset(forwards: Mapping[str, Record], cleared: tuple[int, ...] = ()) -> str:
    """The nftables transaction that brings the hand-over table to what ``forwards`` says.

    The sets of flows outlive it, except those of the numbers ``cleared``. Without any forward the table goes.
    """
    lines = [f"add table {NFT_TABLE}"]
    if not forwards:
        return "\n".join([*lines, f"delete table {NFT_TABLE}", ""])
    lines += [
        f"add chain {NFT_TABLE} prerouting {{ type filter hook prerouting priority raw; policy accept; }}",
        f"flush chain {NFT_TABLE} prerouting",
    ]
    for number in cleared:
        lines += [*_empty_objects(number), f"delete chain {NFT_TABLE} gateway_{number}"]
        lines += [f"delete set {NFT_TABLE} flows_{number}"]
    ports = ", ".join(str(port) for port in SERVICE_PORTS)
    for address, record in forwards.items():
        number = record["number"]
        chain, flows, flow = f"{NFT_TABLE} gateway_{number}", f"@flows_{number}", "ip saddr . tcp sport . tcp dport"
        change = "delete" if record["retained"] else "update"
        lines += [
            *_empty_objects(number),
            f"add rule {chain} tcp flags & (fin | syn | rst | ack) == syn {change} {flows} {{ {flow} }}",
            f"add rule {chain} {flow} {flows} update {flows} {{ {flow} }} meta mark set {MARK:#x} notrack",
            f"add rule {NFT_TABLE} prerouting ip daddr {address} tcp dport {{ {ports} }} goto gateway_{number}",
        ]
    return "\n".join([*lines, ""])


def _empty_objects(number: int) -> list[str]:
    """Commands after which chain and set of an address are there, the chain empty, the set as it was."""
    return [
        f"add set {NFT_TABLE} flows_{number} {{ type ipv4_addr . inet_service . inet_service; size {FLOW_LIMIT}; "
        f"flags dynamic, timeout; timeout {FLOW_TIMEOUT_SECONDS}s; }}",
        f"add chain {NFT_TABLE} gateway_{number}",
        f"flush chain {NFT_TABLE} gateway_{number}",
    ]


def set_routes(forwards: Mapping[str, Record], interface: str) -> None:
    """Add the routes and routing rules that the forwards need; the rule of ``local`` goes behind them."""
    rules = rule_priorities()
    if LOCAL_RULE_MOVED not in rules:
        execute("ip", "-4", "rule", "add", "priority", str(LOCAL_RULE_MOVED), "lookup", "local")
    for address, record in forwards.items():
        table, priority = str(TABLE_BASE + record["number"]), RULE_BASE + record["number"]
        execute("ip", "-4", "route", "replace", "default", "via", record["next"], "dev", interface, "table", table)
        if priority not in rules:
            selector = ["fwmark", f"{MARK:#x}", "to", f"{address}/32", "lookup", table]
            execute("ip", "-4", "rule", "add", "priority", str(priority), *selector)
    if 0 in rules:
        execute("ip", "-4", "rule", "delete", "priority", "0", "lookup", "local")


def remove_routes(number: int, last: bool) -> None:
    """Remove route and rule of one address; after the ``last`` one the rule of ``local`` is first again."""
    rules = rule_priorities()
    if last and 0 not in rules:
        execute("ip", "-4", "rule", "add", "priority", "0", "lookup", "local")
    if last and LOCAL_RULE_MOVED in rules:
        execute("ip", "-4", "rule", "delete", "priority", str(LOCAL_RULE_MOVED), "lookup", "local")
    if RULE_BASE + number in rules:
        execute("ip", "-4", "rule", "delete", "priority", str(RULE_BASE + number))
    execute("ip", "-4", "route", "flush", "table", str(TABLE_BASE + number), missing_ok=True)


def rule_priorities() -> set[int]:
    """Priorities of the IPv4 routing rules."""
    return {int(rule["priority"]) for rule in json.loads(execute("ip", "-json", "-4", "rule", "show"))}


def retain(forwards: dict[str, Record], address: str) -> None:
    """Stop forwarding new connections; what is forwarded goes on for RETAINED_SECONDS at least."""
    expires = max(forwards[address]["expires"], time.time() + RETAINED_SECONDS)
    forwards[address] |= {"retained": True, "expires": expires}
    execute("nft", "-f", "-", stdin=ruleset(forwards))


def clear(forwards: dict[str, Record], addresses: list[str], config: Config) -> None:
    """Remove the forwards of ``addresses``: first the marks, then the routes that need them."""
    numbers = {address: forwards.pop(address)["number"] for address in addresses}
    everything = not forwards
    if numbers or everything:
        execute("nft", "-f", "-", stdin=ruleset(forwards, tuple(numbers.values())))
    leftovers = range(1, len(config["gateways"]) + 1) if everything else numbers.values()
    for number in leftovers:
        remove_routes(number, last=everything)


# ---------------------------------------------------------------- state


@contextlib.contextmanager
def locked_state() -> Iterator[dict[str, dict[str, Record]]]:
    """The forwards and releases in force, under a lock; written back also when the body fails half-way.

    So whatever was begun is on record, with its expiry, and can be cleared.
    """
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    with (DIRECTORY / "handover.lock").open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        state = read_state()
        try:
            yield state
        finally:
            write_state(state)


def read_state() -> dict[str, dict[str, Record]]:
    """What ``handover.json`` says; nothing in force when it is not there."""
    try:
        state: dict[str, dict[str, Record]] = json.loads((DIRECTORY / "handover.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {"forwards": {}, "releases": {}}
    return state


def write_state(state: Mapping[str, Any]) -> None:
    """Replace ``handover.json`` atomically; it is there only while something is in force."""
    path = DIRECTORY / "handover.json"
    if not any(state.values()):
        path.unlink(missing_ok=True)
        return
    staged = path.with_suffix(".new")
    staged.write_text(json.dumps(state, indent=1), encoding="utf-8")
    staged.replace(path)


def write_release(number: int, released: bool) -> None:
    """Tell keepalived (``track_file``) whether this node gives gateway address ``number`` up.

    The file is written in place: keepalived watches it, and a replaced file could be read as absent.
    """
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    (DIRECTORY / f"{number}.release").write_text("1\n" if released else "0\n", encoding="ascii")


def allow(address: str, number: int) -> None:
    """Lift the release of an address, if there is one."""
    with locked_state() as state:
        state["releases"].pop(address, None)
        write_release(number, False)


def ownership(owner: str, seconds: float) -> Record:
    """Who did it, when, and when it undoes itself (Unix time, seconds)."""
    now = time.time()
    return {"owner": owner, "since": now, "expires": now + seconds}


# ---------------------------------------------------------------- helpers


def wait_for(condition: Callable[[], bool], seconds: float, poll: float = POLL_SECONDS) -> bool:
    """Whether ``condition`` came true within ``seconds``; it is tried at least once."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(poll)
    return True


def elapsed(started: float) -> float:
    """Seconds since ``started`` (monotonic), to the millisecond."""
    return round(time.monotonic() - started, 3)


def execute(*words: str, stdin: str | None = None, missing_ok: bool = False) -> str:
    """Output of a command.

    :raises GatewayError: when it fails, unless ``missing_ok``.
    """
    environment = {**os.environ, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
    result = subprocess.run(words, input=stdin, capture_output=True, text=True, env=environment, check=False)
    if result.returncode and not missing_ok:
        raise GatewayError(f"{' '.join(words)}: {result.stderr.strip() or result.returncode}")
    return result.stdout
