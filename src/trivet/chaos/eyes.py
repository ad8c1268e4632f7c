# SPDX-License-Identifier: GPL-3.0-or-later
"""What is seen of a lab while a scenario runs: verdicts one after the other, and what each node's detectors say.

A verdict costs every node a third of a second of a CPU, so that one is asked for every few seconds. What must be
noticed within half a second is watched by one sleeping process on each node (:mod:`trivet.chaos.watcher`).
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from trivet.agent.events import EVENTS_DIRECTORY, NEWEST
from trivet.chaos import watcher
from trivet.chaos.timeline import Look, Sighting
from trivet.health.facts import ClusterFacts
from trivet.health.findings import State
from trivet.remote import Nodes, observe
from trivet.services.gateway.contract import HAPROXY_SOCKET
from trivet.verdict.assess import Verdict

VERDICT_SECONDS = 2.5
APART_SECONDS = 0.2
AGAIN_SECONDS = 2.0
LONGEST_SECONDS = 1800
"""A watcher that was forgotten ends by itself."""
WATCHED = (str(HAPROXY_SOCKET.default), str(EVENTS_DIRECTORY / NEWEST))
MOST_SIGHTINGS = 2000
ENDING_SECONDS = 25.0


class Eyes(Protocol):
    """A context that looks from its beginning to its end."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def looks(self) -> list[Look]:
        """The verdicts until now, the oldest first."""

    def sightings(self) -> list[Sighting]:
        """What the detectors of the nodes said until now."""

    def facts(self) -> ClusterFacts:
        """The facts of the latest verdict; empty before the first."""


class LabEyes:
    """The eyes on a lab: a thread that asks for verdicts, and for each node a process that watches."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._looks: list[Look] = []
        self._sightings: list[Sighting] = []
        self._facts: ClusterFacts = {}
        self._ended = threading.Event()
        self._watchers: dict[str, subprocess.Popen[str]] = {}
        names = [node.name for node in nodes.environment.nodes]
        self._threads = [threading.Thread(target=self._judge, daemon=True)]
        self._threads += [threading.Thread(target=self._watch, args=(name,), daemon=True) for name in names]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        for process in list(self._watchers.values()):
            _close(process)
        for thread in self._threads:
            thread.join(timeout=ENDING_SECONDS)

    def looks(self) -> list[Look]:
        return list(self._looks)

    def sightings(self) -> list[Sighting]:
        return list(self._sightings)

    def facts(self) -> ClusterFacts:
        return self._facts

    def _judge(self) -> None:
        while not self._ended.is_set():
            asked = time.time()
            observation = observe(self._nodes, apart=APART_SECONDS)
            self._facts = observation.facts
            self._looks.append(look_of(observation.verdict, asked, time.time()))
            self._ended.wait(VERDICT_SECONDS)

    def _watch(self, node: str) -> None:
        """Have a watcher on the node; one that ended with its machine is started again."""
        while not self._ended.is_set():
            process = _watcher(node)
            self._watchers[node] = process
            if self._ended.is_set():
                # The end may have come between the question above and the entry: then nobody else closes it.
                _close(process)
            assert process.stdout is not None
            for line in process.stdout:
                if len(self._sightings) < MOST_SIGHTINGS:
                    self._sightings.append(Sighting(**json.loads(line)))
            _close(process)
            self._ended.wait(AGAIN_SECONDS)


def look_of(verdict: Verdict, asked: float, answered: float) -> Look:
    """A verdict in words: each finding that is not healthy, with the command that it names."""
    words = []
    for finding in verdict.problems:
        text = f"{finding.state}: {finding.node or 'cluster'}: {finding.service}: {finding.reason}"
        words.append(f"{text}; next: {finding.next_command}" if finding.next_command else text)
    return Look(asked, answered, verdict.state is State.HEALTHY, tuple(words))


def _watcher(node: str) -> subprocess.Popen[str]:
    source = Path(watcher.__file__).read_text(encoding="utf-8")
    program = ["python3", "-I", "-S", "-c", source, node, str(LONGEST_SECONDS), *WATCHED]
    # A session of its own, so that Ctrl-C reaches the suite alone; the watcher ends with its standard input.
    return subprocess.Popen(
        ["incus", "exec", node, "--", *program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


def _close(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(OSError):
        if process.stdin is not None:
            process.stdin.close()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
