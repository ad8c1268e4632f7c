# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets of an environment: generated once into an ansible-vault file outside git, never defaults."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from trivet.ansible.settings import ansible_environment, program
from trivet.errors import InputError, TrivetError
from trivet.model.environment import Environment
from trivet.services.registry import secrets_of

PLATFORM_SECRETS = ("redis_password", "agent_channel_secret")
"""What every environment needs; an application names its own."""
ADDABLE = ("agent_channel_secret",)
"""Secrets of the nodes among themselves: an environment of an earlier release gets them when it converges."""


def secret_names(environment: Environment) -> tuple[str, ...]:
    """The secrets that an environment needs: its own, those of its application, and of services that it has."""
    own = environment.application.secrets if environment.application else ()
    return tuple(dict.fromkeys((*own, *PLATFORM_SECRETS, *_of_services(environment))))


def _of_services(environment: Environment) -> tuple[str, ...]:
    return secrets_of(environment.terms)


def secrets_file(environment: Environment) -> Path:
    """The vault file: group_vars/all/secrets.yml of the inventory folder."""
    folder = environment.inventory if environment.inventory.is_dir() else environment.inventory.parent
    return folder / "group_vars" / "all" / "secrets.yml"


def ensure_secrets(environment: Environment) -> bool:
    """Generate the secrets when there is no file yet; check that none is missing otherwise, and add what may be.

    :returns: whether any were generated now.
    :raises InputError: when the file lacks a secret or cannot be decrypted; names the file and the key.
    """
    path = secrets_file(environment)
    if not path.exists():
        write_vault(path, {"trivet_secrets": {name: secrets.token_urlsafe(24) for name in secret_names(environment)}})
        return True
    present = read_vault(path)
    addable = (*ADDABLE, *_of_services(environment))
    check_secrets(environment, optional=addable)
    added = {name: secrets.token_urlsafe(24) for name in addable if not present["trivet_secrets"].get(name)}
    if added:
        write_vault(path, {**present, "trivet_secrets": present["trivet_secrets"] | added})
    return bool(added)


def check_secrets(environment: Environment, optional: tuple[str, ...] = ()) -> None:
    """Check that the vault file is there, can be opened and has every secret.

    :param optional: secrets that may be missing.
    :raises InputError: naming the file and the key.
    """
    path = secrets_file(environment)
    if not path.exists():
        raise InputError(
            f"{path} does not exist: the secrets of {environment.name} are missing",
            f"trivet converge {environment.label} generates them on a first run",
        )
    present = read_vault(path)["trivet_secrets"]
    missing = [name for name in secret_names(environment) if name not in optional and not present.get(name)]
    if missing:
        addable = missing[0] in (*ADDABLE, *_of_services(environment))
        command = f"trivet converge {environment.label}" if addable else f"ansible-vault edit {path}"
        raise InputError(f"{path}: trivet_secrets.{missing[0]} is missing", command)


def read_vault(path: Path) -> dict[str, Any]:
    """The content of the vault file.

    :raises InputError: it cannot be opened with the vault password.
    """
    content = yaml.safe_load(_vault("view", path)) or {}
    return {**content, "trivet_secrets": content.get("trivet_secrets") or {}}


def write_vault(path: Path, content: Mapping[str, Any]) -> None:
    """Encrypt a content into the vault file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(path.name + ".new")
    text = yaml.safe_dump(dict(content), sort_keys=True)
    handle = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(handle, "w") as stream:
            stream.write("---\n" + text)
        _vault("encrypt", staged)
        staged.replace(path)
    finally:
        staged.unlink(missing_ok=True)


def _vault(verb: str, path: Path) -> str:
    completed = subprocess.run(
        [program("ansible-vault"), verb, str(path)],
        env={**os.environ, **ansible_environment()},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )
    if completed.returncode != 0:
        words = " ".join(completed.stderr.split())[-300:]
        password_file = ansible_environment()["ANSIBLE_VAULT_PASSWORD_FILE"]
        message = f"{path} cannot be opened with the vault password in {password_file}: {words}"
        if verb == "view":
            raise InputError(message)
        raise TrivetError(message)
    return completed.stdout
