# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything a collector asks from outside its process, each call bounded in time."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trivet.health.http import Response, exchange

CALL_SECONDS = 3.0
"""The longest that one call may take."""
_LARGEST_ANSWER = 4 * 1024 * 1024


class NoAnswer(Exception):
    """The question could not be put or was not answered in time: nothing is known."""


class NotRunning(NoAnswer):
    """The service refused: it is known not to run."""


class Deadline:
    """The end of a collection; every call gets what is left of it, at most :data:`CALL_SECONDS`."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._units: dict[str, str] | None = None
        self._units_lock = threading.Lock()

    def left(self) -> float:
        """Seconds until the end, never below zero."""
        return max(0.0, self._end - time.monotonic())

    def call(self) -> float:
        """The timeout of the next call in seconds.

        Raises:
            NoAnswer: no time is left.
        """
        seconds = min(CALL_SECONDS, self.left())
        if seconds <= 0.01:
            raise NoAnswer("no time left to ask")
        return seconds

    def units(self) -> dict[str, str]:
        """The states of all units that systemd has loaded, by name, asked once in a collection.

        Raises:
            NoAnswer: systemd did not say.
        """
        with self._units_lock:
            if self._units is None:
                self._units = _loaded_units(self)
            return self._units


@dataclass(frozen=True)
class Output:
    """What a command printed, and its exit code."""

    code: int
    stdout: str
    stderr: str

    @property
    def complaint(self) -> str:
        """The first line that says what went wrong."""
        lines = [line.strip() for line in (self.stderr + "\n" + self.stdout).splitlines() if line.strip()]
        return lines[0] if lines else f"exit code {self.code}"


def run(arguments: Sequence[str], deadline: Deadline) -> Output:
    """Run a command without a shell, in the C locale; its whole process group ends with the timeout.

    Raises:
        NoAnswer: there is no such command, or it did not end in time.
    """
    seconds = deadline.call()
    environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
    try:
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=environment,
            start_new_session=True,
        )
    except OSError as problem:
        raise NoAnswer(f"{arguments[0]}: {problem.strerror}") from problem
    try:
        stdout, stderr = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired as problem:
        # Not waited for: a process that hangs in the kernel would take the collection with it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        raise NoAnswer(f"{arguments[0]} did not end in {seconds:.1f} s") from problem
    return Output(process.returncode, stdout, stderr)


def _loaded_units(deadline: Deadline) -> dict[str, str]:
    command = ["systemctl", "list-units", "--all", "--full", "--plain", "--no-legend", "--no-pager"]
    output = run(command, deadline)
    # Columns: unit, load state, active state, sub-state, description.
    rows = [line.split(maxsplit=4) for line in output.stdout.splitlines()]
    if output.code != 0 or not rows:
        raise NoAnswer(f"systemctl: {output.complaint}")
    return {row[0]: _state(load=row[1], active=row[2]) for row in rows if len(row) > 2}


def _state(load: str, active: str) -> str:
    """A unit that must not be started is told apart from one that somebody only stopped."""
    return "masked" if load == "masked" and active in ("inactive", "failed") else active


def unit_state(unit: str, deadline: Deadline) -> str:
    """The state of a systemd unit: active, reloading, activating, deactivating, failed, inactive, masked.

    What is not installed is inactive, as for systemd itself.

    Raises:
        NoAnswer: systemd did not say.
    """
    return deadline.units().get(unit, "inactive")


def tcp_connection(address: str, port: int, deadline: Deadline) -> socket.socket:
    """A TCP connection whose every operation is bounded by the deadline as it stands now.

    Raises:
        NotRunning: the port refuses.
        NoAnswer: no connection in time.
    """
    try:
        return socket.create_connection((address, port), timeout=deadline.call())
    except ConnectionRefusedError as problem:
        raise NotRunning(f"{address}:{port} refuses connections") from problem
    except OSError as problem:
        raise NoAnswer(f"{address}:{port}: {problem}") from problem


def unix_dialogue(path: Path, question: str, deadline: Deadline) -> str:
    """Send one question to a unix socket and read until the other side closes.

    Raises:
        NotRunning: nobody listens there.
        NoAnswer: no whole answer in time.
    """
    answer = bytearray()
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(deadline.call())
            connection.connect(str(path))
            connection.sendall(question.encode())
            while chunk := connection.recv(65536):
                answer += chunk
                if len(answer) > _LARGEST_ANSWER:
                    raise NoAnswer(f"{path}: the answer does not end")
                connection.settimeout(deadline.call())
    except (ConnectionRefusedError, FileNotFoundError) as problem:
        raise NotRunning(f"nobody listens on {path}") from problem
    except OSError as problem:
        raise NoAnswer(f"{path}: {problem}") from problem
    return answer.decode(errors="replace")


def http_get(
    address: str,
    port: int,
    path: str,
    deadline: Deadline,
    *,
    headers: Mapping[str, str] | None = None,
    tls_name: str | None = None,
) -> Response:
    """One GET request, over TLS when a ``tls_name`` is given.

    Who answers is not verified: the node asks itself, and the question is whether it serves.

    Raises:
        NotRunning: the port refuses.
        NoAnswer: no whole response in time.
    """
    transport = tcp_connection(address, port, deadline)
    try:
        if tls_name is not None:
            transport = _unverified_tls(transport, tls_name)
        transport.settimeout(deadline.call())
        asked = {"Host": f"{address}:{port}", "Connection": "close", **(headers or {})}
        return exchange(transport, "GET", path, asked, timeout=deadline.call)
    except (OSError, ValueError) as problem:
        raise NoAnswer(f"{address}:{port}{path}: {problem or type(problem).__name__}") from problem
    finally:
        transport.close()


def _unverified_tls(transport: socket.socket, name: str) -> socket.socket:
    # Here, not above: few questions are asked over TLS, and its library is large.
    import ssl

    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(transport, server_hostname=name)
