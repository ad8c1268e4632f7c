# SPDX-License-Identifier: GPL-3.0-or-later
"""`trivet_projects` is checked before anything is touched."""

from __future__ import annotations

from typing import Any

import pytest

from trivet.errors import InputError
from trivet.model.projects import projects_of

KEY = "ssh-ed25519 " + "A" * 68
OTHER = "ssh-ed25519 " + "B" * 68


def shop(**changed: Any) -> dict[str, Any]:
    return {"branches": {"production": "production"}, "keys": [{"name": "anna", "key": KEY}], **changed}


def test_none_is_none() -> None:
    assert projects_of(None, "here") == {} == projects_of({}, "here")


def test_a_project_has_branches_and_pushers() -> None:
    keys = [{"name": "anna", "key": f"{KEY} anna@home"}, {"name": "anna", "key": OTHER}]
    (project,) = projects_of({"shop": shop(keys=keys)}, "here").values()
    assert project.branches == {"production": "production"}
    assert project.pushers == ("anna",)
    assert project.keys == (("anna", KEY), ("anna", OTHER))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], "takes a dictionary"),
        ({"Shop": shop()}, "lower-case"),
        ({"../x": shop()}, "lower-case"),
        ({"shop": []}, "takes the keys"),
        ({"shop": shop(other=1)}, "takes the keys"),
        ({"shop": shop(branches={})}, "takes the environment"),
        ({"shop": shop(branches={"a..b": "x"})}, "cannot name a branch"),
        ({"shop": shop(branches={"-x": "x"})}, "cannot name a branch"),
        ({"shop": shop(branches={"x y": "x"})}, "cannot name a branch"),
        ({"shop": shop(branches={"x": "../y"})}, "cannot name an environment"),
        ({"shop": shop(branches={"a": "x", "b": "x"})}, "named by two branches"),
        ({"shop": shop(keys={})}, "takes a list"),
        ({"shop": shop(keys=[{"name": "anna"}])}, "takes a list"),
        ({"shop": shop(keys=[{"name": 'a"b', "key": KEY}])}, "cannot name a person"),
        ({"shop": shop(keys=[{"name": "a b", "key": KEY}])}, "cannot name a person"),
        ({"shop": shop(keys=[{"name": "anna", "key": "secret"}])}, "no public SSH key"),
        ({"shop": shop(keys=[{"name": "anna", "key": f"{KEY}\n{OTHER}"}])}, "no public SSH key"),
        ({"shop": shop(keys=[{"name": "anna", "key": f'command="id" {KEY}'}])}, "no public SSH key"),
        ({"shop": shop(keys=[{"name": "anna", "key": KEY}, {"name": "ben", "key": KEY}])}, "have the same key"),
        ({"shop": shop(), "blog": shop()}, "both go to production"),
    ],
)
def test_what_is_wrong_is_named(value: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        projects_of(value, "here")
