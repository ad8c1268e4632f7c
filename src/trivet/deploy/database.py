# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases and accounts of an application: their names, their passwords, and the SQL that makes them. Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

PRIVILEGES: Mapping[str, str] = {
    "ro": "SELECT",
    "rw": "SELECT, INSERT, UPDATE, DELETE",
    "admin": "ALL PRIVILEGES",
}
"""What ``privileges`` of an endpoint mean (Adobe's guide, services/mysql.md)."""
LONGEST_USER = 80
WRITING = frozenset({"INSERT", "UPDATE", "DELETE"})
ADMINISTRATION = frozenset(
    {
        *("CREATE", "DROP", "REFERENCES", "INDEX", "ALTER", "CREATE TEMPORARY TABLES", "LOCK TABLES", "EXECUTE"),
        *("CREATE VIEW", "SHOW VIEW", "CREATE ROUTINE", "ALTER ROUTINE", "EVENT", "TRIGGER", "DELETE HISTORY"),
    }
)
"""What ``ALL PRIVILEGES`` on a database are beside reading and writing (MariaDB 10.11, GRANT)."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account of the database.

    :param rights: what it may do, ``ro``, ``rw`` or ``admin``, by the database's name.
    """

    user: str
    password: str
    rights: Mapping[str, str]


def user_name(application: str, service: str, endpoint: str) -> str:
    """The account of an endpoint."""
    return re.sub(r"[^a-z0-9_]", "_", f"app_{application}_{service}_{endpoint}".lower())[:LONGEST_USER]


def password(key: str, *names: str) -> str:
    """The password of an account: it follows from the environment's own key, so nothing has to remember it.

    :param key: the secret ``application_key``.
    """
    made = hmac.new(key.encode(), "/".join(names).encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(made).decode().rstrip("=")


def accounts_script(accounts: Sequence[Account]) -> str:
    """SQL that makes databases and accounts as they should be; its delimiter is ``//``. Harmless when they are.

    What is there already is only looked at. Even a ``CREATE DATABASE IF NOT EXISTS`` that finds its database is
    replicated before everything else, and certification then refuses the transactions in that database that were
    about to be committed (MariaDB 10.11.19: error 1213 of a COMMIT, which customers see).

    The release that serves has the same accounts: what they may do is given before anything else is taken.
    """
    names = sorted({name for account in accounts for name in account.rights})
    return "\n".join([*map(_database_script, names), *map(_account_script, accounts)]) + "\n"


def _database_script(name: str) -> str:
    missing = f"NOT EXISTS (SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = '{name}')"
    made = f"CREATE DATABASE IF NOT EXISTS `{name}` CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci"
    return _only_if(missing, made)


def _account_script(account: Account) -> str:
    who = f"'{account.user}'@'%'"
    known = f"SELECT 1 FROM mysql.global_priv WHERE User = '{account.user}' AND Host = '%'"
    secret = f"JSON_VALUE(Priv, '$.authentication_string') = PASSWORD('{account.password}')"
    names = ", ".join(f"'{name}'" for name in sorted(account.rights))
    surplus = f"SELECT Db FROM mysql.db WHERE User = '{account.user}' AND Host = '%' AND Db NOT IN ({names})"
    return "\n".join(
        [
            _only_if(f"NOT EXISTS ({known})", f"CREATE USER IF NOT EXISTS {who} IDENTIFIED BY '{account.password}'"),
            *(_right(who, name, right) for name, right in sorted(account.rights.items())),
            _only_if(f"NOT EXISTS ({known} AND {secret})", f"ALTER USER {who} IDENTIFIED BY '{account.password}'"),
            f"""BEGIN NOT ATOMIC
  FOR surplus IN ({surplus}) DO
    EXECUTE IMMEDIATE CONCAT('REVOKE ALL PRIVILEGES ON `', surplus.Db, '`.* FROM ', {_quoted(who)});
  END FOR;
END//""",
        ]
    )


def _right(who: str, database: str, right: str) -> str:
    """Give a right on a database, then take what goes beyond it; nothing where it is exactly that one."""
    beyond = ADMINISTRATION | (WRITING if right == "ro" else frozenset())
    statements = [f"GRANT {PRIVILEGES[right]} ON `{database}`.* TO {who}"]
    if right == "admin":
        wanted = ADMINISTRATION | WRITING | {"SELECT"}
    else:
        wanted = (WRITING | {"SELECT"}) - beyond
        statements.append(f"REVOKE {', '.join(sorted(beyond))} ON `{database}`.* FROM {who}")
    there = (
        "SELECT COUNT(*) FROM information_schema.SCHEMA_PRIVILEGES"
        f" WHERE GRANTEE = {_quoted(who)} AND TABLE_SCHEMA = '{database}'"
    )
    listed = ", ".join(f"'{item}'" for item in sorted(wanted))
    differs = f"({there}) <> {len(wanted)} OR ({there} AND PRIVILEGE_TYPE IN ({listed})) <> {len(wanted)}"
    return _only_if(differs, *statements)


def _only_if(condition: str, *statements: str) -> str:
    body = "".join(f"    {statement};\n" for statement in statements)
    return f"BEGIN NOT ATOMIC\n  IF {condition} THEN\n{body}  END IF;\nEND//"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
