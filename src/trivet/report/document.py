# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as JSON. Pure.

Keys of the document; all times are epoch seconds unless they say otherwise, and what is not known is null:

- ``format``: 1. A later number means that a key went or changed its meaning; new keys alone do not change it.
- ``trivet``: the version that wrote it.
- ``answer``: ``text``, the first line of the report; ``tone``: good, warning, bad.
- ``ok``: true when the change is done, the verdict after it is healthy and, where there was a probe, it saw all of the
  change and nothing failed.
- ``change``: ``environment``, ``kind``, ``size_before``, ``size_after``, ``summary``, ``owners``, ``nodes``, ``steps``,
  ``attempts`` (a step of a node, once: ``began``, ``ended``, ``seconds``, ``ending`` done, failed or "cut off",
  ``error``), ``events``, ``before`` and ``after`` (verdict and nodes), ``outcome`` (done, halted, stopped, aborted,
  "rolled back", unfinished), ``began``, ``ended``, ``seconds``, ``finished_nodes``, ``web_nodes_before`` and
  ``web_nodes_after`` (numbers; null for a change that is not about web nodes).
- ``probe``: what ``trivet.probe.ProbeReport.from_json`` reads; null when availability was not measured.
- ``measured``: ``began``, ``ended`` of the probe, ``share`` of the change that it saw (0 to 1); null without a probe.
"""

from __future__ import annotations

from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from trivet.report.change import Change, Outcome
from trivet.report.measured import Measured
from trivet.report.wording import answer

FORMAT = 1


def document(change: Change, measured: Measured | None) -> dict[str, Any]:
    """The whole report as JSON-able values."""
    return {
        "format": FORMAT,
        "trivet": trivet_version(),
        "answer": asdict(answer(change, measured)),
        "ok": _ok(change, measured),
        "change": {**asdict(change), "finished_nodes": list(change.finished_nodes)},
        "probe": None if measured is None else measured.report.to_json(),
        "measured": None
        if measured is None
        else {"began": measured.began, "ended": measured.ended, "share": measured.share},
    }


def trivet_version() -> str:
    """The version of this Trivet; "unknown" where it runs without being installed."""
    try:
        return version("trivet")
    except PackageNotFoundError:
        return "unknown"


def _ok(change: Change, measured: Measured | None) -> bool:
    healthy = change.after is not None and change.after.healthy
    available = measured is None or (measured.report.ok and measured.whole)
    return change.outcome is Outcome.DONE and healthy and available
