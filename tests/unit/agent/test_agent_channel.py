# SPDX-License-Identifier: GPL-3.0-or-later
"""The agents' channel over the loopback: who has no secret, or says again what was said, gets nothing."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from trivet.agent import channel
from trivet.agent.channel import Channel, Untrusted, listening
from trivet.health.config import Member, NodeConfig
from trivet.node.errors import AgentError

SECRET = "a-secret-of-this-environment"
MEMBERS = tuple(Member(f"n{n}", n, f"127.0.0.{n}") for n in (1, 2, 3))


def config(number: int) -> NodeConfig:
    member = MEMBERS[number - 1]
    return NodeConfig("test", member.name, number, member.address, "lo", MEMBERS)


class Served:
    """An agent that answers, and what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, Any]]] = []

    def answer(self, asker: str, question: str, arguments: Mapping[str, Any]) -> Any:
        self.asked.append((asker, question, dict(arguments)))
        if question == "refuse":
            raise AgentError("not today")
        return {"you said": dict(arguments)}


@contextmanager
def serving(number: int = 2, secret: str = SECRET) -> Iterator[tuple[Served, int]]:
    listener = listening(config(number).address, 0)
    served = Served()
    end = Channel(config(number), secret)
    thread = threading.Thread(target=end.serve, args=(listener, served.answer), daemon=True)
    thread.start()
    try:
        yield served, listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)
        assert not thread.is_alive()


@contextmanager
def impostor(reply: Callable[[bytes], bytes]) -> Iterator[int]:
    """A server at the address of n2 that has no secret of its own."""
    listener = listening("127.0.0.2", 0)

    def run() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b'{"challenge": "0"}\n')
            connection.sendall(reply(connection.makefile("rb").readline()))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    thread.join(5)
    listener.close()


def test_a_question_is_answered_by_who_was_asked() -> None:
    with serving() as (served, port):
        answer = Channel(config(1), SECRET, port).ask(MEMBERS[1], "look", seconds=3)
    assert answer == {"you said": {"seconds": 3}}
    assert served.asked == [("n1", "look", {"seconds": 3})]


def test_a_refusal_is_told() -> None:
    with serving() as (_served, port), pytest.raises(AgentError, match="n2: not today"):
        Channel(config(1), SECRET, port).ask(MEMBERS[1], "refuse")


def test_without_the_secret_nothing_is_answered() -> None:
    with serving() as (served, port), pytest.raises(AgentError):
        Channel(config(1), "some-other-long-secret", port).ask(MEMBERS[1], "look")
    assert served.asked == []


def test_an_answer_without_the_secret_is_not_believed() -> None:
    with (
        impostor(lambda asked: b"0 " + asked.partition(b" ")[2]) as port,
        pytest.raises(Untrusted, match="not signed"),
    ):
        Channel(config(1), SECRET, port).ask(MEMBERS[1], "look")


def test_a_question_sent_back_is_no_answer() -> None:
    with impostor(lambda asked: asked) as port, pytest.raises(Untrusted, match="not for this question"):
        Channel(config(1), SECRET, port).ask(MEMBERS[1], "look")


def dialogue(port: int, message: Callable[[str], bytes], address: str = "127.0.0.1") -> bytes:
    """Say something to n2 by hand; its answer, empty when it gives none."""
    with socket.create_connection(("127.0.0.2", port), 5, (address, 0)) as connection:
        stream = connection.makefile("rb")
        challenge = json.loads(stream.readline())["challenge"]
        connection.sendall(message(challenge))
        return stream.readline()


def signed(**changes: Any) -> Callable[[str], bytes]:
    def message(challenge: str) -> bytes:
        said = {"from": "n1", "to": "n2", "ask": "look", "with": {}, "nonce": "1", "challenge": challenge, **changes}
        body = json.dumps(said).encode()
        return Channel(config(1), SECRET)._sign(body) + b" " + body + b"\n"

    return message


def test_what_was_said_once_cannot_be_said_again() -> None:
    heard: list[bytes] = []

    def once(challenge: str) -> bytes:
        heard.append(signed()(challenge))
        return heard[0]

    with serving() as (served, port):
        assert dialogue(port, once) != b""
        assert dialogue(port, lambda _challenge: heard[0]) == b""
        assert len(served.asked) == 1


@pytest.mark.parametrize(
    ("changes", "address"),
    [
        ({"to": "n3"}, "127.0.0.1"),
        ({"from": "n3"}, "127.0.0.1"),
        ({"from": "stranger"}, "127.0.0.1"),
        ({}, "127.0.0.9"),
        ({"challenge": "older"}, "127.0.0.1"),
    ],
)
def test_what_is_signed_but_out_of_place_is_not_answered(changes: dict[str, Any], address: str) -> None:
    with serving() as (served, port):
        assert dialogue(port, signed(**changes), address) == b""
        assert served.asked == []


@pytest.mark.parametrize("noise", [b"\n", b"nonsense\n", b"\xff\xfe \x00\n", b"GET / HTTP/1.1\r\n"])
def test_noise_ends_the_connection_and_nothing_else(noise: bytes) -> None:
    with serving() as (served, port):
        assert dialogue(port, lambda _challenge: noise) == b""
        assert dialogue(port, signed()) != b""
        assert len(served.asked) == 1


def test_a_changed_message_is_not_believed() -> None:
    with serving() as (served, port):
        assert dialogue(port, lambda challenge: signed()(challenge).replace(b"look", b"vote")) == b""
        assert served.asked == []


def test_who_is_not_there_is_said_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "ANSWER_SECONDS", 0.2)
    with listening("127.0.0.2", 0) as silent, pytest.raises(AgentError, match="n2 does not answer"):
        Channel(config(1), SECRET, silent.getsockname()[1]).ask(MEMBERS[1], "look")
    with pytest.raises(AgentError, match="n3 does not answer"):
        Channel(config(1), SECRET, 1).ask(MEMBERS[2], "look")


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="16 characters"):
        Channel(config(1), "short")
