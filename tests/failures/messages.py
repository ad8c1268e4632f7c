# SPDX-License-Identifier: GPL-3.0-or-later
"""A bounded load of messages: what was accepted is to be read, each once.

Each message has an id. The publisher counts it as accepted when the broker has confirmed it, and sends it again, under
the same id, when it does not know. The consumer acknowledges each message after it has noted its id. So a message may
come twice for two reasons that no broker can take away: its confirmation was lost (``sent_again``), or its
acknowledgement was, and the broker says so (``redelivered``). What came twice for neither reason is ``doubled``.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pika
from pika.adapters.utils.connection_workflow import AMQPConnectorException
from pika.exceptions import AMQPError

PAUSE_SECONDS = 0.2
ANSWER_SECONDS = 5
DRAIN_SECONDS = 60.0
PREFETCH = 20
FAILURES = (AMQPError, AMQPConnectorException, OSError)


@dataclass(frozen=True)
class Login:
    """Where the brokers are, in the order in which they are tried, and as whom they are asked."""

    endpoints: tuple[tuple[str, int], ...]
    virtual_host: str
    user: str
    password: str

    def connect(self, turn: int) -> pika.BlockingConnection:
        """A connection to the first endpoint that takes one, beginning with number ``turn``."""
        credentials = pika.PlainCredentials(self.user, self.password)
        problem: BaseException = OSError("no endpoint")
        for offset in range(len(self.endpoints)):
            host, port = self.endpoints[(turn + offset) % len(self.endpoints)]
            parameters = pika.ConnectionParameters(
                host,
                port,
                self.virtual_host,
                credentials,
                heartbeat=10,
                socket_timeout=ANSWER_SECONDS,
                stack_timeout=ANSWER_SECONDS,
                blocked_connection_timeout=ANSWER_SECONDS,
            )
            try:
                return pika.BlockingConnection(parameters)
            except FAILURES as failure:
                problem = failure
        raise problem


@dataclass
class Figures:
    """What happened, by id of the message."""

    accepted: list[int] = field(default_factory=list)
    sent_again: set[int] = field(default_factory=set)
    received: Counter[int] = field(default_factory=Counter)
    redelivered: set[int] = field(default_factory=set)
    connections: Counter[str] = field(default_factory=Counter)
    longest_wait_seconds: float = 0.0
    """The longest time from the first attempt to send a message to its confirmation."""

    @property
    def lost(self) -> set[int]:
        """Accepted, and never read."""
        return set(self.accepted) - self.received.keys()

    @property
    def twice(self) -> set[int]:
        """Read more than once, for whatever reason."""
        return {number for number, times in self.received.items() if times > 1}

    @property
    def doubled(self) -> set[int]:
        """Read more than once for no reason that the client knows."""
        return self.twice - self.sent_again - self.redelivered

    def to_dict(self) -> dict[str, object]:
        """The figures that are kept."""
        return {
            "accepted": len(self.accepted),
            "read": len(self.received),
            "lost": len(self.lost),
            "doubled": len(self.doubled),
            "twice": len(self.twice),
            "sent_again": len(self.sent_again),
            "redelivered": len(self.redelivered),
            "connections": dict(self.connections),
            "longest_wait_seconds": round(self.longest_wait_seconds, 2),
        }


class Load:
    """One publisher and one consumer of one queue, until it is told to stop."""

    def __init__(self, login: Login, queue: str, rate: float, arguments: dict[str, object] | None = None) -> None:
        self.figures = Figures()
        self._login = login
        self._queue = queue
        self._rate = rate
        self._arguments = arguments or {}
        self._stop = threading.Event()
        self._drained = threading.Event()

    @contextlib.contextmanager
    def running(self) -> Iterator[Figures]:
        """Publish and consume meanwhile; at the end everything that was accepted is read, or a minute has passed."""
        threads = [threading.Thread(target=work, daemon=True) for work in (self._publish, self._consume)]
        for thread in threads:
            thread.start()
        try:
            yield self.figures
        finally:
            self._stop.set()
            threads[0].join(timeout=DRAIN_SECONDS)
            end = time.monotonic() + DRAIN_SECONDS
            while self.figures.lost and time.monotonic() < end:
                time.sleep(PAUSE_SECONDS)
            # What comes twice may come last.
            time.sleep(2.0)
            self._drained.set()
            threads[1].join(timeout=ANSWER_SECONDS + 5)

    def _open(self, role: str) -> tuple[pika.BlockingConnection, pika.adapters.blocking_connection.BlockingChannel]:
        turn = self.figures.connections[role]
        connection = self._login.connect(turn)
        self.figures.connections[role] += 1
        channel = connection.channel()
        channel.queue_declare(self._queue, durable=True, arguments=self._arguments)
        return connection, channel

    def _publish(self) -> None:
        number = 0
        due = time.monotonic()
        connection = channel = None
        first_attempt = due
        while not self._stop.is_set():
            try:
                if channel is None:
                    connection, channel = self._open("publisher")
                    channel.confirm_delivery()
                channel.basic_publish(
                    "", self._queue, str(number).encode(), pika.BasicProperties(delivery_mode=2), mandatory=True
                )
            except FAILURES:
                if channel is not None:
                    self.figures.sent_again.add(number)
                    _close(connection)
                connection = channel = None
                time.sleep(PAUSE_SECONDS)
                continue
            now = time.monotonic()
            self.figures.accepted.append(number)
            self.figures.longest_wait_seconds = max(self.figures.longest_wait_seconds, now - first_attempt)
            number += 1
            due = max(due + 1 / self._rate, now - 1)
            first_attempt = max(due, now)
            while due > time.monotonic() and connection is not None:
                with contextlib.suppress(*FAILURES):
                    connection.process_data_events(time_limit=max(0.0, due - time.monotonic()))
                if not connection.is_open:
                    connection = channel = None
        _close(connection)

    def _consume(self) -> None:
        connection = None
        while not self._drained.is_set():
            try:
                connection, channel = self._open("consumer")
                channel.basic_qos(prefetch_count=PREFETCH)
                for method, _, body in channel.consume(self._queue, inactivity_timeout=PAUSE_SECONDS):
                    if method is not None:
                        self._note(int(body), redelivered=method.redelivered)
                        channel.basic_ack(method.delivery_tag)
                    if self._drained.is_set():
                        break
            except FAILURES:
                _close(connection)
                time.sleep(PAUSE_SECONDS)
        _close(connection)

    def _note(self, number: int, *, redelivered: bool) -> None:
        self.figures.received[number] += 1
        if redelivered:
            self.figures.redelivered.add(number)


def send(login: Login, queue: str, bodies: Sequence[bytes]) -> None:
    """Publish durable messages and have each confirmed, by one connection to the first endpoint."""
    connection = login.connect(0)
    channel = connection.channel()
    channel.queue_declare(queue, durable=True)
    channel.confirm_delivery()
    for body in bodies:
        channel.basic_publish("", queue, body, pika.BasicProperties(delivery_mode=2), mandatory=True)
    connection.close()


def fetch(login: Login, queue: str, count: int, seconds: float) -> list[bytes]:
    """Read messages, by as many connections as it takes."""
    found: list[bytes] = []
    end = time.monotonic() + seconds
    while len(found) < count and time.monotonic() < end:
        with contextlib.suppress(*FAILURES):
            connection = login.connect(0)
            channel = connection.channel()
            method, _, body = channel.basic_get(queue)
            while method is not None:
                found.append(body)
                channel.basic_ack(method.delivery_tag)
                method, _, body = channel.basic_get(queue)
            connection.close()
        time.sleep(PAUSE_SECONDS)
    return found


def _close(connection: pika.BlockingConnection | None) -> None:
    with contextlib.suppress(*FAILURES):
        if connection is not None and connection.is_open:
            connection.close()
