# SPDX-License-Identifier: GPL-3.0-or-later
"""The report that every change leaves beside its journal. One writer writes it once, however the change ends."""

from __future__ import annotations

from types import TracebackType

from trivet.agent.journal import parse
from trivet.errors import TrivetError
from trivet.probe.report import ProbeReport
from trivet.report import ReportFiles, write_report
from trivet.run.directories import journals_directory, reports_directory
from trivet.run.events import Event, Listener, Noted, Reported, RunBegan


def write_report_of(label: str, journal: str, probe: ProbeReport | None = None) -> ReportFiles:
    """Write the report of a change from this machine's copy of its journal; again, it replaces the earlier one.

    :param label: what an operator types for the environment.
    :param journal: the journal's id.
    :param probe: what the load beside the change found; None when availability was not measured.
    :raises TrivetError: when the files cannot be written.
    """
    path = journals_directory(label) / f"{journal}.jsonl"
    return write_report(parse(path.read_text(encoding="utf-8")), reports_directory(label), probe=probe)


class ReportWriter:
    """A context around a change, and the listener of its events: it passes them on, and writes the report at the end.

    Nothing is written for a change that was refused before its journal began, nor when this process is killed.

    :param listener: takes the change's events, and at the end where the report is, or why there is none.
    """

    def __init__(self, label: str, listener: Listener) -> None:
        self.figures: ProbeReport | None = None
        """What the load beside the change found; set before the end."""
        self._label = label
        self._listener = listener
        self._journal: str | None = None

    def __call__(self, event: Event) -> None:
        """Take an event of the change."""
        if isinstance(event, RunBegan):
            if self._journal not in (None, event.journal):
                # A second change within one measurement: what the probe finds belongs to the last one.
                self._write(None)
            self._journal = event.journal
        self._listener(event)

    def __enter__(self) -> ReportWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, Exception | KeyboardInterrupt):
            self._write(self.figures)

    def _write(self, figures: ProbeReport | None) -> None:
        """No failure to do so may hide what the change did, or the error that is on its way to the operator."""
        if self._journal is None:
            return
        try:
            files = write_report_of(self._label, self._journal, figures)
        except (TrivetError, OSError) as problem:
            self._listener(Noted(f"no report was written: {problem}"))
        else:
            self._listener(Reported(str(files.html), str(files.json)))
