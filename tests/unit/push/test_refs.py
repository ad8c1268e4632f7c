# SPDX-License-Identifier: GPL-3.0-or-later
"""Which environment a push is for, and which pushes are refused."""

from __future__ import annotations

import pytest

from trivet.errors import InputError
from trivet.push.refs import Push, push_of, refs_of
from trivet.push.settings import Project

NONE, OLD, NEW = "0" * 40, "a" * 40, "b" * 40
SHOP = Project("shop", {"production": "production", "staging": "qa"}, ("anna",))


def push(*lines: str) -> Push | None:
    return push_of(refs_of(f"{line}\n" for line in lines), SHOP)


def test_a_branch_goes_to_its_environment() -> None:
    assert push(f"{OLD} {NEW} refs/heads/staging") == Push("staging", "qa", OLD, NEW)


def test_a_new_branch_has_no_commit_before() -> None:
    assert push(f"{NONE} {NEW} refs/heads/production") == Push("production", "production", "", NEW)


def test_tags_move_nothing() -> None:
    assert push(f"{NONE} {NEW} refs/tags/v1", f"{OLD} {NONE} refs/tags/v0") is None


def test_tags_may_come_along() -> None:
    assert push(f"{NONE} {NEW} refs/tags/v1", f"{OLD} {NEW} refs/heads/staging") == Push("staging", "qa", OLD, NEW)


def test_an_unknown_branch_is_told_the_mapping() -> None:
    with pytest.raises(
        InputError, match=r"feature goes to no environment; production goes to production, staging goes"
    ):
        push(f"{NONE} {NEW} refs/heads/feature")


def test_a_branch_that_is_mapped_no_more_may_be_deleted() -> None:
    assert push(f"{OLD} {NONE} refs/heads/feature") is None


def test_the_branch_of_an_environment_is_not_deleted() -> None:
    with pytest.raises(InputError, match="production, which serves: it cannot be deleted"):
        push(f"{OLD} {NONE} refs/heads/production")


def test_other_refs_are_refused() -> None:
    with pytest.raises(InputError, match="refs/notes/commits goes to no environment"):
        push(f"{NONE} {NEW} refs/notes/commits")


def test_two_environments_are_two_pushes() -> None:
    with pytest.raises(InputError, match="production and staging go to environments of their own"):
        push(f"{OLD} {NEW} refs/heads/production", f"{OLD} {NEW} refs/heads/staging")


@pytest.mark.parametrize(
    "line",
    [
        "",
        "x",
        f"{OLD} {NEW}",
        f"{OLD} {NEW} heads/production",
        f"{OLD[:-1]} {NEW} refs/heads/production",
        f"--upload-pack=id {NEW} refs/heads/production",
        f"{OLD} {NEW} refs/heads/pro duction",
        f"{OLD} {NEW} refs/heads/a*",
        f"{OLD} {NEW.upper()} refs/heads/production",
    ],
)
def test_what_is_no_line_of_git_is_refused(line: str) -> None:
    with pytest.raises(InputError, match="no line of a hook"):
        push(line)
