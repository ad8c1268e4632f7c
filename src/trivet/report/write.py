# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the two files of a report."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trivet.errors import TrivetError
from trivet.probe.report import ProbeReport
from trivet.report.change import Change, read_change
from trivet.report.document import document
from trivet.report.figures import figures_of
from trivet.report.measured import measure
from trivet.report.page import render
from trivet.results import Kind, leave


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """Where the report of a change is."""

    html: Path
    json: Path


def write_report(lines: Sequence[Mapping[str, Any]], folder: Path, *, probe: ProbeReport | None) -> ReportFiles:
    """Write the report of a change as HTML and JSON, both named after environment, time and kind of the change.

    Written again for the same journal, as after a resumption, it replaces the earlier one. With a probe beside it, the
    change's figures are left as a result, too.

    :param lines: the journal, in its order; it may end anywhere.
    :param folder: made when it is not there.
    :param probe: what the load beside the change found; None when availability was not measured.
    :raises TrivetError: when the files cannot be written.
    """
    change = read_change(lines)
    measured = measure(probe, change.window) if probe else None
    name = _name(change)
    files = ReportFiles(folder / f"{name}.html", folder / f"{name}.json")
    text = json.dumps(document(change, measured), indent=2, ensure_ascii=False, allow_nan=False)
    page = render(change, measured)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _replace(files.json, text + "\n")
        _replace(files.html, page)
        if probe:
            leave(Kind.CHANGE, figures_of(change, probe))
    except OSError as error:
        raise TrivetError(f"the report of the change cannot be written: {error}", f"ls -ld {folder}") from error
    return files


def _name(change: Change) -> str:
    began = datetime.fromtimestamp(change.began or 0.0, UTC)
    parts = (change.environment or "environment", f"{began:%Y%m%d-%H%M%S}", change.kind or "change")
    # The names come from a file: they must not lead out of the folder.
    return re.sub(r"[^A-Za-z0-9_-]+", "-", "-".join(parts)).strip("-")[:120]


def _replace(path: Path, text: str) -> None:
    """Whole or not at all: nobody is to send half a report."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    # What a service or a request said may hold surrogates, which UTF-8 cannot.
    fresh.write_text(text, encoding="utf-8", errors="backslashreplace")
    fresh.replace(path)
