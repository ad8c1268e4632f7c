# SPDX-License-Identifier: GPL-3.0-or-later
"""The one HTTP request that collectors and agent make."""

from __future__ import annotations

import socket
import threading

import pytest

from trivet.health.http import Response, exchange, parse


def asked(answer: bytes, method: str = "GET", body: bytes = b"", *, close: bool = True) -> tuple[bytes, Response]:
    """What a server was sent that answers so, and what was made of its answer."""
    here, there = socket.socketpair()
    with here, there:
        here.settimeout(2)

        def serve() -> None:
            there.sendall(answer)
            if close:
                there.shutdown(socket.SHUT_WR)

        threading.Thread(target=serve).start()
        response = exchange(here, method, "/path", {"Host": "shop"}, body)
        return there.recv(65536), response


def test_a_request_is_one_and_its_answer_ends_with_the_connection() -> None:
    sent, response = asked(b"HTTP/1.1 302 Found\r\nlocation: https://shop/\r\n\r\nbody")
    assert sent == b"GET /path HTTP/1.0\r\nHost: shop\r\n\r\n"
    assert response == Response(302, "https://shop/", b"body")


def test_an_answer_ends_with_its_length_also_when_the_connection_stays() -> None:
    sent, response = asked(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", "PUT", b'{"a": 1}', close=False)
    assert sent == b'PUT /path HTTP/1.0\r\nHost: shop\r\nContent-Length: 8\r\n\r\n{"a": 1}'
    assert response.body == b"{}"


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.0 200 OK\r\n", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\n{}"]
)
def test_half_an_answer_is_none(answer: bytes) -> None:
    with pytest.raises(ValueError, match="closed the connection"):
        parse(answer)
