# SPDX-License-Identifier: GPL-3.0-or-later
"""The `trivet` command as an operator runs it, with its events as they come."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from trivet.api import Environment, measured
from trivet.api.measure import PATIENCE_SECONDS
from trivet.probe import ProbeReport
from trivet.report.figures import customers
from trivet.results import Kind, leave

RATE = 50.0
"""Requests per second beside every change: issue 3 asks for as many."""
STEP_SECONDS = 900.0


def trivet(*words: str, timeout: float = 900) -> subprocess.CompletedProcess[str]:
    """A command that must succeed."""
    result = subprocess.run(
        ["trivet", *words], capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL
    )
    assert result.returncode == 0, f"trivet {' '.join(words)}: {result.returncode}\n{result.stdout}\n{result.stderr}"
    return result


def healthy(env: str) -> bool:
    """Whether `trivet status` says so."""
    return subprocess.run(["trivet", "status", env], capture_output=True, timeout=120).returncode == 0


def incus(*words: str) -> str:
    """Standard output of a command of Incus that must succeed: the hand that breaks things."""
    return subprocess.run(["incus", *words], check=True, capture_output=True, text=True, timeout=180).stdout


def on(node: str, script: str) -> str:
    """Run a shell script on a node, past Trivet."""
    return incus("exec", node, "--", "sh", "-c", script)


class Run:
    """A `trivet` command that is under way. Its JSON lines are events."""

    def __init__(self, *words: str, environment: Mapping[str, str] | None = None) -> None:
        self.words = words
        self.events: list[dict[str, Any]] = []
        self._fresh: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._errors: list[str] = []
        self.process = subprocess.Popen(
            ["trivet", *words, "--json"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
        )
        self._readers = [threading.Thread(target=read, daemon=True) for read in (self._read, self._read_errors)]
        for reader in self._readers:
            reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            event = json.loads(line)
            self.events.append(event)
            self._fresh.put(event)
        self._fresh.put(None)

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        self._errors.extend(self.process.stderr)

    @property
    def error(self) -> str:
        """What it said on standard error, in one line."""
        return " ".join("".join(self._errors).split())

    def until(self, event: str, seconds: float = STEP_SECONDS, **values: str) -> dict[str, Any]:
        """The next event of a kind, with values."""
        deadline = time.monotonic() + seconds
        while True:
            found = self._fresh.get(timeout=max(0.1, deadline - time.monotonic()))
            assert found is not None, f"{self.words} ended before {event} {values}: {self.error}"
            if found["event"] == event and all(found.get(key) == value for key, value in values.items()):
                return found

    def kill(self) -> float:
        """kill -9; the moment, in epoch seconds."""
        self.process.send_signal(signal.SIGKILL)
        at = time.time()
        self.process.wait(timeout=30)
        return at

    def ended(self, seconds: float = STEP_SECONDS) -> int:
        """Its exit code, once it has ended."""
        code = self.process.wait(timeout=seconds)
        for reader in self._readers:
            reader.join(timeout=30)
        return code


def measure(environment: Environment, work: Callable[[], None], patience: float = PATIENCE_SECONDS) -> ProbeReport:
    """Do something while the probe asks all gateway addresses, and have its report.

    :param patience: seconds after which a customer gives up.
    """
    report, _ = measured(environment.description, RATE, lambda _listener: work(), patience=patience)
    return report


def record(what: str, report: ProbeReport) -> None:
    """Keep the figures of a scenario, where $TRIVET_RESULTS names a folder."""
    leave(Kind.BROKEN_CHANGE, {"what": what, **customers(report)})


def sizes(env: str) -> set[tuple[int, int]]:
    """CPUs and MiB of the lab's nodes."""
    nodes = json.loads(trivet("lab", "status", env, "--json").stdout)["nodes"]
    return {(node["cpus"], node["memory_mib"]) for node in nodes}


def children(words: Sequence[str]) -> list[str]:
    """Processes of this machine whose command line has all words."""
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if all(word in line for word in words)]
