# SPDX-License-Identifier: GPL-3.0-or-later
"""YAML as the platform reads it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.project.findings import Report
from trivet.project.reader import evaluated, plain, read


def value(text: str) -> object:
    report = Report()
    table = read(text.encode(), "file.yaml", report)
    assert report.errors == [] and table is not None
    return plain(table)


def error(content: bytes) -> tuple[int, str, str]:
    report = Report()
    read(content, "file.yaml", report)
    (finding,) = report.errors
    return finding.line, finding.key, finding.message


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("yes", "yes"),
        ("off", "off"),
        ("True", True),
        ("010", 8),
        ("089", "089"),
        ("12:30", "12:30"),
        ("1_000", 1000),
        ("0x1F", 31),
        ("8.2", 8.2),
        ("~", None),
        ("Null", None),
        ("-3", -3),
        ("1e3", 1000.0),
        ("", None),
    ],
)
def test_a_plain_scalar_is_what_symfony_makes_of_it(text: str, wanted: object) -> None:
    assert evaluated(text) == wanted and type(evaluated(text)) is type(wanted)


def test_quotes_keep_text() -> None:
    assert value("a: '9200'\nb: \"true\"\nc: '061_'\n") == {"a": "9200", "b": "true", "c": "061_"}


@pytest.mark.parametrize("tag", [r"!php/const:\PDO::X", r"!php/const \PDO::X"])
def test_a_constant_of_php_may_be_a_key(tag: str) -> None:
    assert value(f"options:\n  {tag} : 1\n  1001: 2\n") == {"options": {r"!php/const \PDO::X": 1, "1001": 2}}


def test_a_constant_of_php_may_be_a_value() -> None:
    assert value("a: !php/const:\\PDO::X\n") == {"a": r"!php/const \PDO::X"}


def test_merged_keys_are_no_duplicates_and_own_keys_win() -> None:
    assert value("a: &a {x: 1, y: 2}\nb:\n  <<: *a\n  y: 3\n") == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}}


def test_duplicates_are_found_at_every_depth() -> None:
    assert error(b"a:\n  b:\n    c: 1\n    c: 1\n") == (
        4,
        "a.b.c",
        "key `c` is given a second time (first at line 3); put both under the first",
    )


def test_a_merge_conflict_is_told_as_one() -> None:
    assert error(b"a: 1\n<<<<<<< HEAD\nb: 2\n")[:1] == (2,)


def test_bytes_that_are_no_text_are_told_with_their_line() -> None:
    line, _, message = error(b"a: 1\nb: \xff\n")
    assert line == 2 and "UTF-8" in message


def test_a_file_that_is_no_mapping_is_refused() -> None:
    assert "mapping" in error(b"- a\n- b\n")[2]


def test_an_alias_that_contains_itself_is_refused() -> None:
    assert "alias" in error(b"a: &a\n  b: *a\n")[2]


def test_aliases_that_never_end_are_refused() -> None:
    rows = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "aliases make more than" in error("\n".join(rows).encode())[2]


@given(st.binary(max_size=200))
def test_whatever_is_in_a_file_nothing_raises(content: bytes) -> None:
    # must not raise
    read(content, "file.yaml", Report())


@given(st.text(alphabet="abc:-[]{}&*!<>|'\"#\n\t \\@%,?~", max_size=80))
def test_whatever_yaml_is_in_a_file_nothing_raises(content: str) -> None:
    # must not raise
    read(content.encode(), "file.yaml", Report())
