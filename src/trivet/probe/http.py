# SPDX-License-Identifier: GPL-3.0-or-later
"""A deliberately plain HTTP/1.1 client: no retries, no pool, no redirects.

General clients quietly send a request again when a kept-alive connection breaks. A probe must not: that
broken connection is what it is looking for. Here the caller decides which connection carries which
request, and each way to fail has a name.
"""

from __future__ import annotations

import asyncio
import functools
import socket
import ssl
from collections.abc import Generator
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from trivet.probe.failures import FailureKind, RequestFailed

MAXIMUM_HEAD_BYTES = 64 * 1024
MAXIMUM_BODY_BYTES = 8 * 1024 * 1024
TLS_SHUTDOWN_SECONDS = 2.0


class Malformed(Exception):
    """The peer's bytes are not an HTTP/1.1 response within the limits of this client."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One base URL, with its name resolved once: the probe must know which address it talks to."""

    url: str
    address: str
    port: int
    authority: str
    prefix: str
    tls: ssl.SSLContext | None
    server_name: str | None

    @classmethod
    async def resolve(cls, url: str, *, host: str | None, insecure: bool) -> Self:
        """Resolve `url`; `host` replaces its name in the Host header and in TLS. Raises OSError."""
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        found = await asyncio.get_running_loop().getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
        # IPv4 first: `localhost` is ::1 first on most machines, and the gateway addresses are IPv4.
        found.sort(key=lambda entry: entry[0] != socket.AF_INET)
        tls = _tls_context(insecure) if secure else None
        name = host or parts.hostname
        authority = host or parts.netloc.rpartition("@")[2]
        address = str(found[0][4][0])
        return cls(url, address, port, authority, parts.path.rstrip("/"), tls, name if secure else None)

    def request(
        self, method: str, target: str, headers: dict[str, str], body: bytes = b"", *, keep_alive: bool
    ) -> bytes:
        """The bytes of one request to this endpoint."""
        fields = {"Host": self.authority, "User-Agent": "trivet-probe", **headers}
        if not keep_alive:
            fields["Connection"] = "close"
        if body or method == "POST":
            fields["Content-Length"] = str(len(body))
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"{method} {self.prefix}{target} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body


@functools.cache
def _tls_context(insecure: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


@dataclass(frozen=True, slots=True)
class Response:
    """A complete response; header names are in lower case, repeated headers other than cookies joined."""

    status: int
    headers: dict[str, str]
    cookies: tuple[str, ...]
    body: bytes
    reusable: bool

    @property
    def node(self) -> str | None:
        """The node that answered, as the shop says it in X-Node."""
        return self.headers.get("x-node")


class ResponseParser:
    """Turns bytes into one response, however they are cut into pieces."""

    def __init__(self) -> None:
        self.head: dict[str, str] = {}
        self._buffer = bytearray()
        self._ended = False
        self._steps = self._parse()
        next(self._steps)

    def feed(self, data: bytes) -> Response | None:
        """The response once it is complete. Raises Malformed, also for bytes after the response's end."""
        self._buffer += data
        return self._advance()

    def end(self) -> Response | None:
        """The peer has closed: the response if that is how its body ends, else None."""
        self._ended = True
        return self._advance()

    def _advance(self) -> Response | None:
        try:
            next(self._steps)
        except StopIteration as finished:
            response: Response = finished.value
            if self._buffer:
                raise Malformed("more bytes than the response announced") from None
            return response
        return None

    def _parse(self) -> Generator[None, None, Response]:
        yield
        status = 100
        while 100 <= status < 200:
            version, status, headers, cookies = _parse_head((yield from self._until(b"\r\n\r\n")))
        self.head = headers
        persistent = version == "HTTP/1.1"
        if status in (204, 304):
            body = b""
        elif "chunked" in headers.get("transfer-encoding", "").lower():
            body = yield from self._chunks()
        elif "content-length" in headers:
            body = yield from self._exactly(_number(headers["content-length"], 10))
        else:
            persistent = False
            while not self._ended:
                self._limit(len(self._buffer))
                yield
            body = yield from self._exactly(len(self._buffer))
        tokens = {token.strip().lower() for token in headers.get("connection", "").split(",")}
        return Response(status, headers, cookies, body, persistent and "close" not in tokens)

    def _until(self, mark: bytes) -> Generator[None, None, bytes]:
        searched = 0
        while (position := self._buffer.find(mark, searched)) < 0:
            if len(self._buffer) > MAXIMUM_HEAD_BYTES:
                raise Malformed("head of the response is too long")
            searched = max(0, len(self._buffer) - len(mark) + 1)
            yield
        found = bytes(self._buffer[:position])
        del self._buffer[: position + len(mark)]
        return found

    def _exactly(self, count: int) -> Generator[None, None, bytes]:
        self._limit(count)
        while len(self._buffer) < count:
            yield
        found = bytes(self._buffer[:count])
        del self._buffer[:count]
        return found

    def _chunks(self) -> Generator[None, None, bytes]:
        body = bytearray()
        while size := _number((yield from self._until(b"\r\n")).partition(b";")[0].decode("latin-1"), 16):
            self._limit(len(body) + size)
            body += yield from self._exactly(size)
            if (yield from self._exactly(2)) != b"\r\n":
                raise Malformed("a chunk does not end where it said")
        while (yield from self._until(b"\r\n")):
            pass  # trailer fields are of no use here
        return bytes(body)

    @staticmethod
    def _limit(count: int) -> None:
        if count > MAXIMUM_BODY_BYTES:
            raise Malformed(f"body is larger than {MAXIMUM_BODY_BYTES} bytes")


def _number(text: str, base: int) -> int:
    """A non-negative number of the protocol; int() alone would also take signs and underscores."""
    digits = text.strip()
    if not digits.isascii() or not digits.isalnum():
        raise Malformed(f"not a length: {text[:20]!r}")
    try:
        return int(digits, base)
    except ValueError:
        raise Malformed(f"not a length: {text[:20]!r}") from None


def _parse_head(head: bytes) -> tuple[str, int, dict[str, str], tuple[str, ...]]:
    status_line, *lines = head.decode("latin-1").split("\r\n")
    version, _, rest = status_line.partition(" ")
    code = rest.partition(" ")[0]
    if not version.startswith("HTTP/1.") or len(code) != 3 or not (code.isascii() and code.isdigit()):
        raise Malformed(f"not an HTTP/1.1 status line: {status_line[:80]!r}")
    headers: dict[str, str] = {}
    cookies: list[str] = []
    for line in lines:
        name, separator, value = line.partition(":")
        if not separator:
            raise Malformed(f"not a header: {line[:80]!r}")
        name, value = name.strip().lower(), value.strip()
        if name == "set-cookie":
            cookies.append(value)
        else:
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return version, int(code), headers, tuple(cookies)


class Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self.node: str | None = None
        """Who began to answer the last request, known even when the answer never ended."""
        self._transport: asyncio.Transport | None = None
        self._parser: ResponseParser | None = None
        self._answer: asyncio.Future[Response] | None = None

    @classmethod
    async def open(cls, endpoint: Endpoint, timeout: float) -> Self:
        """Connect within `timeout` seconds. Raises RequestFailed."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout):
                _, connection = await loop.create_connection(
                    cls,
                    endpoint.address,
                    endpoint.port,
                    ssl=endpoint.tls,
                    server_hostname=endpoint.server_name,
                    ssl_shutdown_timeout=TLS_SHUTDOWN_SECONDS if endpoint.tls else None,
                )
        except TimeoutError as error:
            detail = str(error) or f"no connection after {timeout:.1f} s"
            raise RequestFailed(FailureKind.CONNECT_TIMEOUT, detail) from None
        except ConnectionRefusedError as error:
            raise RequestFailed(FailureKind.CONNECT_REFUSED, str(error)) from None
        except ConnectionResetError as error:
            raise RequestFailed(FailureKind.RESET, f"while connecting: {error}") from None
        except OSError as error:  # also ssl.SSLError
            raise RequestFailed(FailureKind.CONNECT_FAILED, str(error) or type(error).__name__) from None
        return connection

    @property
    def usable(self) -> bool:
        """Whether a request may be sent: open, idle, and nothing unasked-for has arrived."""
        return self._transport is not None and not self._transport.is_closing() and self._answer is None

    async def exchange(self, request: bytes) -> Response:
        """Send `request` and wait for its response. Raises RequestFailed; the connection is then closed."""
        transport = self._transport
        if transport is None or not self.usable:
            raise RuntimeError("the connection is not usable")
        self._parser = ResponseParser()
        self._answer = asyncio.get_running_loop().create_future()
        self.node = None
        transport.write(request)
        try:
            response = await self._answer
        except BaseException:
            transport.abort()
            raise
        finally:
            self._answer = self._parser = None
        if not response.reusable:
            self.close()
        return response

    def close(self) -> None:
        """Close the connection; harmless when it is closed already."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._parser is None:
            # Nothing was asked for (a 408 of an idle time-out, for instance): no request may follow on it.
            self.close()
            return
        try:
            response = self._parser.feed(data)
        except Malformed as error:
            self._fail(FailureKind.BAD_BODY, str(error))
            return
        self.node = self._parser.head.get("x-node")
        if response is not None:
            self._succeed(response)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._parser is None:
            return
        if exc is not None:
            self._fail(FailureKind.RESET, str(exc) or type(exc).__name__)
            return
        try:
            response = self._parser.end()
        except Malformed as error:
            self._fail(FailureKind.BAD_BODY, str(error))
            return
        if response is not None:
            self._succeed(response)
        else:
            begun = "in the middle of" if self._parser.head else "before"
            self._fail(FailureKind.CLOSED_EARLY, f"the connection was closed {begun} the response")

    def _succeed(self, response: Response) -> None:
        self._parser = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(response)

    def _fail(self, kind: FailureKind, detail: str) -> None:
        self._parser = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(RequestFailed(kind, detail))


async def get_once(endpoint: Endpoint, target: str, headers: dict[str, str], timeout: float) -> Response:
    """One GET on a connection of its own; `timeout` is that of the connection alone. Raises RequestFailed."""
    connection = await Connection.open(endpoint, timeout)
    try:
        return await connection.exchange(endpoint.request("GET", target, headers, keep_alive=False))
    finally:
        connection.close()
