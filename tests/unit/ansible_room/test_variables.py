# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables of an environment: set, moved to the vault and back, deleted; nothing is lost beside them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from trivet.ansible import secrets, variables
from trivet.errors import InputError
from trivet.model import Environment, Node


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    monkeypatch.setattr(secrets, "_vault", lambda verb, path: path.read_text() if verb == "view" else "")
    folder = tmp_path / "group_vars" / "all"
    folder.mkdir(parents=True)
    (folder / "secrets.yml").write_text("trivet_secrets: {redis_password: hidden}\n")
    return Environment("test", tmp_path, (Node("node-1", 1, "192.0.2.1"),), ("192.0.2.21",), "6", ("shop.example",))


def loaded(environment: Environment) -> Environment:
    """As the inventory has it by now."""
    folder = environment.inventory / "group_vars" / "all"
    values: dict[str, object] = {}
    for path in folder.glob("*.yml"):
        values |= yaml.safe_load(path.read_text()) or {}
    return replace(environment, variables=values)


def test_a_variable_is_of_one_kind_and_moves_when_that_changes(environment: Environment) -> None:
    assert variables.set_variable(environment, "env:KEY", "1", sensitive=False)
    environment = loaded(environment)
    assert not variables.set_variable(environment, "env:KEY", "1", sensitive=False)
    assert variables.set_variable(environment, "env:KEY", "2", sensitive=True)
    environment = loaded(environment)
    assert variables.given(environment, variables.PLAIN) == {}
    assert variables.given(environment, variables.SENSITIVE) == {"env:KEY": "2"}
    assert environment.variables["trivet_secrets"] == {"redis_password": "hidden"}
    variables.delete_variable(environment, "env:KEY")
    assert variables.variables_of(loaded(environment)) == {}


@pytest.mark.parametrize("name", ["", "a b", "env:", "-x", "other:X", "env:X=Y", "1X"])
def test_what_cannot_be_a_name_is_refused(name: str, environment: Environment) -> None:
    with pytest.raises(InputError, match="no name of a variable"):
        variables.set_variable(environment, name, "x", sensitive=False)


def test_one_that_is_not_there_cannot_be_deleted(environment: Environment) -> None:
    with pytest.raises(InputError, match="has no variable env:X"):
        variables.delete_variable(environment, "env:X")


def test_variables_of_another_file_are_not_shadowed(environment: Environment) -> None:
    elsewhere = replace(environment, variables={"trivet_variables": {"env:OLD": "1"}})
    with pytest.raises(InputError, match=r"stands in another file .* move it to .*variables\.yml"):
        variables.set_variable(elsewhere, "env:NEW", "1", sensitive=False)
    assert not variables.variables_file(environment).exists()


def test_what_is_no_dictionary_of_plain_values_is_refused(environment: Environment) -> None:
    with pytest.raises(InputError, match="trivet_variables takes a dictionary"):
        variables.variables_of(replace(environment, variables={"trivet_variables": {"env:X": ["a"]}}))
