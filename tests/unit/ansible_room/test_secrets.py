# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets are generated once into a vault file, and a missing one is named."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from trivet.ansible import secrets
from trivet.errors import InputError
from trivet.model import Environment, Node
from trivet.model.application import Application

NAMES = ("blog_key", "redis_password", "agent_channel_secret", "application_key")


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    password = tmp_path / "password"
    password.write_text("not a secret of anybody\n")
    monkeypatch.setenv("TRIVET_VAULT_PASSWORD_FILE", str(password))
    inventory = tmp_path / "inventory"
    inventory.mkdir()
    node = Node("node-1", 1, "192.0.2.1")
    application = Application("blog", "/up", secrets=("blog_key",))
    return Environment("test", inventory, (node,), ("192.0.2.21",), "6", ("shop.example",), application=application)


@pytest.fixture
def plain_vault(monkeypatch: pytest.MonkeyPatch) -> None:
    """A vault that does not encrypt: ansible-vault takes a second each time."""
    monkeypatch.setattr(secrets, "_vault", lambda verb, path: path.read_text() if verb == "view" else "")


def test_secrets_are_generated_once_and_encrypted(environment: Environment) -> None:
    assert secrets.ensure_secrets(environment) is True
    path = environment.inventory / "group_vars" / "all" / "secrets.yml"
    first = path.read_bytes()
    assert first.startswith(b"$ANSIBLE_VAULT;")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["secrets.yml"]
    assert secrets.ensure_secrets(environment) is False
    assert path.read_bytes() == first


@pytest.mark.usefixtures("plain_vault")
def test_every_secret_is_long_its_own_and_fits_the_roles(environment: Environment) -> None:
    secrets.ensure_secrets(environment)
    values = yaml.safe_load(secrets.secrets_file(environment).read_text())["trivet_secrets"]
    assert sorted(values) == sorted(NAMES)
    assert len(set(values.values())) == len(values)
    assert all(len(value) >= 24 and value.replace("-", "").replace("_", "").isalnum() for value in values.values())


@pytest.mark.usefixtures("plain_vault")
@pytest.mark.parametrize("kept", [[], ["redis_password"], [name for name in NAMES if name != "redis_password"]])
def test_a_missing_secret_is_named_with_its_file(environment: Environment, kept: list[str]) -> None:
    path = secrets.secrets_file(environment)
    path.parent.mkdir(parents=True)
    path.write_text(yaml.safe_dump({"trivet_secrets": dict.fromkeys(kept, "x")}))
    with pytest.raises(InputError) as raised:
        secrets.ensure_secrets(environment)
    missing = next(name for name in NAMES if name not in kept)
    assert raised.value.message == f"{path}: trivet_secrets.{missing} is missing"
    assert raised.value.next_command == f"ansible-vault edit {path}"


@pytest.mark.usefixtures("plain_vault")
def test_an_environment_of_an_earlier_release_gets_the_secret_of_its_agents(environment: Environment) -> None:
    path = secrets.secrets_file(environment)
    path.parent.mkdir(parents=True)
    added = (*secrets.ADDABLE, "application_key")
    old = dict.fromkeys((name for name in NAMES if name not in added), "x")
    path.write_text(yaml.safe_dump({"trivet_secrets": old, "mine": 1}))
    with pytest.raises(InputError) as raised:
        secrets.check_secrets(environment)
    assert raised.value.next_command == f"trivet converge {environment.label}"
    assert secrets.ensure_secrets(environment) is True
    content = yaml.safe_load(path.read_text())
    for name in added:
        assert len(content["trivet_secrets"].pop(name)) >= 24
    assert content == {"trivet_secrets": old, "mine": 1}
    assert secrets.ensure_secrets(environment) is False


@pytest.mark.usefixtures("plain_vault")
def test_without_an_application_only_the_platform_s_secrets_are_needed(environment: Environment) -> None:
    alone = replace(environment, application=None)
    assert secrets.ensure_secrets(alone) is True
    values = yaml.safe_load(secrets.secrets_file(alone).read_text())["trivet_secrets"]
    assert sorted(values) == sorted((*secrets.PLATFORM_SECRETS, "application_key"))
    secrets.check_secrets(alone)
    with pytest.raises(InputError, match="blog_key is missing"):
        secrets.check_secrets(environment)


def test_without_the_file_nothing_is_generated_by_a_check(environment: Environment) -> None:
    with pytest.raises(InputError, match="does not exist"):
        secrets.check_secrets(environment)
    assert not secrets.secrets_file(environment).exists()


def test_another_vault_password_is_told(
    environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets.ensure_secrets(environment)
    other = tmp_path / "other"
    other.write_text("another\n")
    monkeypatch.setenv("TRIVET_VAULT_PASSWORD_FILE", str(other))
    with pytest.raises(InputError) as raised:
        secrets.check_secrets(environment)
    assert str(other) in raised.value.message
    assert str(secrets.secrets_file(environment)) in raised.value.message
