# SPDX-License-Identifier: GPL-3.0-or-later
"""The figures of a change that are kept as a result; a report with a probe leaves them, one without does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.report.journals import NODES, SECONDS_PER_STEP, STEPS, failure, killed_and_resumed, probe, whole_journal
from trivet.report import write_report
from trivet.report.change import read_change
from trivet.report.figures import figures_of
from trivet.results import FOLDER_VARIABLE


def test_figures_of_a_resize_with_a_failed_request() -> None:
    figures = figures_of(read_change(whole_journal()), probe(failures=(failure(60.0),)))
    assert (figures["change"], figures["from"], figures["to"], figures["outcome"]) == ("resize", "6", "12", "done")
    assert figures["failed"] == 1 and figures["failed_by_kind"] == {"status-5xx": 1}
    assert figures["longest_gap_seconds"] == 0.31
    assert (figures["orders_acknowledged"], figures["orders_found"], figures["orders_verified"]) == (700, 700, True)
    assert (figures["p99_before_ms"], figures["p99_during_ms"], figures["longest_ms"]) == (40.0, 60.0, 120.0)
    assert figures["step_seconds"][NODES[0]] == dict.fromkeys(STEPS, SECONDS_PER_STEP)
    assert figures["node_seconds"][NODES[0]] == pytest.approx(SECONDS_PER_STEP * len(STEPS))


def test_a_step_that_was_cut_off_counts_what_its_repetition_took() -> None:
    figures = figures_of(read_change(killed_and_resumed()), probe())
    assert set(figures["step_seconds"]) == set(NODES)
    assert all(seconds > 0 for steps in figures["step_seconds"].values() for seconds in steps.values())


def test_a_report_leaves_its_figures_only_with_a_probe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    monkeypatch.setenv(FOLDER_VARIABLE, str(folder))
    write_report(whole_journal(), tmp_path, probe=None)
    assert not folder.exists()
    write_report(whole_journal(), tmp_path, probe=probe())
    (left,) = folder.iterdir()
    assert json.loads(left.read_text())["figures"]["change"] == "resize"
