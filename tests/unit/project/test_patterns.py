# SPDX-License-Identifier: GPL-3.0-or-later
"""Groups of regular expressions of PCRE."""

from __future__ import annotations

import pytest

from trivet.project.patterns import filled, pattern, references, unknown


@pytest.mark.parametrize(
    ("written", "numbered", "wanted"),
    [
        (r"^/static/version\d+/(?<resource>.*)$", False, r"^/static/version\d+/(?<t_resource>.*)$"),
        (r"(a)(?:b)(?=c)(?<!d)\(e", True, r"(?<t_1>a)(?:b)(?=c)(?<!d)\(e"),
        (r"(?P<x>a)(?'y'b)(c)", True, r"(?<t_x>a)(?<t_y>b)(?<t_3>c)"),
        (r"[(](?<x>[^)(]*)\k<x>(?P=x)\1", False, r"[(](?<t_x>[^)(]*)\k<t_x>(?P=t_x)\1"),
        (r"[]()]\Q(\E(x)", True, r"[]()]\Q(\E(?<t_1>x)"),
    ],
)
def test_groups_are_renamed_for_nginx(written: str, numbered: bool, wanted: str) -> None:
    assert pattern(written, numbered=numbered).text == wanted


def test_a_text_takes_groups_by_name_and_number() -> None:
    variables = pattern("^/(?<a>.)/(.)", numbered=True).variables
    assert filled("/$a-$1/${a}x$2z", variables) == "/${t_a}-${t_a}/${t_a}x${t_2}z"
    assert references("$1a$b_c") == ("1", "b_c")
    assert unknown("/$a$3$", "(?<a>x)") == ("3", "$") and unknown("/$a", None) == ("a",)
