# SPDX-License-Identifier: GPL-3.0-or-later
"""``proxy …``: hold and release the connections of a backend, and tell what HAProxy on this node does.

A hold does not touch the servers. Found on HAProxy 2.6.12: maintenance cuts the sessions that are in flight
(``on-marked-down shutdown-sessions``) and stops the health checks, and a drained server still gets every connection
that sticks to it. So each backend that can be held has a switch, a server of its name in the backend ``handover``.
While the switch is in maintenance, ``use-server hold`` sends every new connection to the hold port; sessions in flight
end in peace, and the checks go on, so that HAProxy knows the new primary by the time of the release.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from trivet.node.errors import AgentError
from trivet.services.gateway import contract as gateway
from trivet.services.proxy.half_closed import end_half_closed
from trivet.services.proxy.haproxy import (
    ANSWER_SECONDS,
    BACKEND_SERVICES,
    CHECK_PORT,
    DRAINED_ANSWER,
    HANDOVER_BACKEND,
    HOLD_PORTS,
    HOLD_SERVER,
    STICKY_BACKEND,
    Runtime,
    Server,
    entry_commands,
    parse_entry,
    parse_stat,
    real_servers,
    stat_command,
)
from trivet.services.registry import BACKENDS

CONFIGURATION = gateway.HAPROXY_FILE.default
STATE_FILE = gateway.HAPROXY_STATE_FILE.default
"""Read by HAProxy when it reloads (``server-state-file``)."""
UNSAVED = {"srv_check_port": "0", "srv_check_addr": "-", "srv_agent_addr": "-", "srv_agent_port": "0"}
"""Fields of a saved state that say nothing, as if they had not been changed at run time."""
SETTLE_SECONDS = 5.0
"""How long a release waits until exactly one server is known as the primary."""
POLL_SECONDS = 0.025
WAIT_POLL_SECONDS = 0.1


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``proxy …`` to the agent's command line."""
    commands = subparsers.add_parser("proxy", help="this node's HAProxy").add_subparsers(required=True)
    hold = commands.add_parser("hold", help="new connections wait; those in flight go on")
    hold.add_argument("backend", choices=tuple(HOLD_PORTS))
    hold.add_argument(
        "--wait", type=float, default=0.0, metavar="SECONDS", help="wait until nothing is in flight, at most so long"
    )
    hold.set_defaults(run=run_hold)
    release = commands.add_parser("release", help="let the held connections go")
    release.add_argument("backend", choices=tuple(HOLD_PORTS))
    release.add_argument(
        "--ready", default=(), type=_names, metavar="NODE,NODE", help="servers to use, where one alone is the primary"
    )
    release.add_argument("--maint", default=(), type=_names, metavar="NODE,NODE", help="servers to take out")
    release.set_defaults(run=run_release)
    sessions = commands.add_parser("sessions", help="current sessions per backend and server")
    sessions.add_argument("backend", nargs="?")
    sessions.set_defaults(run=run_sessions)
    wait = commands.add_parser("wait", help="wait until a server is used, or is not used and idle")
    wait.add_argument("server", metavar="NODE")
    aim = wait.add_mutually_exclusive_group(required=True)
    aim.add_argument("--used-in", type=_names, metavar="BACKEND,BACKEND", help="until it gets work in these")
    aim.add_argument(
        "--idle-in", type=_names, metavar="BACKEND,BACKEND", help="until it gets work nowhere, and has none in these"
    )
    wait.add_argument("--timeout", type=float, required=True, metavar="SECONDS")
    wait.set_defaults(run=run_wait)
    commands.add_parser("states", help="servers, holds and the writer").set_defaults(run=run_states)
    commands.add_parser("save", help="save what a reload would forget").set_defaults(run=run_save)


def _names(text: str) -> tuple[str, ...]:
    return tuple(filter(None, text.split(",")))


def run_hold(args: argparse.Namespace, _config: Mapping[str, Any]) -> dict[str, Any]:
    """Hold a backend. Idempotent; the agent ends a hold that nobody released."""
    runtime = Runtime()
    runtime.tell(f"set server {HANDOVER_BACKEND}/{args.backend} state maint")
    end = time.monotonic() + args.wait
    while (left := in_flight(runtime, args.backend)) and time.monotonic() < end:
        end_half_closed(runtime, real_servers(parse_stat(runtime.ask(stat_command(args.backend))), args.backend))
        time.sleep(POLL_SECONDS)
    return {"backend": args.backend, "held": True, "in_flight": left}


def in_flight(runtime: Runtime, backend: str) -> int:
    """Connections of a backend that have a server, by HAProxy itself or by the hold port."""
    servers = real_servers(parse_stat(runtime.ask(stat_command(backend))), backend)
    held = ask_agent("held") or {}
    spliced: dict[str, int] = held.get(backend, {}).get("spliced", {})
    return sum(item.sessions for item in servers) + sum(spliced.values())


def run_release(args: argparse.Namespace, _config: Mapping[str, Any]) -> dict[str, Any]:
    """Let the connections of a backend go. Idempotent."""
    return release(Runtime(), args.backend, args.ready, args.maint)


def release(runtime: Runtime, backend: str, ready: Sequence[str], maint: Sequence[str]) -> dict[str, Any]:
    """End the hold of a backend.

    Args:
        ready: names of the servers to use; connections that stick move to the first one that is up, unless the
            server that they stick to is one of them.
        maint: names of the servers to take out; what is still in flight there is cut.

    Raises:
        AgentError: a server is named twice or does not exist, none is named ready, or HAProxy does not do it.
    """
    if BACKENDS[backend].any_server:
        runtime.tell(f"set server {HANDOVER_BACKEND}/{backend} state ready")
        return {"backend": backend, "held": False, "settled": True, "writer": None}
    names = {item.name for item in real_servers(parse_stat(runtime.ask(stat_command(backend))), backend)}
    if unknown := {*ready, *maint} - names:
        raise AgentError(f"{backend} has no server {', '.join(sorted(unknown))}")
    if not ready or {*ready} & {*maint}:
        raise AgentError("a release needs a ready server, and no server can be ready and in maintenance")
    for name in maint:
        runtime.tell(f"set server {backend}/{name} state maint")
    for name in ready:
        runtime.tell(f"set server {backend}/{name} state ready")
    if backend != STICKY_BACKEND and len(ready) == 1:
        _believe(runtime, backend, ready[0], names)
    settled = settle(lambda: real_servers(parse_stat(runtime.ask(stat_command(backend))), backend), backend, ready)
    if backend == STICKY_BACKEND:
        move_entry(runtime, ready)
    runtime.tell(f"set server {HANDOVER_BACKEND}/{backend} state ready")
    return {"backend": backend, "held": False, "settled": settled, "writer": writer(runtime)}


def _believe(runtime: Runtime, backend: str, primary: str, names: set[str]) -> None:
    """Tell HAProxy who the primary is, which its checks would find out in a second; they go on and correct a lie.

    The others first: for a moment without a primary connections are held, with two of them writes could go astray.
    """
    for name in sorted(names - {primary}):
        runtime.tell(f"set server {backend}/{name} health down")
    runtime.tell(f"set server {backend}/{primary} health up")


def settle(
    look: Callable[[], list[Server]], backend: str, ready: Sequence[str], seconds: float = SETTLE_SECONDS
) -> bool:
    """Wait until a ready server is up, and, where only one can be the primary, until it alone is.

    False when the time is over.
    """
    end = time.monotonic() + seconds
    while True:
        up = {item.name for item in look() if item.up}
        if up & {*ready} and (backend == STICKY_BACKEND or len(up) == 1):
            return True
        if time.monotonic() >= end:
            return False
        time.sleep(POLL_SECONDS)


def move_entry(runtime: Runtime, ready: Sequence[str]) -> None:
    """Make connections stick to a ready server, if the one that they stick to is none."""
    servers = real_servers(parse_stat(runtime.ask(stat_command(STICKY_BACKEND))), STICKY_BACKEND)
    entry = parse_entry(runtime.ask(f"show table {STICKY_BACKEND}"), servers)
    up = {item.name: item for item in servers if item.up}
    if entry in ready and entry in up:
        return
    if chosen := next((up[name] for name in ready if name in up), None):
        for command in entry_commands(chosen):
            runtime.tell(command)


def writer(runtime: Runtime) -> str | None:
    """The server that connections to the writer stick to on this node."""
    servers = real_servers(parse_stat(runtime.ask(stat_command(STICKY_BACKEND))), STICKY_BACKEND)
    return parse_entry(runtime.ask(f"show table {STICKY_BACKEND}"), servers)


def run_sessions(args: argparse.Namespace, _config: Mapping[str, Any]) -> dict[str, Any]:
    """Current sessions: HAProxy's own, and those that the hold ports have connected since (they are HAProxy's
    sessions of the server ``hold`` too, beside the ones that still wait)."""
    servers = parse_stat(Runtime().ask(stat_command(args.backend or "-1")))
    sessions: dict[str, dict[str, int]] = {}
    for item in servers:
        if item.backend != HANDOVER_BACKEND:
            sessions.setdefault(item.backend, {})[item.name] = item.sessions
    held = ask_agent("held") or {}
    return {"sessions": sessions, "held": {name: held[name] for name in held if name in sessions}}


def run_wait(args: argparse.Namespace, _config: Mapping[str, Any]) -> dict[str, Any]:
    """Wait for a server here instead of by questions from outside: each of those costs a tenth of a second of a CPU
    on every node, while customers are served.

    One that is to be idle is given nothing new at once, where its agent says that it is drained.

    Raises:
        AgentError: HAProxy does not answer, or refuses the weight.
    """
    runtime = Runtime()
    end = time.monotonic() + args.timeout
    if args.idle_in:
        _give_nothing_new(runtime, args.server)
    while True:
        servers = [item for item in parse_stat(runtime.ask(stat_command())) if item.name == args.server]
        why = not_used(servers, args.used_in) if args.used_in else not_idle(servers, args.idle_in)
        if not why or time.monotonic() >= end:
            return {"done": not why, "why": why}
        if args.idle_in:
            end_half_closed(runtime, [item for item in servers if item.backend in args.idle_in])
        time.sleep(WAIT_POLL_SECONDS)


def _give_nothing_new(runtime: Runtime, server: str) -> None:
    """What the next agent check will do, wherever this server gets work and its agent says that it is drained.

    Where the agent does not, or does not answer, the proxies of the other nodes would go on sending it work: it is left
    as it is here too, and whoever waits for it to be idle learns that it is not.
    """
    said: dict[str, str | None] = {}
    for item in parse_stat(runtime.ask(stat_command())):
        service = BACKEND_SERVICES.get(item.backend)
        if item.name != server or item.state != "UP" or service is None:
            continue
        if service not in said:
            said[service] = agent_answer(service, item.endpoint[0])
        if said[service] == DRAINED_ANSWER:
            runtime.tell(f"set server {item.backend}/{item.name} weight 0%")


def not_used(servers: Sequence[Server], backends: Sequence[str]) -> str:
    """Why a server does not get work in all of these backends, in words; empty when it does."""
    states = {item.backend: item.state for item in servers}
    return ", ".join(f"{name} {states.get(name, 'missing')}" for name in backends if states.get(name) != "UP")


def not_idle(servers: Sequence[Server], backends: Sequence[str]) -> str:
    """Why a server is not idle: it still gets work in any backend, or has a session in one of these."""
    used = [f"{item.backend} UP" for item in servers if item.state == "UP"]
    busy = [
        f"{item.backend}: {item.sessions} sessions" for item in servers if item.sessions and item.backend in backends
    ]
    return ", ".join(used + busy)


def run_states(_args: argparse.Namespace, _config: Mapping[str, Any]) -> dict[str, Any]:
    """Every server's state, what is held, and the writer."""
    runtime = Runtime()
    servers = parse_stat(runtime.ask(stat_command()))
    return {
        "servers": [
            {
                "backend": item.backend,
                "server": item.name,
                "state": item.state,
                "status": item.status,
                "weight": item.weight,
                "sessions": item.sessions,
                "check": item.check,
            }
            for item in servers
            if item.backend != HANDOVER_BACKEND and item.name != HOLD_SERVER
        ],
        "held": {item.name: not item.up for item in servers if item.backend == HANDOVER_BACKEND},
        "writer": parse_entry(runtime.ask(f"show table {STICKY_BACKEND}"), real_servers(servers, STICKY_BACKEND)),
    }


def run_save(_args: argparse.Namespace, _config: Mapping[str, Any]) -> dict[str, Any]:
    """Save the state of the servers for the process that a reload starts.

    Without it the new process takes every server for a good one until its first check: replicas for primaries.
    """
    places = configured_places(CONFIGURATION.read_text(encoding="utf-8"))
    staged = STATE_FILE.with_suffix(".new")
    staged.write_text(still_true(Runtime().ask("show servers state"), places), encoding="utf-8")
    staged.replace(STATE_FILE)
    return {"saved": str(STATE_FILE)}


def configured_places(configuration: str) -> dict[tuple[str, str], str]:
    """Where each server is (``address:port``) by backend and name, in the configuration that is loaded next."""
    places = {}
    backend = ""
    for words in map(str.split, configuration.splitlines()):
        if words[:1] in (["backend"], ["listen"]):
            backend = words[1]
        elif words[:1] == ["server"]:
            places[backend, words[1]] = words[2]
    return places


def still_true(state: str, places: Mapping[tuple[str, str], str]) -> str:
    """The saved states of the servers that stay where they are.

    HAProxy takes the ports of the old process for changes made at run time, and puts them above a changed
    configuration; so a server that moved loses its state, and the places of checks are left to the configuration.
    """
    lines = state.splitlines()
    names = next((line for line in lines if line.startswith("# be_id")), "#").split()[1:]
    kept = lines[:2]  # The format's version, and the names.
    for line in lines[2:]:
        fields = dict(zip(names, line.split(), strict=False))
        place = places.get((fields.get("be_name", ""), fields.get("srv_name", "")))
        if place and place == f"{fields.get('srv_addr')}:{fields.get('srv_port')}":
            kept.append(" ".join((fields | UNSAVED).values()))
    return "\n".join(kept) + "\n"


def ask_agent(question: str) -> Any:
    """Put a question to this node's agent; its JSON answer, or None when there is none."""
    with contextlib.suppress(ValueError):
        return json.loads(agent_answer(question, "127.0.0.1") or "null")
    return None


def agent_answer(question: str, address: str) -> str | None:
    """The line that an agent's check port answers; None when it does not."""
    try:
        with socket.create_connection((address, CHECK_PORT), timeout=ANSWER_SECONDS) as connection:
            connection.sendall(f"{question}\n".encode())
            with connection.makefile("rb") as file:
                return file.readline().decode(errors="replace").strip()
    except OSError:
        return None
