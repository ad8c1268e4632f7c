# SPDX-License-Identifier: GPL-3.0-or-later
"""The files: self-contained, escaped, and the same data as JSON."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tests.unit.report.journals import BEGAN, NODES, failure, killed_and_resumed, plan, probe, scaling, whole_journal
from trivet.errors import TrivetError
from trivet.probe.report import Described, ProbeReport
from trivet.report import write_report

HOSTILE = '"><script>alert(1)</script><img src=http://evil.example/x>'


class Page(HTMLParser):
    """Collects the tags with their attributes, and the text that a reader sees."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._unseen = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._unseen = tag in ("style", "script")

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.words.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._unseen = False

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def written(lines: list[dict[str, Any]], folder: Path, found: ProbeReport | None) -> tuple[str, dict[str, Any]]:
    files = write_report(lines, folder, probe=found)
    return files.html.read_text("utf-8"), json.loads(files.json.read_text("utf-8"))


JOURNALS = {
    "whole": whole_journal(),
    "resumed": killed_and_resumed(),
    "killed": killed_and_resumed()[:40],
    "plan only": [plan()],
    "scale-out": scaling(),
    "scale-in": scaling("scale-in"),
    "empty": [],
}


@pytest.mark.parametrize("name", JOURNALS)
@pytest.mark.parametrize("measured", [True, False])
def test_the_page_loads_nothing(tmp_path: Path, name: str, measured: bool) -> None:
    text, _ = written(JOURNALS[name], tmp_path, probe(failures=(failure(40),)) if measured else None)
    for tag, attributes in Page(text).tags:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base", "use", "image"), tag
        assert not {"src", "href", "xlink:href", "srcset", "action", "style"} & set(attributes), (tag, attributes)
        assert not any(key.startswith("on") for key in attributes)
    style = text[text.index("<style>") : text.index("</style>")]
    assert "@import" not in style and not re.search(r"url\((?!#)", style)
    assert "default-src 'none'" in text
    assert not re.search(r"fetch\(|XMLHttpRequest|import\(|WebSocket", text)


def test_hostile_names_and_reasons_stay_text(tmp_path: Path) -> None:
    nodes = (HOSTILE, "shop-2", "shop-3")
    lines = whole_journal(nodes, kind="resize", summary=HOSTILE, size_before=HOSTILE)
    lines.insert(5, {"at": BEGAN + 5, "kind": "note", "node": HOSTILE, "text": HOSTILE})
    lines.insert(6, {"at": BEGAN + 5, "kind": HOSTILE, "text": HOSTILE})
    lines.insert(7, {"at": BEGAN + 6, "kind": "halted", "error": HOSTILE, "remaining": [HOSTILE]})
    lines[1]["findings"].append({"service": HOSTILE, "node": HOSTILE, "state": HOSTILE, "reason": HOSTILE})
    text, document = written(lines, tmp_path, probe(failures=(failure(40, HOSTILE, HOSTILE),)))
    page = Page(text)
    assert [tag for tag, _ in page.tags].count("script") == 2, "the page's own data and program"
    assert "img" not in [tag for tag, _ in page.tags]
    assert HOSTILE in page.text
    assert document["change"]["nodes"][0]["name"] == HOSTILE


def test_the_file_name_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    lines = whole_journal(kind="../../etc/passwd")
    lines[0]["plan"]["environment"] = "/../../x"
    files = write_report(lines, tmp_path / "reports", probe=None)
    assert files.html.parent == tmp_path / "reports" and files.html.is_file()
    assert sorted(path.name for path in (tmp_path / "reports").iterdir()) == [files.html.name, files.json.name]


def test_failed_requests_are_all_there(tmp_path: Path) -> None:
    failures = tuple(failure(40 + number, f"detail {number}") for number in range(50))
    found = probe(failures=failures)
    text, document = written(whole_journal(), tmp_path, found)
    page = Page(text)
    assert all(f"detail {number}" in page.text for number in range(50))
    assert "50 of 7,512 requests failed while" in page.text
    assert document["answer"]["tone"] == "bad" and document["ok"] is False


def test_kept_failures_are_not_passed_off_as_all(tmp_path: Path) -> None:
    data = probe(failures=(failure(40),)).to_json()
    data["total"]["failures"] = 1234
    text, _ = written(whole_journal(), tmp_path, ProbeReport.from_json(data))
    assert "The first 1 of 1,234 failures" in Page(text).text


def test_a_contract_that_reads_only_has_no_orders_and_says_so(tmp_path: Path) -> None:
    found = replace(probe(), contract=Described("pages", "pages by GET alone", (), None), orders=None)
    text, document = written(whole_journal(), tmp_path, found)
    shown = Page(text).text
    assert "pages by GET alone (contract pages)" in shown
    assert "Orders" not in shown and "orders were looked up" not in shown
    assert "reads only" in shown
    assert document["probe"]["ok"]
    assert ProbeReport.from_json(document["probe"]) == found


def test_without_a_probe_nothing_is_claimed(tmp_path: Path) -> None:
    text, document = written(whole_journal(), tmp_path, None)
    page = Page(text)
    assert "availability was not measured" in page.text
    assert "No probe ran beside this change" in page.text
    for claim in ("requests failed", "p99", "Orders", "Longest gap", "answered per second"):
        assert claim not in page.text
    assert document["probe"] is None and document["measured"] is None
    assert all(name in page.text for name in NODES)


def test_the_json_is_the_same_data_and_reads_back(tmp_path: Path) -> None:
    found = probe(failures=(failure(40),))
    text, document = written(killed_and_resumed(), tmp_path, found)
    assert ProbeReport.from_json(document["probe"]) == found
    assert document["format"] == 1
    assert document["answer"]["text"] in Page(text).text
    assert document["change"]["outcome"] == "done"
    assert document["change"]["finished_nodes"] == list(NODES)
    endings = [item["ending"] for item in document["change"]["attempts"]]
    assert endings.count("cut off") == 1
    assert 0 < document["measured"]["share"] < 1


def test_written_again_it_replaces_itself(tmp_path: Path) -> None:
    lines = killed_and_resumed()
    write_report(lines[:30], tmp_path, probe=None)
    files = write_report(lines, tmp_path, probe=None)
    first = files.html.read_bytes(), files.json.read_bytes()
    write_report(lines, tmp_path, probe=None)
    assert (files.html.read_bytes(), files.json.read_bytes()) == first
    assert len(list(tmp_path.iterdir())) == 2


def test_what_changed_is_highlighted_and_what_did_not_is_not(tmp_path: Path) -> None:
    text, _ = written(whole_journal(), tmp_path, None)
    assert len(re.findall(r"<del>2</del> → <ins>4</ins>", text)) == 3
    assert "<del>10.11.6</del>" not in text and "10.11.6" in text


def test_a_green_report_is_ok(tmp_path: Path) -> None:
    _, document = written(whole_journal(), tmp_path, probe())
    assert document["ok"] is True and document["answer"]["tone"] == "good"
    _, without_verdict = written([line for line in whole_journal() if line["kind"] != "snapshot"], tmp_path, probe())
    assert without_verdict["ok"] is False


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrivetError, match="cannot be written"):
        write_report(whole_journal(), tmp_path / "file", probe=None)


@pytest.mark.parametrize("end", range(0, len(killed_and_resumed()) + 1, 3))
def test_a_journal_that_ends_anywhere_makes_a_report(tmp_path: Path, end: int) -> None:
    text, document = written(killed_and_resumed()[:end], tmp_path, probe())
    assert Page(text).text
    assert document["ok"] is False, "the probe saw a part of it only, or it is not done"


def test_surrogates_and_nonsense_do_not_stop_it(tmp_path: Path) -> None:
    lines = [plan(), {"at": BEGAN, "kind": "note", "text": "broken \udcff bytes"}, {"kind": None}, {"at": float("nan")}]
    text, _ = written(lines, tmp_path, None)
    assert "broken" in text
