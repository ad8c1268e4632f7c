# SPDX-License-Identifier: GPL-3.0-or-later
"""The check port, asked over the loopback."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from trivet.agent import check_port
from trivet.agent.check_port import CheckPort, listening
from trivet.agent.serve import Responder
from trivet.node.flag_files import FlagFiles
from trivet.services.proxy.hold import AsyncRuntime


def run(talk: Callable[[int], Awaitable[Any]], replies: check_port.Replies) -> Any:
    """What a talk with the port ends with."""

    async def answering() -> Any:
        listener = listening("127.0.0.1", 0)
        number: int = listener.getsockname()[1]
        port = CheckPort(listener, replies)
        try:
            async with asyncio.timeout(10):
                return await talk(number)
        finally:
            port.close()

    return asyncio.run(answering())


async def ask(port: int, *parts: bytes) -> bytes:
    """The answer to a question that is sent in parts."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for part in parts:
        writer.write(part)
        await asyncio.sleep(0.05)
    answer = await reader.read()
    writer.close()
    return answer


async def slowly(question: str) -> str:
    await asyncio.sleep(0.01)
    return question.upper()


def at_once(question: str) -> str:
    return question


@pytest.mark.parametrize(("replies", "said"), [(at_once, b"web\n"), (slowly, b"WEB\n")])
@pytest.mark.parametrize("parts", [(b"web\n",), (b"we", b"b", b"\n")])
def test_a_line_is_answered(replies: check_port.Replies, said: bytes, parts: tuple[bytes, ...]) -> None:
    assert run(lambda port: ask(port, *parts), replies) == said


@pytest.mark.parametrize("parts", [(b"x" * 100,), (b"x" * 60, b"y" * 60)])
def test_what_is_no_line_is_not_answered(parts: tuple[bytes, ...]) -> None:
    async def talk(port: int) -> bytes:
        try:
            return await ask(port, *parts)
        except ConnectionResetError:
            return b""

    assert run(talk, at_once) == b""


def test_who_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_port, "REQUEST_SECONDS", 0.2)
    assert run(lambda port: ask(port, b"we"), at_once) == b""


def test_many_are_answered_at_once() -> None:
    async def talk(port: int) -> list[bytes]:
        return await asyncio.gather(*(ask(port, b"web\n") for _ in range(100)))

    assert run(talk, at_once) == [b"web\n"] * 100


def test_without_file_descriptors_it_rests_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_port, "REST_SECONDS", 0.05)
    accept, failures = socket.socket.accept, iter([OSError(24, "Too many open files")])

    def failing(self: socket.socket) -> Any:
        for problem in failures:
            raise problem
        return accept(self)

    monkeypatch.setattr(socket.socket, "accept", failing)
    assert run(lambda port: ask(port, b"web\n"), at_once) == b"web\n"


def test_a_drained_service_has_no_weight(tmp_path: Path) -> None:
    flags = FlagFiles(tmp_path)
    responder = Responder(flags, AsyncRuntime(tmp_path / "none"), [])
    assert run(lambda port: ask(port, b"web\n"), responder.reply) == b"up 100%\n"
    flags.set("web", "test", 60.0)
    assert run(lambda port: ask(port, b"web\n"), responder.reply) == b"up 0%\n"
    assert run(lambda port: ask(port, b"search\n"), responder.reply) == b"up 100%\n"
    assert json.loads(run(lambda port: ask(port, b"writer\n"), responder.reply)) == {"writer": None}
    assert json.loads(run(lambda port: ask(port, b"held\n"), responder.reply)) == {}
