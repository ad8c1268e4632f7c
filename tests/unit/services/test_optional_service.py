# SPDX-License-Identifier: GPL-3.0-or-later
"""A service that an environment may do without: nobody judges it, asks it or needs its secrets where it is off."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from trivet.ansible import secrets
from trivet.errors import InputError
from trivet.model import Environment, Node
from trivet.services import registry
from trivet.services.contract import Contract, Switch, Terms

SWITCH = Switch(name="letters_enabled", default=False, what="whether there are letters", setting=True, changeable=True)
LETTERS = Contract(service="letters", enabled=SWITCH, secrets=("letters_password",))
ON = Terms({"letters_enabled": True})


@pytest.fixture(autouse=True)
def contracts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "CONTRACTS", (*registry.CONTRACTS, LETTERS))


@pytest.fixture
def plain_vault(monkeypatch: pytest.MonkeyPatch) -> None:
    """A vault that does not encrypt."""
    monkeypatch.setattr(secrets, "_vault", lambda verb, path: path.read_text() if verb == "view" else "")


def environment(folder: Path, terms: Terms) -> Environment:
    node = Node("node-1", 1, "192.0.2.1")
    return Environment("test", folder, (node,), ("192.0.2.21",), "6", "shop.example", terms=terms)


def known(folder: Path) -> dict[str, str]:
    content = yaml.safe_load((folder / "group_vars" / "all" / "secrets.yml").read_text())
    found: dict[str, str] = content["trivet_secrets"]
    return found


def test_it_is_there_only_where_its_switch_is_on() -> None:
    assert "letters" not in registry.present(Terms())
    assert registry.present(ON) == (*registry.present(Terms()), "letters")
    assert "letters_password" not in registry.secrets_of(Terms())
    assert "letters_password" in registry.secrets_of(ON)


@pytest.mark.usefixtures("plain_vault")
def test_its_secret_comes_when_it_is_turned_on(tmp_path: Path) -> None:
    assert secrets.ensure_secrets(environment(tmp_path, Terms()))
    before = known(tmp_path)
    assert "letters_password" not in before
    secrets.check_secrets(environment(tmp_path, Terms()))
    with pytest.raises(InputError, match="letters_password"):
        secrets.check_secrets(environment(tmp_path, ON))
    assert secrets.ensure_secrets(environment(tmp_path, ON))
    after = known(tmp_path)
    assert len(after.pop("letters_password")) >= 24
    assert after == before
    assert not secrets.ensure_secrets(environment(tmp_path, ON))
