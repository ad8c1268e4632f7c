# SPDX-License-Identifier: GPL-3.0-or-later
"""No line of a log has a secret, and every line is told with the platform's marks."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.build.log import LONGEST_LINE, Lines, Log
from trivet.build.secrets import Secrets

AUTH = '{"http-basic": {"repo.example.com": {"username": "public-name", "password": "hidden-key"}}}'


def test_values_are_masked_the_longest_first() -> None:
    secrets = Secrets({"A": "abcdef", "B": "abcdefghi", "SHORT": "abc"})
    assert secrets.masked("abcdefghi abcdef abc") == "*** *** abc"


def test_a_json_document_is_as_many_secrets_as_it_has_texts() -> None:
    secrets = Secrets({"COMPOSER_AUTH": AUTH})
    assert secrets.masked("user public-name with hidden-key") == "user public-name with ***"
    assert secrets.stand_in(b'..."hidden-key"') and not secrets.stand_in(b"public-name repo.example.com")


def test_each_line_of_a_key_is_masked() -> None:
    secrets = Secrets({"KEY": "-----BEGIN-----\nAAAABBBB\nCC\n"})
    assert [secrets.masked(line) for line in ("-----BEGIN-----", "AAAABBBB", "CC")] == ["***", "***", "CC"]
    assert not secrets.stand_in(b"AAAABBBB alone") and secrets.stand_in(b"-----BEGIN-----\nAAAABBBB\nCC")


def test_the_log_is_told_and_kept(tmp_path: Path) -> None:
    told: list[str] = []
    log = Log(tmp_path / "build.log", told.append, Secrets({"A": "secret-1"}))
    log.line("Building application 'shop'")
    log.step("Executing build hook...")
    log.said("it is secret-1")
    log.warning("oops")
    log.close()
    assert told == ["Building application 'shop'", "  Executing build hook...", "    it is ***", "    W: oops"]
    assert (tmp_path / "build.log").read_text().splitlines() == told


@given(st.lists(st.text(alphabet="ab\n", max_size=6)))
def test_lines_are_those_of_the_whole_however_they_come(chunks: list[str]) -> None:
    told: list[str] = []
    lines = Lines(told.append)
    for chunk in chunks:
        lines.feed(chunk.encode())
    lines.close()
    assert told == "".join(chunks).splitlines()


@pytest.mark.parametrize(
    ("chunks", "told"),
    [
        ([b"10 %\r50 %\r100 %\r\n"], ["100 %"]),
        ([b"caf\xc3", b"\xa9 \xff\n"], ["café �"]),
        ([b"x" * LONGEST_LINE, b"x", b"\nnext\n"], [f"(a line of more than {LONGEST_LINE} bytes is left out)", "next"]),
        ([b"x" * (LONGEST_LINE + 1)], [f"(a line of more than {LONGEST_LINE} bytes is left out)"]),
    ],
)
def test_odd_lines(chunks: list[bytes], told: list[str]) -> None:
    got: list[str] = []
    lines = Lines(got.append)
    for chunk in chunks:
        lines.feed(chunk)
    lines.close()
    assert got == told
