# SPDX-License-Identifier: GPL-3.0-or-later
"""The projects that a grid machine keeps: which branch goes to which environment, and who may push."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trivet.errors import InputError

VARIABLE = "trivet_projects"
_PROJECT = re.compile(r"[a-z][a-z0-9-]{0,38}")
_PUSHER = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
# git-check-ref-format(1), less what nobody needs: such a name is quoted nowhere.
_BRANCH = re.compile(r"(?!.*(?:\.\.|//|\.lock(?:/|$)|/\.|\.$|/$))[A-Za-z0-9][A-Za-z0-9._/-]{0,199}")
_ENVIRONMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_KEY = re.compile(
    r"(?:ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)|sk-ssh-ed25519@openssh\.com"
    r"|sk-ecdsa-sha2-nistp256@openssh\.com) [A-Za-z0-9+/]{40,}={0,3}(?: [^\r\n]*)?"
)


@dataclass(frozen=True, slots=True)
class GitProject:
    """One repository.

    :param branches: the environment that a branch goes to, by the branch.
    :param keys: public SSH keys by the name of who has it; one may have several.
    """

    branches: Mapping[str, str]
    keys: tuple[tuple[str, str], ...]

    @property
    def pushers(self) -> tuple[str, ...]:
        """Who may push and fetch."""
        return tuple(dict.fromkeys(name for name, _key in self.keys))


def projects_of(value: Any, where: str) -> dict[str, GitProject]:
    """Read and check ``trivet_projects``.

    :param value: of the inventory; None or empty for no project.
    :param where: the inventory, for messages.
    :raises InputError: naming project and key.
    """
    if value in (None, "", {}):
        return {}
    if not isinstance(value, Mapping):
        raise InputError(f"{where}: {VARIABLE} takes a dictionary of projects by their names")
    found = {str(name): _project(str(name), item, f"{where}: {VARIABLE}.{name}") for name, item in value.items()}
    _check_keys(found, f"{where}: {VARIABLE}")
    return found


def _project(name: str, value: Any, where: str) -> GitProject:
    if not _PROJECT.fullmatch(name):
        raise InputError(
            f"{where}: a project's name has lower-case letters, digits and dashes, and begins with a letter"
        )
    if not isinstance(value, Mapping) or not {"branches", "keys"} >= set(value):
        raise InputError(f"{where} takes the keys branches and keys")
    branches, keys = value.get("branches"), value.get("keys")
    if not isinstance(branches, Mapping) or not branches:
        raise InputError(f"{where}.branches takes the environment of each branch, as {{production: production}}")
    for branch, environment in branches.items():
        if not _BRANCH.fullmatch(str(branch)):
            raise InputError(f"{where}.branches: {branch!r} cannot name a branch")
        if not _ENVIRONMENT.fullmatch(str(environment)):
            raise InputError(f"{where}.branches.{branch}: {environment!r} cannot name an environment")
    environments = list(branches.values())
    for environment in environments:
        if environments.count(environment) > 1:
            raise InputError(f"{where}.branches: {environment} is named by two branches; each would undo the other")
    if not isinstance(keys, list):
        raise InputError(f"{where}.keys takes a list of {{name, key}}")
    return GitProject(
        {str(k): str(v) for k, v in branches.items()}, tuple(_key(item, f"{where}.keys") for item in keys)
    )


def _key(item: Any, where: str) -> tuple[str, str]:
    if not isinstance(item, Mapping) or set(item) != {"name", "key"}:
        raise InputError(f"{where} takes a list of {{name, key}}")
    name, key = str(item["name"]), str(item["key"])
    if not _PUSHER.fullmatch(name):
        raise InputError(f"{where}: {name!r} cannot name a person: use lower-case letters, digits and . _ -")
    if not _KEY.fullmatch(key):
        raise InputError(f"{where}: the key of {name} is no public SSH key, such as `ssh-ed25519 AAAA…`")
    return name, " ".join(key.split()[:2])


def _check_keys(projects: Mapping[str, GitProject], where: str) -> None:
    """One key says one name: who pushes is told by it."""
    owners: dict[str, str] = {}
    for project in projects.values():
        for name, key in project.keys:
            if owners.setdefault(key, name) != name:
                raise InputError(f"{where}: {owners[key]} and {name} have the same key")
    targets: dict[str, str] = {}
    for name, project in projects.items():
        for environment in project.branches.values():
            if targets.setdefault(environment, name) != name:
                raise InputError(f"{where}: {targets[environment]} and {name} both go to {environment}")
