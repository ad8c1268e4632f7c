# SPDX-License-Identifier: GPL-3.0-or-later
"""Every role documents exactly the variables it has, with the defaults it has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())


def defaults(role: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / "roles" / role / "defaults" / "main.yml").read_text()) or {}


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
