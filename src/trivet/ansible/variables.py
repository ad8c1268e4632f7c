# SPDX-License-Identifier: GPL-3.0-or-later
"""The variables that an environment's application gets: plain ones in a file, sensitive ones vaulted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from trivet.ansible.secrets import read_vault, secrets_file, write_vault
from trivet.errors import InputError
from trivet.model.environment import Environment

PLAIN, SENSITIVE = "trivet_variables", "trivet_sensitive_variables"
NAME = re.compile(r"(?:env:|php:)?[A-Za-z_][A-Za-z0-9_.-]{0,254}")
HEAD = "# Variables of the application, for `trivet variable`; edit them by hand as you like.\n---\n"


def variables_file(environment: Environment) -> Path:
    """The file of the plain ones: ``group_vars/all/variables.yml`` of the inventory."""
    return secrets_file(environment).with_name("variables.yml")


def variables_of(environment: Environment) -> dict[str, str]:
    """The variables of an environment: ``trivet_variables``, and the sensitive ones of the vault.

    :raises InputError: they are no dictionary of plain values.
    """
    return given(environment, PLAIN) | given(environment, SENSITIVE)


def given(environment: Environment, key: str) -> dict[str, str]:
    """The variables of one of the two kinds, wherever the inventory has them.

    :raises InputError: they are no dictionary of plain values.
    """
    found = environment.variables.get(key) or {}
    if not isinstance(found, Mapping) or not all(isinstance(value, str | int | float) for value in found.values()):
        raise InputError(f"{environment.inventory}: {key} takes a dictionary of plain values")
    return {str(name): str(value) for name, value in found.items()}


def set_variable(environment: Environment, name: str, value: str, *, sensitive: bool) -> bool:
    """Have a variable, of one kind alone; whether anything changed. The application gets it by its next deploy.

    :raises InputError: the name cannot be one, or the inventory has variables in another file.
    """
    if not NAME.fullmatch(name):
        raise InputError(f"{name!r} is no name of a variable: NAME, env:NAME or php:NAME of letters, digits and _ . -")
    changed = _store(environment, PLAIN, _changed(environment, PLAIN, name, None if sensitive else value))
    return (
        _store(environment, SENSITIVE, _changed(environment, SENSITIVE, name, value if sensitive else None)) or changed
    )


def delete_variable(environment: Environment, name: str) -> None:
    """Have a variable no more. The application loses it by its next deploy.

    :raises InputError: there is none, or the inventory has variables in another file.
    """
    if name not in variables_of(environment):
        raise InputError(f"{environment.name} has no variable {name}", f"trivet variable list {environment.label}")
    for key in (PLAIN, SENSITIVE):
        _store(environment, key, _changed(environment, key, name, None))


def _changed(environment: Environment, key: str, name: str, value: str | None) -> dict[str, str]:
    others = {known: old for known, old in given(environment, key).items() if known != name}
    return others if value is None else {**others, name: value}


def _store(environment: Environment, key: str, values: dict[str, str]) -> bool:
    """Write one kind, when it is not as it should be; whether it was not.

    :raises InputError: another file of the inventory has it, and would win or lose against this one.
    """
    before = given(environment, key)
    if values == before:
        return False
    path = secrets_file(environment) if key == SENSITIVE else variables_file(environment)
    content = _content(path, key)
    if {str(name): str(value) for name, value in (content.get(key) or {}).items()} != before:
        raise InputError(
            f"{key} of {environment.name} stands in another file of {environment.inventory}: move it to {path}"
        )
    content[key] = values
    if key == SENSITIVE:
        write_vault(path, content)
    else:
        _write(path, content)
    return True


def _content(path: Path, key: str) -> dict[str, Any]:
    if key == SENSITIVE:
        return read_vault(path)
    if not path.exists():
        return {}
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise InputError(f"{path} takes a dictionary of variables")
    return found


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}.new")
    staged.write_text(HEAD + yaml.safe_dump(dict(content), sort_keys=True, allow_unicode=True), encoding="utf-8")
    staged.replace(path)
