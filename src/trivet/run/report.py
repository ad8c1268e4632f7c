# SPDX-License-Identifier: GPL-3.0-or-later
"""The report that every change leaves beside its journal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from trivet.agent.journal import parse
from trivet.errors import TrivetError
from trivet.probe.report import ProbeReport
from trivet.report import ReportFiles, write_report
from trivet.run.directories import journals_directory, reports_directory


def leave_report(label: str, journal: str, probe: ProbeReport | None = None) -> ReportFiles:
    """Write the report of a change from this machine's copy of its journal; again, it replaces the earlier one.

    :param label: what an operator types for the environment.
    :param journal: the journal's id.
    :param probe: what the load beside the change found; None when availability was not measured.
    :raises TrivetError: when the files cannot be written.
    """
    path = journals_directory(label) / f"{journal}.jsonl"
    return write_report(parse(path.read_text(encoding="utf-8")), reports_directory(label), probe=probe)


@contextmanager
def reported(label: str, journal: str, listener: Callable[[Mapping[str, Any]], None]) -> Iterator[None]:
    """Leave the report of a change however it ends, except by a kill.

    :param listener: takes the event ``report`` with the paths, or a ``note`` when none could be written.
    """
    try:
        yield
    except (Exception, KeyboardInterrupt):
        _tell_report(label, journal, listener)
        raise
    _tell_report(label, journal, listener)


def _tell_report(label: str, journal: str, listener: Callable[[Mapping[str, Any]], None]) -> None:
    """No failure to write it may hide the error that is on its way to the operator."""
    try:
        files = leave_report(label, journal)
    except (TrivetError, OSError) as error:
        listener({"event": "note", "text": f"no report was written: {error}"})
    else:
        listener({"event": "report", "html": str(files.html), "json": str(files.json)})
