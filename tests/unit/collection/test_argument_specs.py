# SPDX-License-Identifier: GPL-3.0-or-later
"""Every role documents exactly the variables it has, with the defaults it has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from trivet.services.contract import Terms
from trivet.services.registry import SETTINGS, settings_of

ROOT = Path(__file__).resolve().parents[3]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())


LOOKUP = re.compile(r"\{\{ lookup\('trivet\.commerce\.contract', '(\w+)'\) \}\}")
"""A default that is a setting of a contract."""


def defaults(role: str) -> dict[str, Any]:
    found = yaml.safe_load((ROOT / "roles" / role / "defaults" / "main.yml").read_text()) or {}
    return {name: contracts_default(name, value) for name, value in found.items()}


def contracts_default(name: str, value: Any) -> Any:
    asked = LOOKUP.fullmatch(value) if isinstance(value, str) else None
    if asked is None:
        return value
    assert asked[1] == name, "a role's default asks for the setting of its own name"
    return settings_of(Terms())[name]


def options(role: str) -> dict[str, Any]:
    specs = yaml.safe_load((ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text())
    return specs["argument_specs"]["main"].get("options") or {}


def test_there_are_roles() -> None:
    assert len(ROLES) >= 10


@pytest.mark.parametrize("role", ROLES)
def test_every_default_is_documented_and_every_option_exists(role: str) -> None:
    required = {name for name, option in options(role).items() if option.get("required")}
    assert set(options(role)) - required == set(defaults(role))


@pytest.mark.parametrize("role", ROLES)
def test_documented_defaults_are_the_defaults(role: str) -> None:
    documented = {name: option["default"] for name, option in options(role).items() if "default" in option}
    assert documented == {name: value for name, value in defaults(role).items() if name in documented}


def test_every_setting_of_a_contract_is_a_default_of_one_role() -> None:
    texts = [(ROOT / "roles" / role / "defaults" / "main.yml").read_text() for role in ROLES]
    found = [name for text in texts for name in LOOKUP.findall(text)]
    assert sorted(found) == sorted(SETTINGS)


@pytest.mark.parametrize("role", ROLES)
def test_the_verb_validate_checks_what_main_checks(role: str) -> None:
    specs = yaml.safe_load((ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text())["argument_specs"]
    assert specs["validate"]["options"] == specs["main"]["options"]


@pytest.mark.parametrize("role", ROLES)
def test_variables_have_the_prefix_of_their_role(role: str) -> None:
    assert [name for name in defaults(role) if not name.startswith(f"{role}_")] == []


@pytest.mark.parametrize("role", ROLES)
def test_role_has_a_description_of_each_variable(role: str) -> None:
    assert [name for name, option in options(role).items() if not option.get("description")] == []
