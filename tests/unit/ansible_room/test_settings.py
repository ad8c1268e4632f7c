# SPDX-License-Identifier: GPL-3.0-or-later
"""Under which settings Ansible runs."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from trivet.ansible.settings import ansible_environment
from trivet.errors import InputError


@pytest.fixture(autouse=True)
def own_vault_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIVET_VAULT_PASSWORD_FILE", str(tmp_path / "password"))


@pytest.mark.parametrize("switch", [None, "", "0"])
def test_modules_are_run_by_ansible_itself_unless_mitogen_is_asked_for(
    switch: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRIVET_MITOGEN", raising=False)
    if switch is not None:
        monkeypatch.setenv("TRIVET_MITOGEN", switch)
    assert not [name for name in ansible_environment() if "STRATEGY" in name]


def test_mitogen_runs_them_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIVET_MITOGEN", "1")
    settings = ansible_environment()
    assert settings["ANSIBLE_STRATEGY"] == "mitogen_linear"
    assert (Path(settings["ANSIBLE_STRATEGY_PLUGINS"]) / "mitogen_linear.py").is_file()


def test_mitogen_that_is_not_installed_is_said_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIVET_MITOGEN", "1")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="Mitogen is not installed") as raised:
        ansible_environment()
    assert "pip install mitogen" in str(raised.value.next_command)
