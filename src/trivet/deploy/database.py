# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases and accounts of an application: their names, their passwords, and the SQL that makes them. Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trivet.errors import InputError

PRIVILEGES: Mapping[str, str] = {
    "ro": "SELECT",
    "rw": "SELECT, INSERT, UPDATE, DELETE",
    "admin": "ALL PRIVILEGES",
}
"""What ``privileges`` of an endpoint mean (Adobe's guide, services/mysql.md)."""
DEFAULT_SCHEMA = "main"
LONGEST_NAME = 64


@dataclass(frozen=True, slots=True)
class Account:
    """An account of the database.

    :param rights: what it may do, ``ro``, ``rw`` or ``admin``, by the database's name.
    """

    user: str
    password: str
    rights: Mapping[str, str]


def database_name(application: str, service: str, schema: str) -> str:
    """The name of a schema's database. That of the first is the application's own name.

    :raises InputError: it would be too long.
    """
    words = [application, *([service] if service not in ("mysql", "mariadb", "database") else [])]
    name = re.sub(r"[^a-z0-9_]", "_", "_".join([*words, *([schema] if schema != DEFAULT_SCHEMA else [])]).lower())
    if len(name) > LONGEST_NAME:
        raise InputError(f"the database of schema {schema} of {application} would be called {name}, which is too long")
    return name


def user_name(application: str, service: str, endpoint: str) -> str:
    """The account of an endpoint."""
    return re.sub(r"[^a-z0-9_]", "_", f"app_{application}_{service}_{endpoint}".lower())[:LONGEST_NAME]


def password(key: str, *names: str) -> str:
    """The password of an account: it follows from the environment's own key, so nothing has to remember it.

    :param key: the secret ``application_key``.
    """
    made = hmac.new(key.encode(), "/".join(names).encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(made).decode().rstrip("=")


def accounts_script(accounts: Sequence[Account]) -> str:
    """SQL that makes databases and accounts as they should be. Harmless when they are."""
    lines = []
    for database in sorted({name for account in accounts for name in account.rights}):
        lines.append(f"CREATE DATABASE IF NOT EXISTS `{database}` CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;")
    for account in accounts:
        who = f"'{account.user}'@'%'"
        lines.append(f"CREATE USER IF NOT EXISTS {who};")
        lines.append(f"ALTER USER {who} IDENTIFIED BY '{account.password}';")
        lines.append(f"REVOKE ALL PRIVILEGES, GRANT OPTION FROM {who};")
        for database, right in sorted(account.rights.items()):
            lines.append(f"GRANT {PRIVILEGES[right]} ON `{database}`.* TO {who};")
    return "\n".join(lines) + "\n"
