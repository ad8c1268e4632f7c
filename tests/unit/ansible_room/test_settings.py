# SPDX-License-Identifier: GPL-3.0-or-later
"""Which configuration of Ansible holds."""

from __future__ import annotations

import configparser
from pathlib import Path

import pytest

from trivet.ansible import settings


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("ANSIBLE_CONFIG", raising=False)
    monkeypatch.setattr(settings, "OPERATORS_CONFIGURATIONS", (Path("~/.ansible.cfg"),))
    return tmp_path


def test_without_a_configuration_of_the_operator_ours_holds() -> None:
    own = configparser.ConfigParser()
    own.read(settings.ansible_environment()["ANSIBLE_CONFIG"])
    assert own.getfloat("defaults", "internal_poll_interval") == 0.01


def test_a_plain_ansible_playbook_in_the_checkout_looks_as_often() -> None:
    found = configparser.ConfigParser()
    found.read(Path(__file__).resolve().parents[3] / "ansible.cfg")
    assert found.getfloat("defaults", "internal_poll_interval") == 0.01


def test_the_operators_own_file_holds(home: Path) -> None:
    (home / ".ansible.cfg").write_text("[defaults]\n")
    assert settings.configuration_file() == home / ".ansible.cfg"


def test_the_operators_variable_holds_before_any_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / ".ansible.cfg").write_text("[defaults]\n")
    monkeypatch.setenv("ANSIBLE_CONFIG", "/srv/ansible.cfg")
    assert settings.configuration_file() == Path("/srv/ansible.cfg")
