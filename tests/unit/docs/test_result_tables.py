# SPDX-License-Identifier: GPL-3.0-or-later
"""Cells of the documents are made from results: the last of a kind, the newest row of a scenario, sums of rotations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pages import results

from trivet.results import Kind

MACHINE = {"cores": 2, "memory_mib": 1, "kernel": "6", "release": "Debian 12"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A checkout whose docs/results is empty."""
    there = tmp_path / results.FOLDER
    there.mkdir(parents=True)
    monkeypatch.setattr(results, "ROOT", tmp_path)
    results.results.cache_clear()
    yield there
    results.results.cache_clear()


def put(folder: Path, name: str, kind: str, commit: str | None = None, **figures: Any) -> None:
    head = {"format": 1, "kind": kind, "at": name[:10], "commit": commit, "machine": MACHINE, "note": ""}
    (folder / name).write_text(json.dumps({**head, "figures": figures}))


def resize(folder: Path, name: str, **more: Any) -> None:
    figures = {
        "change": "resize",
        "from": "6",
        "to": "12",
        "outcome": "done",
        "rate_per_second": 50,
        "requests": 1000,
        "failed": 0,
        "longest_gap_seconds": 0.1,
        "orders_acknowledged": 100,
        "orders_found": 100,
        "p99_before_ms": 30,
        "p99_during_ms": 60,
    }
    put(folder, name, "change", **{**figures, **more})


def test_the_last_figure_of_a_kind_that_has_it_is_told_with_its_run(folder: Path) -> None:
    put(folder, "2026-01-01-0001-converge.json", "converge", ratio=2.0)
    put(folder, "2026-01-02-0001-converge.json", "converge", "abc", ratio=1.5)
    put(folder, "2026-01-03-0001-converge.json", "converge", second_converge_seconds=21)
    assert results.figure("converge", "ratio") == "1.5"
    assert results.run("converge", "ratio") == "[2026-01-02, abc](results/2026-01-02-0001-converge.json)"
    assert results.figure("converge", "second_converge_seconds", "seconds") == "21 s"


def test_rotations_are_the_last_three_that_ended_well_at_the_rate_of_the_goals(folder: Path) -> None:
    resize(folder, "2026-01-01-0001-change.json", failed=7)
    for number in (2, 3, 4):
        resize(folder, f"2026-01-01-000{number}-change.json", p99_during_ms=30 * number)
    resize(folder, "2026-01-01-0005-change.json", rate_per_second=25, failed=1)
    resize(folder, "2026-01-01-0006-change.json", outcome="halted", failed=1)
    assert results.rotations("failed") == "0 of 3,000"
    assert results.rotations("orders") == "300 of 300"
    assert results.rotations("slower") == "4.0 ×"
    assert results.rotations("table").count("\n") == 4


def test_a_change_that_was_broken_off_counts_once_and_the_death_of_two_is_told_apart(folder: Path) -> None:
    shared = {"longest_gap_seconds": 1, "orders_acknowledged": 1, "orders_found": 1}
    put(folder, "2026-01-01-0001-broken-change.json", "broken-change", what="patch", requests=5, failed=5, **shared)
    put(folder, "2026-01-02-0001-broken-change.json", "broken-change", what="patch", requests=9, failed=0, **shared)
    two = "another node dies during the rotation, then rollback"
    put(folder, "2026-01-02-0002-broken-change.json", "broken-change", what=two, requests=9, failed=3, **shared)
    assert results.broken("failed") == "0 of 9"
    assert results.broken("orders") == "2 of 2"


def test_a_row_of_the_failure_suite_is_the_newest_of_its_scenario(folder: Path) -> None:
    def row(scenario: str, lost: int, *missed: str) -> dict[str, Any]:
        gaps = dict.fromkeys(("longest_gap", "other_gap", "home_gap", "order_gap"), 0.1)
        customers = {
            "requests": 1,
            "failed_before": 0,
            "failed_reads": 0,
            "failed_writes": 0,
            "failures_by_kind": {},
            **gaps,
            "orders_again": None,
            "orders_acknowledged": 10,
            "orders_lost": lost,
            "orders_double": 0,
        }
        head = {"scenario": scenario, "group": "g", "sentence": "s", "goal": "g", "at": "2026-01-01"}
        return {**head, "customers": customers, "missed": list(missed)}

    put(folder, "2026-01-01-0001-chaos.json", "chaos", rows=[row("kill-nginx", 1, "lost"), row("kill-haproxy", 0)])
    put(folder, "2026-01-02-0001-chaos.json", "chaos", rows=[row("kill-nginx", 0)])
    assert results.chaos("kept") == "2 of 2"
    assert results.chaos("lost") == "0 of 20"
    assert results.chaos("rows", "kill-nginx").splitlines()[-1].startswith("| kill-nginx | – |")


def test_every_kind_of_run_has_a_table(folder: Path) -> None:
    assert set(results.SHAPES) == set(results.NAMES) == set(Kind)
