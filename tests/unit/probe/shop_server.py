# SPDX-License-Identifier: GPL-3.0-or-later
"""A small shop over real sockets that fails in the ways a test asks for."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

PRODUCTS = {"MUG-1": "Red mug", "MUG-2": "Blue mug", "POT-1": "Tea pot", "TRAY-1": "Oak tray"}


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    connection: int
    nth: int
    """The how-manieth request of its connection, from 1."""


@dataclass
class Answer:
    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Fault:
    """What to do to a request: `reset` or `close` it after `sent` bytes of the answer, wait first, replace
    the status or the body, announce the close (`close_after`) or close without a word (`drop_after`)."""

    delay: float = 0.0
    reset: bool = False
    close: bool = False
    sent: int = 0
    status: int | None = None
    body: bytes | None = None
    close_after: bool = False
    drop_after: bool = False
    chunked: bool = False


def json_answer(value: Any, status: int = 200) -> Answer:
    return Answer(status, json.dumps(value).encode(), {"Content-Type": "application/json"})


class ShopServer:
    """`async with ShopServer() as shop`; switches are attributes, to be changed while it runs."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.fault: Callable[[Request], Fault | None] = lambda _request: None
        self.lose_sessions = False
        self.keep_orders: Callable[[int], int] = lambda _number: 1
        """How many orders an acknowledged one leaves in the list."""
        self.same_number = False
        self.replication_delay = 0.0
        self.corrupt_media = False
        self.requests: list[Request] = []
        self.orders: list[tuple[int, str]] = []
        self.connections = 0
        self._tls = tls
        self._next_number = 1
        self._sessions: dict[str, dict[str, int]] = {}
        self._media: dict[str, bytes] = {}
        self._ordered_at: dict[int, float] = {}
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'https' if self._tls else 'http'}://127.0.0.1:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Stop listening and reset what is open: the machine is gone."""
        self._server.close()
        for writer in tuple(self._writers):
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        connection, nth = self.connections, 0
        self._writers.add(writer)
        try:
            while True:
                nth += 1
                request = await self._read(reader, connection, nth)
                if not await self._reply(request, writer):
                    return
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _read(self, reader: asyncio.StreamReader, connection: int, nth: int) -> Request:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        start, *lines = head.rstrip("\r\n").split("\r\n")
        method, target, _ = start.split(" ")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        parts = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        request = Request(method, unquote(parts.path), query, headers, body, connection, nth)
        self.requests.append(request)
        return request

    async def _reply(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        """Answer; returns whether the connection stays."""
        fault = self.fault(request) or Fault()
        if fault.delay:
            await asyncio.sleep(fault.delay)
        answer = self._answer(request)
        answer.status = fault.status or answer.status
        answer.body = answer.body if fault.body is None else fault.body
        keep = request.headers.get("connection") != "close" and not fault.close_after
        data = _encode(answer, keep, fault.chunked)
        if fault.reset or fault.close:
            writer.write(data[: fault.sent])
            await writer.drain()
            if fault.reset:
                _reset_on_close(writer)
            return False
        writer.write(data)
        await writer.drain()
        return keep and not fault.drop_after

    def _answer(self, request: Request) -> Answer:
        match request.method, request.path.strip("/").split("/"):
            case "GET", [""]:
                links = "".join(f'<a href="/product/{sku}">{name}</a>' for sku, name in PRODUCTS.items())
                return Answer(200, links.encode(), {"Content-Type": "text/html"})
            case "GET", ["product", sku] if sku in PRODUCTS:
                return json_answer({"sku": sku, "name": PRODUCTS[sku]})
            case "GET", ["search"]:
                hits = [{"sku": sku} for sku, name in PRODUCTS.items() if request.query["q"] in name]
                return json_answer({"query": request.query["q"], "products": hits})
            case _, ["cart"]:
                return self._cart(request)
            case "POST", ["checkout"]:
                return self._checkout(request)
            case "GET", ["orders"]:
                return self._list(request)
            case "POST", ["media"]:
                self._media[request.query["name"]] = request.body
                return json_answer({"name": request.query["name"]}, 201)
            case "GET", ["media", name] if name in self._media:
                return Answer(200, self._media[name][: 100 if self.corrupt_media else None])
        return Answer(404, b"no such page")

    def _session(self, request: Request) -> tuple[str, dict[str, int]]:
        if self.lose_sessions:
            self._sessions.clear()
        sent = request.headers.get("cookie", "").partition("session=")[2].partition(";")[0]
        name = sent if sent in self._sessions else f"s{len(self._sessions)}-{len(self.requests)}"
        return name, self._sessions.setdefault(name, {})

    def _cart(self, request: Request) -> Answer:
        name, cart = self._session(request)
        if request.method == "POST":
            form = parse_qs(request.body.decode())
            cart[form["sku"][0]] = int(form["qty"][0])
        answer = json_answer({"items": [{"sku": sku, "qty": quantity} for sku, quantity in cart.items()]})
        answer.headers["Set-Cookie"] = f"session={name}; path=/; HttpOnly"
        return answer

    def _checkout(self, request: Request) -> Answer:
        _, cart = self._session(request)
        if not cart:
            return Answer(409, b"The cart is empty.")
        cart.clear()
        number, key = self._next_number, request.headers["idempotency-key"]
        for copy in range(self.keep_orders(number)):
            self.orders.append((number + copy, key))
            self._ordered_at[number + copy] = asyncio.get_running_loop().time()
        if not self.same_number:
            self._next_number += 3
        return json_answer({"order": number})

    def _list(self, request: Request) -> Answer:
        datetime.fromisoformat(request.query["since"])
        before = asyncio.get_running_loop().time() - self.replication_delay
        listed = [
            {"order": number, "key": key}
            for number, key in sorted(self.orders)
            if number > int(request.query["after"]) and self._ordered_at[number] <= before
        ]
        return json_answer(listed[:10])


def _encode(answer: Answer, keep: bool, chunked: bool) -> bytes:
    headers = {
        "Date": format_datetime(datetime.now(UTC), usegmt=True),
        "X-Node": "node1",
        "Connection": "keep-alive" if keep else "close",
        **answer.headers,
    }
    body = answer.body
    if chunked:
        headers["Transfer-Encoding"] = "chunked"
        body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:7], body[7:]) if part)
        body += b"0\r\n\r\n"
    else:
        headers["Content-Length"] = str(len(body))
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {answer.status} Status\r\n{head}\r\n".encode() + body


def _reset_on_close(writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
