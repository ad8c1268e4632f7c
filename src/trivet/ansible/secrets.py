# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets of an environment: generated once into an ansible-vault file outside git, never defaults."""

from __future__ import annotations

import os
import secrets
import subprocess
from pathlib import Path

import yaml

from trivet.ansible.settings import ansible_environment, program
from trivet.errors import InputError, TrivetError
from trivet.model.environment import Environment

SECRET_NAMES = (
    "store_database_password",
    "store_crypt_key",
    "redis_password",
)


def secrets_file(environment: Environment) -> Path:
    """The vault file: group_vars/all/secrets.yml of the inventory folder."""
    folder = environment.inventory if environment.inventory.is_dir() else environment.inventory.parent
    return folder / "group_vars" / "all" / "secrets.yml"


def ensure_secrets(environment: Environment) -> bool:
    """Generate the secrets when there is no file yet; check that none is missing otherwise.

    :returns: whether they were generated now.
    :raises InputError: when the file lacks a secret or cannot be decrypted; names the file and the key.
    """
    path = secrets_file(environment)
    if not path.exists():
        _write(path, {name: secrets.token_urlsafe(24) for name in SECRET_NAMES})
        return True
    check_secrets(environment)
    return False


def check_secrets(environment: Environment) -> None:
    """Check that the vault file is there, can be opened and has every secret.

    :raises InputError: naming the file and the key.
    """
    path = secrets_file(environment)
    if not path.exists():
        raise InputError(
            f"{path} does not exist: the secrets of {environment.name} are missing",
            f"trivet converge {environment.label} generates them on a first run",
        )
    present = (yaml.safe_load(_vault("view", path)) or {}).get("trivet_secrets") or {}
    missing = [name for name in SECRET_NAMES if not present.get(name)]
    if missing:
        raise InputError(f"{path}: trivet_secrets.{missing[0]} is missing", f"ansible-vault edit {path}")


def _write(path: Path, values: dict[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(path.name + ".new")
    text = yaml.safe_dump({"trivet_secrets": values}, sort_keys=True)
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
