# SPDX-License-Identifier: GPL-3.0-or-later
"""``serve``: answers HAProxy's agent checks, and runs the hold ports.

What HAProxy 2.6.12 was seen to make of the words of an agent check:

- ``ready`` cancels maintenance and drain, whoever set them: said at every check it would undo a hand-over.
- ``drain`` stays until ``ready`` is said; ``up`` does not end it.
- ``up 0%`` and ``up 100%`` set the weight. With weight 0 a server gets no new work, sessions in flight go on, and
  ``show stat`` goes on to call it UP with weight 0. Maintenance set over the runtime API is not touched.
- No answer changes nothing: the server keeps its last weight. A dead agent takes no node out.

So the answers are the two weights, and nothing else. After a reload the weight comes from the saved state at once, and
from the next check within two seconds. The interval is that long since 24 servers of three proxies ask every agent:
at half a second their 48 connections a second cost HAProxy and the agent some 3 % of a core each, on every node.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Iterable, Mapping
from typing import Any

from trivet.agent.check_port import CheckPort, listening
from trivet.agent.drain import SERVICES
from trivet.agent.systemd import notify, watchdog_seconds
from trivet.health.config import DRAIN_DIRECTORY, NodeConfig
from trivet.node.errors import AgentError
from trivet.node.flag_files import FlagFiles
from trivet.services.proxy.haproxy import (
    CHECK_PORT,
    DRAINED_ANSWER,
    HANDOVER_BACKEND,
    HOLD_LIMITS,
    HOLD_PORTS,
    STICKY_BACKEND,
    TAKING_ANSWER,
    parse_entry,
    parse_stat,
    real_servers,
    stat_command,
)
from trivet.services.proxy.hold import AsyncRuntime, HoldPort

KEEP_SECONDS = 2.0
"""How often overdue flags and holds are looked for; a hold lasts so much longer than its limit at most."""
PEER_SECONDS = 0.5

log = logging.getLogger(__name__)


def answer(service: str, flags: FlagFiles) -> str:
    """What HAProxy is told about a service of this node."""
    drained = service in SERVICES and flags.get(service) is not None
    return DRAINED_ANSWER if drained else TAKING_ANSWER


class Responder:
    """What the check port answers."""

    def __init__(self, flags: FlagFiles, runtime: AsyncRuntime, ports: Iterable[HoldPort]) -> None:
        self._flags = flags
        self._runtime = runtime
        self._ports = list(ports)

    def reply(self, question: str) -> str | Awaitable[str]:
        """``writer`` and ``held`` are for other agents and for the command line; all else is a service."""
        if question == "writer":
            return self._writer()
        if question == "held":
            return json.dumps({port.backend: port.counts for port in self._ports})
        return answer(question, self._flags)

    async def _writer(self) -> str:
        try:
            table = await self._runtime.ask(f"show table {STICKY_BACKEND}")
            stat = await self._runtime.ask(stat_command(STICKY_BACKEND))
            return json.dumps({"writer": parse_entry(table, real_servers(parse_stat(stat), STICKY_BACKEND)) or ""})
        except AgentError:
            return json.dumps({"writer": None})


async def writer_of(address: str) -> str | None:
    """Whom another node writes to: a name, "" for nobody yet, None when its agent does not say."""
    try:
        async with asyncio.timeout(PEER_SECONDS):
            reader, writer = await asyncio.open_connection(address, CHECK_PORT, limit=4096)
            try:
                writer.write(b"writer\n")
                name = json.loads(await reader.readline())["writer"]
                return name if isinstance(name, str) else None
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError, KeyError, TypeError):
        return None


class Keeper:
    """Ends what somebody left behind and what must not last a minute: expired drain flags, and holds never released.

    All else that expires is undone by ``flags expire``, which may do what this process may not, and may block.
    """

    def __init__(self, flags: FlagFiles, runtime: AsyncRuntime) -> None:
        self._flags = flags
        self._runtime = runtime

    async def keep(self) -> None:
        """Look for overdue flags and holds for ever."""
        while True:
            for service in self._flags.remove_expired():
                log.warning("the drain flag of %s has expired and was removed", service)
            with contextlib.suppress(AgentError):
                await self._end_overdue_holds()
            await asyncio.sleep(KEEP_SECONDS)

    async def _end_overdue_holds(self) -> None:
        for switch in parse_stat(await self._runtime.ask(stat_command(HANDOVER_BACKEND))):
            limit = HOLD_LIMITS[switch.name]
            if not switch.up and switch.unchanged_seconds >= limit:
                log.warning("%s was held for %.0f s or longer: released", switch.name, limit)
                await self._runtime.tell(f"set server {HANDOVER_BACKEND}/{switch.name} state ready")


async def watchdog() -> None:
    """Show systemd that the event loop still turns, at half of its patience."""
    while seconds := watchdog_seconds():
        notify("WATCHDOG=1")
        await asyncio.sleep(seconds)


async def serve(config: NodeConfig) -> None:
    """Run until a part fails; systemd starts the agent again."""
    flags, runtime = FlagFiles(DRAIN_DIRECTORY), AsyncRuntime()
    others = [member.address for member in config.members if member.address != config.address]

    async def ask_peers() -> list[str | None]:
        return list(await asyncio.gather(*map(writer_of, others)))

    ports = [HoldPort(backend, port, runtime, ask_peers) for backend, port in HOLD_PORTS.items()]
    responder = Responder(flags, runtime, ports)
    async with contextlib.AsyncExitStack() as stack:
        for address in (config.address, "127.0.0.1"):
            stack.callback(CheckPort(listening(address), responder.reply).close)
        group = await stack.enter_async_context(asyncio.TaskGroup())
        for port in ports:
            group.create_task(port.serve())
        group.create_task(Keeper(flags, runtime).keep())
        group.create_task(watchdog())
        notify("READY=1")


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``serve`` to the agent's command line."""
    subparsers.add_parser("serve", help="answer agent checks, hold connections").set_defaults(run=run_serve)


def run_serve(_args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """Serve until systemd says stop."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    asyncio.run(serve(NodeConfig.from_mapping(config)))
    return {}
