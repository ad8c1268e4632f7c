# SPDX-License-Identifier: GPL-3.0-or-later
"""How the agents of an environment talk: one question and one answer, each signed with the environment's secret.

The server begins with a number used once, and the question carries it back beside the asker's own, which the answer
carries back. So neither can be replayed, and no clock is needed: one that is ten minutes off is among the faults that
the agents must live with. What is said is no secret, so it is signed (HMAC-SHA-256, RFC 2104) and not encrypted.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import logging
import secrets
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from trivet.health.config import Member, NodeConfig
from trivet.node.errors import AgentError
from trivet.services.host import contract as host

PORT = host.AGENT_CHANNEL_PORT.default
CONNECT_SECONDS = 1.0
ANSWER_SECONDS = 8.0
"""A question may have the facts collected anew."""
LARGEST_BYTES = 1024 * 1024
CONNECTIONS = 8
SHORTEST_SECRET = 16
PAUSE_SECONDS = 0.5

Answers = Callable[[str, str, Mapping[str, Any]], Any]
"""Takes the asker's name, the question and its arguments; raises ``AgentError`` to refuse."""

log = logging.getLogger(__name__)


class Untrusted(RuntimeError):
    """A message that does not come from where it should, or is not what was asked."""


class Channel:
    """This node's end of the channel.

    Raises:
        ValueError: the secret is too short to keep anybody out.
    """

    def __init__(self, config: NodeConfig, secret: str, port: int = PORT) -> None:
        if len(secret) < SHORTEST_SECRET:
            raise ValueError(f"the secret of the agents' channel needs {SHORTEST_SECRET} characters")
        self._config = config
        self._secret = secret.encode()
        self._port = port

    # ---------------------------------------------------------------- asking

    def ask(self, member: Member, question: str, **arguments: Any) -> Any:
        """Ask the agent of another member.

        Raises:
            AgentError: it does not answer in time, or refuses.
            Untrusted: the answer is not its own.
        """
        try:
            # From the own address, by which the other knows this node: a node may have gateway addresses too.
            place, own = (member.address, self._port), (self._config.address, 0)
            with socket.create_connection(place, CONNECT_SECONDS, own) as connection:
                connection.settimeout(ANSWER_SECONDS)
                stream = connection.makefile("rb")
                greeting = json.loads(_line(stream))
                nonce = secrets.token_hex(16)
                asked = {"from": self._config.name, "to": member.name, "ask": question, "with": arguments}
                self._send(connection, {**asked, "nonce": nonce, "challenge": str(greeting["challenge"])})
                answer = self._open(_line(stream))
        except (OSError, ValueError, KeyError, TypeError) as problem:
            raise AgentError(f"the agent of {member.name} does not answer: {problem}") from problem
        if (answer.get("from"), answer.get("to"), answer.get("nonce")) != (member.name, self._config.name, nonce):
            raise Untrusted(f"{member.address} sent an answer that is not for this question")
        if "error" in answer:
            raise AgentError(f"{member.name}: {answer['error']}")
        return answer.get("answer")

    # ---------------------------------------------------------------- answering

    def serve(self, listener: socket.socket, answers: Answers) -> None:
        """Answer until the listener is closed; a connection that is one too many is dropped."""
        places = threading.BoundedSemaphore(CONNECTIONS)
        while True:
            try:
                connection, (address, _port) = listener.accept()
            except OSError:
                if listener.fileno() < 0 or not _listens(listener):
                    return
                time.sleep(PAUSE_SECONDS)  # Out of file descriptors, for a moment.
                continue
            if not places.acquire(blocking=False):
                connection.close()
                continue
            arguments = (connection, address, answers, places)
            threading.Thread(target=self._serve_one, args=arguments, daemon=True).start()

    def _serve_one(
        self, connection: socket.socket, address: str, answers: Answers, places: threading.BoundedSemaphore
    ) -> None:
        try:
            with connection:
                self._answer(connection, address, answers)
        except Untrusted as problem:
            # Not answered: who has no secret learns nothing.
            log.warning("%s: %s", address, problem)
        except (OSError, ValueError, KeyError, TypeError) as problem:
            log.info("%s: %s", address, problem)
        finally:
            places.release()

    def _answer(self, connection: socket.socket, address: str, answers: Answers) -> None:
        connection.settimeout(ANSWER_SECONDS)
        challenge = secrets.token_hex(16)
        connection.sendall(json.dumps({"challenge": challenge}).encode() + b"\n")
        asked = self._open(_line(connection.makefile("rb")))
        asker = self._asker(asked, address, challenge)
        said: dict[str, Any] = {"from": self._config.name, "to": asker, "nonce": asked["nonce"]}
        try:
            said["answer"] = answers(asker, str(asked["ask"]), dict(asked["with"]))
        except RuntimeError as problem:
            said["error"] = str(problem)
        self._send(connection, said)

    def _asker(self, asked: Mapping[str, Any], address: str, challenge: str) -> str:
        """The member that asks.

        Raises:
            Untrusted: it is none, or asks somebody else, or says again what was said before.
        """
        name = str(asked.get("from"))
        addresses = {member.name: member.address for member in self._config.members}
        if addresses.get(name) != address:
            raise Untrusted(f"{name} does not ask from its own address")
        if asked.get("to") != self._config.name:
            raise Untrusted(f"a question of {name} to {asked.get('to')}")
        if not hmac.compare_digest(str(asked.get("challenge")), challenge):
            raise Untrusted(f"an old question of {name}")
        return name

    # ---------------------------------------------------------------- messages

    def _send(self, connection: socket.socket, message: Mapping[str, Any]) -> None:
        body = json.dumps(message, default=str).encode()
        connection.sendall(self._sign(body) + b" " + body + b"\n")

    def _open(self, line: bytes) -> dict[str, Any]:
        """The content of a message.

        Raises:
            Untrusted: it is not signed with the environment's secret.
            ValueError: it is no message.
        """
        signature, _, body = line.rstrip(b"\n").partition(b" ")
        if not hmac.compare_digest(signature, self._sign(body)):
            raise Untrusted("a message is not signed with the secret of this environment")
        message = json.loads(body)
        if not isinstance(message, dict):
            raise ValueError("a message is no object")
        return message

    def _sign(self, body: bytes) -> bytes:
        return hmac.new(self._secret, body, hashlib.sha256).hexdigest().encode()


def _line(stream: Any) -> bytes:
    """One whole line.

    Raises:
        ValueError: it does not end.
    """
    line: bytes = stream.readline(LARGEST_BYTES)
    if not line.endswith(b"\n"):
        raise ValueError("the connection was closed")
    return line


def _listens(listener: socket.socket) -> bool:
    """Whether a socket still takes connections."""
    return bool(listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def listening(address: str, port: int = PORT) -> socket.socket:
    """The channel's port on an address, which this node need not have yet (IP_FREEBIND)."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with contextlib.suppress(OSError):
        listener.setsockopt(socket.IPPROTO_IP, getattr(socket, "IP_FREEBIND", 15), 1)
    listener.bind((address, port))
    listener.listen(16)
    return listener
