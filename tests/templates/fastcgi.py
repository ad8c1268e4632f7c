# SPDX-License-Identifier: GPL-3.0-or-later
"""In the place of PHP-FPM: answers each request with the parameters that it got, as JSON."""

from __future__ import annotations

import json
import socketserver
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BEGIN, END, PARAMETERS, BODY, ANSWER = 1, 3, 4, 5, 6


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        parameters, length = b"", 0
        while True:
            head = self.rfile.read(8)
            if len(head) < 8:
                return
            _, kind, number, size, padding, _ = struct.unpack("!BBHHBB", head)
            content = self.rfile.read(size)
            self.rfile.read(padding)
            if kind == PARAMETERS:
                parameters += content
            if kind == BODY and content:
                length += size
            elif kind == BODY:
                self._answer(number, {**dict(_pairs(parameters)), "BODY_BYTES": str(length)})
                return

    def _answer(self, number: int, parameters: dict[str, str]) -> None:
        text = b"Content-Type: application/json\r\n\r\n" + json.dumps(parameters).encode()
        for kind, content in ((ANSWER, text), (ANSWER, b""), (END, bytes(8))):
            self.wfile.write(struct.pack("!BBHHBB", 1, kind, number, len(content), 0, 0) + content)


def _pairs(data: bytes) -> Iterator[tuple[str, str]]:
    at = 0

    def length() -> int:
        nonlocal at
        wide = data[at] & 0x80
        value = struct.unpack_from("!I", data, at)[0] & 0x7FFFFFFF if wide else data[at]
        at += 4 if wide else 1
        return int(value)

    while at < len(data):
        name, value = length(), length()
        yield data[at : at + name].decode(), data[at + name : at + name + value].decode()
        at += name + value


@contextmanager
def responder(path: Path) -> Iterator[None]:
    """Answer at a socket, until the end of the block."""
    path.unlink(missing_ok=True)
    with socketserver.ThreadingUnixStreamServer(str(path), _Handler) as server:
        path.chmod(0o666)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
            path.unlink()
