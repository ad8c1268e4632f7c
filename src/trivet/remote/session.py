# SPDX-License-Identifier: GPL-3.0-or-later
"""A ``trivet-agent session`` on a node: questions are answered without a program being started for each."""

from __future__ import annotations

import json
import os
import select
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from trivet.remote.result import RemoteResult

OPEN_SECONDS = 10.0
CLOSE_SECONDS = 5.0
REOPEN_SECONDS = 20.0
READY = "ready"


class AgentSession:
    """One agent that listens, through one SSH connection.

    :param command: opens it: the words of ssh with the agent's.
    """

    def __init__(self, node: str, command: Sequence[str]) -> None:
        self._node = node
        self._unread = b""
        # A session of its own: the operator's Ctrl-C must reach this program and not cut a step off half-way.
        self._process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            bufsize=0,
        )
        line = self._line(OPEN_SECONDS)
        self._listens = line is not None and line.get("session") == READY
        if not self._listens:
            self.close()

    @property
    def listens(self) -> bool:
        """Whether it can be asked: an agent that does not know sessions, or was lost, cannot."""
        return self._listens and self._process.poll() is None

    def ask(self, arguments: Sequence[str], timeout: float) -> RemoteResult | None:
        """The answer to one command, as if it had been run by itself; None when it could not be put any more.

        :param timeout: seconds; when it runs out, the node counts as not reached and the session is over.
        """
        if not self._send(arguments):
            self.close()
            return None
        line = self._line(timeout)
        if line is None or "code" not in line:
            # Customers may be held meanwhile: what hangs is not waited for.
            self._process.kill()
            self.close()
            return RemoteResult.unreached(self._node, f"no answer within {timeout:.0f} s, or the session broke off")
        return RemoteResult(self._node, int(line["code"]), json.dumps(line["answer"]), "")

    def close(self) -> None:
        """End it. Harmless when it has ended."""
        self._listens = False
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        try:
            self._process.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _send(self, arguments: Sequence[str]) -> bool:
        if self._process.stdin is None or not self._listens:
            return False
        try:
            self._process.stdin.write(json.dumps(list(arguments)).encode() + b"\n")
        except OSError:
            return False
        return True

    def _line(self, timeout: float) -> dict[str, Any] | None:
        """The next line of JSON; None when there is none in time, or what comes is none."""
        end = time.monotonic() + timeout
        while b"\n" not in self._unread:
            left = end - time.monotonic()
            if self._process.stdout is None or left <= 0:
                return None
            if select.select([self._process.stdout], [], [], left)[0]:
                data = os.read(self._process.stdout.fileno(), 65536)
                if not data:
                    return None
                self._unread += data
        line, self._unread = self._unread.split(b"\n", 1)
        try:
            said = json.loads(line)
        except ValueError:
            return None
        return said if isinstance(said, dict) else None


class KeptSession:
    """The session of a node that is kept: after one that broke off at a question, one is opened REOPEN_SECONDS later.

    :param open_session: opens one.
    """

    def __init__(self, open_session: Callable[[], AgentSession]) -> None:
        self._open_session = open_session
        self._lock = threading.Lock()
        self._session: AgentSession | None = None
        self._not_before = 0.0
        self._wanted = True

    def ask(self, arguments: Sequence[str], timeout: float) -> RemoteResult | None:
        """The answer to one command; None, and nothing was asked, when it must be asked in another way.

        That is while another thread asks, so that nobody waits for an answer that is not his, and while there is no
        session.

        :param timeout: seconds; when it runs out, the node counts as not reached and the session is over.
        """
        if not self._lock.acquire(blocking=False):
            return None
        try:
            session = self._listening()
            if session is None:
                return None
            answer = session.ask(arguments, timeout)
            if answer is None or not answer.reached:
                self._not_before = time.monotonic() + REOPEN_SECONDS
            return answer
        finally:
            self._lock.release()

    def open(self) -> None:
        """Open it now, so that the next question does not wait for that."""
        with self._lock:
            self._not_before = 0.0
            self._listening()

    def want(self, wanted: bool) -> None:
        """Have no session while it is not wanted: an agent may be exchanged, or the machine with it."""
        with self._lock:
            self._wanted = wanted
            self._not_before = 0.0
            if not wanted and self._session is not None:
                self._session.close()
                self._session = None

    def _listening(self) -> AgentSession | None:
        if self._session is not None and self._session.listens:
            return self._session
        if not self._wanted or time.monotonic() < self._not_before:
            return None
        if self._session is not None:
            self._session.close()
        self._session = self._open_session()
        if self._session.listens:
            return self._session
        # A node that does not answer costs seconds each time.
        self._not_before = time.monotonic() + REOPEN_SECONDS
        return None
