# SPDX-License-Identifier: GPL-3.0-or-later
"""Environment variables under which Trivet runs Ansible; the reasons are in docs/performance.md."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

from trivet.paths import cache_directory, collections_path

# Where Ansible looks besides the current folder: https://docs.ansible.com/ansible/latest/reference_appendices/config.html
OPERATORS_CONFIGURATIONS = (Path("~/.ansible.cfg"), Path("/etc/ansible/ansible.cfg"))
INVENTORY_PLUGINS = ("trivet.commerce.lab", "ansible.builtin.yaml", "ansible.builtin.ini", "ansible.builtin.auto")


def vault_password_file() -> Path:
    """The operator's vault password, made on first use.

    It is in ``$TRIVET_VAULT_PASSWORD_FILE``, by default ~/.config/trivet/vault-password.
    """
    configured = os.environ.get("TRIVET_VAULT_PASSWORD_FILE")
    if configured:
        return Path(configured)
    configuration = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    path = configuration / "trivet" / "vault-password"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as stream:
            stream.write(secrets.token_urlsafe(32) + "\n")
    return path


def configuration_file() -> Path:
    """The configuration file of Ansible that holds: the operator's where there is one, else that beside this module.

    One in the current folder does not count: ansible-runner starts playbooks elsewhere, and all programs shall agree.
    """
    if configured := os.environ.get("ANSIBLE_CONFIG"):
        return Path(configured)
    theirs = [path.expanduser() for path in OPERATORS_CONFIGURATIONS if path.expanduser().is_file()]
    return theirs[0] if theirs else Path(__file__).with_name("ansible.cfg")


def ansible_environment() -> dict[str, str]:
    """Settings of every Ansible process that Trivet starts."""
    cache = cache_directory()
    return {
        "ANSIBLE_CONFIG": str(configuration_file()),
        # ansible-runner looks ansible-playbook up here.
        "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}",
        "ANSIBLE_COLLECTIONS_PATH": collections_path(),
        "ANSIBLE_VAULT_PASSWORD_FILE": str(vault_password_file()),
        "ANSIBLE_PIPELINING": "True",
        "ANSIBLE_FORKS": "6",
        "ANSIBLE_GATHERING": "explicit",
        "ANSIBLE_CACHE_PLUGIN": "jsonfile",
        "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(cache / "facts"),
        "ANSIBLE_CACHE_PLUGIN_TIMEOUT": "86400",
        "ANSIBLE_INVENTORY_ENABLED": ",".join(INVENTORY_PLUGINS),
        "ANSIBLE_RETRY_FILES_ENABLED": "False",
        "ANSIBLE_DEPRECATION_WARNINGS": "False",
        "ANSIBLE_LOCALHOST_WARNING": "False",
        "ANSIBLE_NOCOWS": "1",
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(cache / "ssh"),
        "ANSIBLE_SSH_ARGS": "-o ControlMaster=auto -o ControlPersist=120s -o PreferredAuthentications=publickey",
    }


def program(name: str) -> str:
    """Path of an Ansible program of this Python's environment."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else name
