# SPDX-License-Identifier: GPL-3.0-or-later
"""The probe in a process of its own, so that whatever the caller does cannot disturb its timing."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from trivet.probe.arguments import arguments_of
from trivet.probe.errors import ProbeError
from trivet.probe.report import Json, LiveFigures, ProbeReport
from trivet.probe.settings import ProbeSettings

START_SECONDS = 30.0
POLL_SECONDS = 0.05
KILL_SECONDS = 5.0
SPARE_SECONDS = 30.0


class BackgroundProbe:
    """Runs `python -m trivet.probe` and reads what it writes.

    The process is in a session of its own: Ctrl-C reaches the caller alone, who then calls `stop` and still
    gets the whole report. When the caller dies the probe stops by itself.

    Not thread-safe: call it from one thread, or guard it.
    """

    def __init__(self, settings: ProbeSettings, events: Path) -> None:
        """`events` is the file that the JSON lines are written to; an old one is replaced.

        What the process says on standard error goes beside it, under the suffix `.err`.
        """
        self.events = events
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._words = events.with_suffix(".err")
        self._position = 0
        self._live = LiveFigures(phase=settings.phase)
        self._started = False
        self._report: ProbeReport | None = None

    def start(self) -> None:
        """Start the process and wait until the load runs.

        :raises ProbeError: when there is no shop to probe, in the probe's own words.
        """
        if self._process is not None:
            raise RuntimeError("the probe was started before")
        self.events.parent.mkdir(parents=True, exist_ok=True)
        self.events.write_bytes(b"")
        command = [sys.executable, "-m", "trivet.probe", f"--events={self.events}", "--control"]
        with self._words.open("wb") as words:
            self._process = subprocess.Popen(
                [*command, *arguments_of(self._settings)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=words,
                env={**os.environ, "PYTHONPATH": _python_path()},
                start_new_session=True,
                bufsize=0,
            )
        try:
            self._wait_for_start()
        except BaseException:
            self._kill()
            self._release()
            raise

    @property
    def running(self) -> bool:
        """Whether the process is there; it ends by itself after the set duration."""
        return self._process is not None and self._process.poll() is None

    def live(self) -> LiveFigures:
        """The latest figures, at most a second old. Never waits."""
        self._read_events()
        return self._live

    def mark(self, phase: str) -> None:
        """Requests that are due from now on belong to `phase`. Ignored once the run has ended."""
        if not phase or not phase.isprintable():
            raise ValueError(f"{phase!r} is not a name for a phase")
        self._command(f"mark {phase}")

    def stop(self, *, hurry: bool = False) -> ProbeReport:
        """End the load, wait for the report and return it; again the same one when called again.

        The answers in flight and the verification may take as long as the settings say. An interruption
        (KeyboardInterrupt) while waiting leaves the process running: call again, perhaps with `hurry`,
        which cuts the waiting short.

        :raises ProbeError: when the process died without a report.
        """
        if self._report is not None:
            return self._report
        if self._process is None:
            raise RuntimeError("the probe was not started")
        self._command("hurry" if hurry else "stop")
        try:
            self._process.wait(self._settings.timeout + self._settings.verify_timeout + SPARE_SECONDS)
        except subprocess.TimeoutExpired:
            self._kill()
        self._read_events()
        try:
            if self._report is None:
                raise ProbeError(f"the probe ended without a report: {self._last_words()}")
        finally:
            self._release()
        return self._report

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self.stop(hurry=kind is not None)

    def _wait_for_start(self) -> None:
        deadline = time.monotonic() + START_SECONDS + self._settings.timeout
        while not self._started:
            ended = not self.running
            self._read_events()
            if self._started:
                return
            if ended or time.monotonic() > deadline:
                raise ProbeError(f"the probe did not start: {self._last_words()}")
            time.sleep(POLL_SECONDS)

    def _read_events(self) -> None:
        with self.events.open("rb") as lines:
            lines.seek(self._position)
            for line in lines:
                if not line.endswith(b"\n"):
                    break  # half written: read it next time
                self._position += len(line)
                self._note(json.loads(line))

    def _note(self, event: Json) -> None:
        values: dict[str, Any] = {name: value for name, value in event.items() if name != "event"}
        match event["event"]:
            case "started":
                self._started = True
            case "live":
                self._live = LiveFigures(**values)
            case "mark":
                self._live = replace(self._live, phase=values["phase"])
            case "report":
                self._report = ProbeReport.from_json(values["report"])

    def _command(self, line: str) -> None:
        if self._process is None or self._process.stdin is None:
            raise RuntimeError("the probe was not started")
        with contextlib.suppress(BrokenPipeError):  # it may have ended: its report is there to be read
            self._process.stdin.write(line.encode() + b"\n")

    def _last_words(self) -> str:
        words = self._words.read_text("utf-8", "replace").strip()
        return words.splitlines()[-1].removeprefix("probe: ") if words else "no message"

    def _kill(self) -> None:
        if self._process is not None and self.running:
            self._process.terminate()
            try:
                self._process.wait(KILL_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _release(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()


def _python_path() -> str:
    """The path on which the child finds this very package, also in a checkout that is not installed."""
    here = str(Path(__file__).resolve().parents[2])
    inherited = os.environ.get("PYTHONPATH", "")
    return os.pathsep.join(part for part in (here, inherited) if part)
