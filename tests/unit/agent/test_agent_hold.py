# SPDX-License-Identifier: GPL-3.0-or-later
"""The hold port: who it elects, and that it holds, connects and gives up, against a stand-in of HAProxy's socket."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from trivet.services.proxy import hold
from trivet.services.proxy.haproxy import Server
from trivet.services.proxy.hold import AsyncRuntime, HoldPort, elect

HEADER = "# pxname,svname,scur,status,weight,bck,sid,check_status,addr,lastchg\n"


def server(name: str, status: str = "UP", *, backup: bool = True) -> Server:
    return Server("db_writer", name, 1, status, backup, 1, 0, "10.0.0.1:3307", "")


SERVERS = [server("one", backup=False), server("two"), server("three")]


def name_of(chosen: Server | None) -> str | None:
    return chosen.name if chosen else None


@pytest.mark.parametrize(
    ("answers", "waited", "elected"),
    [
        (["two", "two"], 0, "two"),
        (["two", ""], 0, "two"),
        (["two", None], 0, "two"),
        (["", ""], 0, "one"),
        ([], 0, "one"),
        (["", None], 0, None),
        (["", None], 7, "one"),
        ([None, None], 7, "one"),
        (["gone", ""], 0, "one"),
    ],
)
def test_a_node_that_just_started_asks_before_it_guesses(
    answers: list[str | None], waited: float, elected: str | None
) -> None:
    assert name_of(elect(SERVERS, answers, waited)) == elected


class FakeProxy:
    """Answers like HAProxy's stats socket, from a state that the test changes."""

    def __init__(self) -> None:
        self.status = "UP"
        self.switch = "no check"
        self.entry = ""
        self.orders: list[str] = []
        self.place = ""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        command = (await reader.readline()).decode().strip()
        writer.write(self.answer(command).encode())
        await writer.drain()
        writer.close()

    def answer(self, command: str) -> str:
        if command == "show stat handover 4 -1":
            return f"{HEADER}handover,db_writer,0,{self.switch},1,0,1,,127.0.0.1:3305\n"
        if command == "show stat db_writer 4 -1":
            return f"{HEADER}db_writer,one,0,{self.status},1,0,1,L7OK,{self.place}\n"
        if command == "show table db_writer":
            return self.entry
        self.orders.append(command)
        return "\n"


@contextlib.asynccontextmanager
async def stage(path: Path) -> AsyncIterator[tuple[FakeProxy, HoldPort]]:
    """A hold port before a server that says which bytes it got, back."""
    proxy = FakeProxy()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(b"got " + data)
            await writer.drain()
        writer.close()

    async def nobody() -> list[str | None]:
        return []

    backend = await asyncio.start_server(echo, "127.0.0.1", 0)
    proxy.place = f"127.0.0.1:{backend.sockets[0].getsockname()[1]}"
    stats = await asyncio.start_unix_server(proxy.handle, path / "stats")
    held = HoldPort("db_writer", port, AsyncRuntime(path / "stats"), nobody)
    serving = asyncio.create_task(held.serve())
    await asyncio.sleep(0.01)
    try:
        yield proxy, held
    finally:
        serving.cancel()
        backend.close()
        stats.close()


def on_stage(path: Path, play: Callable[[FakeProxy, HoldPort], Awaitable[None]]) -> None:
    async def run() -> None:
        async with asyncio.timeout(20), stage(path) as (proxy, held):
            await play(proxy, held)

    asyncio.run(run())


def test_a_connection_waits_for_the_release_and_then_reaches_the_server(tmp_path: Path) -> None:
    async def play(proxy: FakeProxy, held: HoldPort) -> None:
        proxy.switch = "MAINT"
        reader, writer = await asyncio.open_connection("127.0.0.1", held.port)
        writer.write(b"hello")
        await asyncio.sleep(0.2)
        assert held.counts == {"waiting": 1, "spliced": {}}
        proxy.switch = "no check"
        assert await reader.read(100) == b"got hello"
        assert held.counts == {"waiting": 0, "spliced": {"one": 1}}
        assert proxy.orders == ["clear table db_writer", "set table db_writer key 1 data.server_id 1"]
        writer.close()
        assert await reader.read() == b""
        await asyncio.sleep(0.05)
        assert held.counts == {"waiting": 0, "spliced": {}}

    on_stage(tmp_path, play)


def test_a_known_writer_is_not_set_again(tmp_path: Path) -> None:
    async def play(proxy: FakeProxy, held: HoldPort) -> None:
        proxy.entry = "0x1: key=1 server_id=1 server_key=one\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", held.port)
        writer.write(b"x")
        assert await reader.read(100) == b"got x"
        assert proxy.orders == []
        writer.close()

    on_stage(tmp_path, play)


def test_it_gives_up_after_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hold, "HOLD_SECONDS", 0.2)

    async def play(proxy: FakeProxy, held: HoldPort) -> None:
        proxy.status = "DOWN"
        reader, writer = await asyncio.open_connection("127.0.0.1", held.port)
        assert await reader.read() == b""
        assert held.counts == {"waiting": 0, "spliced": {}}
        writer.close()

    on_stage(tmp_path, play)


def test_what_is_spliced_to_a_server_that_went_down_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hold, "WATCH_SECONDS", 0.05)

    async def play(proxy: FakeProxy, held: HoldPort) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", held.port)
        writer.write(b"x")
        assert await reader.read(100) == b"got x"
        proxy.status = "MAINT"
        assert await reader.read() == b""
        writer.close()

    on_stage(tmp_path, play)


def test_more_than_the_limit_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hold, "HELD_LIMIT", 1)

    async def play(proxy: FakeProxy, held: HoldPort) -> None:
        proxy.switch = "MAINT"
        _, first = await asyncio.open_connection("127.0.0.1", held.port)
        await asyncio.sleep(0.05)
        reader, second = await asyncio.open_connection("127.0.0.1", held.port)
        assert await reader.read() == b""
        assert held.counts == {"waiting": 1, "spliced": {}}
        first.close()
        second.close()

    on_stage(tmp_path, play)
