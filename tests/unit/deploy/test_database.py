# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases and accounts of an application."""

from __future__ import annotations

import pytest

from trivet.deploy.database import Account, accounts_script, password, user_name
from trivet.errors import InputError
from trivet.project.services import Service
from trivet.runtime.access import database_name, rights_of


def service(**configuration: object) -> Service:
    return Service("mysql", "mysql", "10.11", 2048, ("mysql",), dict(configuration), 1)


def test_the_first_database_has_the_application_s_name() -> None:
    assert database_name("shop", "mysql", "main") == "shop"
    assert database_name("shop", "mysql", "quote") == "shop_quote"
    assert database_name("my-shop", "reports", "main") == "my_shop_reports"


def test_a_name_that_mariadb_cannot_have_is_refused() -> None:
    with pytest.raises(InputError, match="too long"):
        database_name("shop", "mysql", "x" * 64)


def test_passwords_follow_from_the_key_and_the_account_alone() -> None:
    one = password("key", "shop", "mysql", "admin")
    assert one == password("key", "shop", "mysql", "admin")
    assert len({one, password("key", "shop", "mysql", "reader"), password("other", "shop", "mysql", "admin")}) == 3
    assert len(one) >= 40 and "'" not in one


def test_rights_are_those_of_the_endpoint() -> None:
    given = service(
        schemas=["main", "quote"],
        endpoints={"reader": {"default_schema": "main", "privileges": {"main": "ro", "quote": "rw"}}},
    )
    assert rights_of(given, "reader") == {"main": "ro", "quote": "rw"}
    assert rights_of(given, "mysql") == {"main": "admin", "quote": "admin"}
    assert rights_of(service(), "mysql") == {"main": "admin"}


def test_what_an_account_may_do_is_given_before_anything_is_taken() -> None:
    rights = {"shop": "ro", "shop_quote": "rw", "shop_main": "admin"}
    script = accounts_script([Account(user_name("shop", "mysql", "reader"), "secret", rights)])
    lines = [line.strip() for line in script.splitlines()]
    for name in rights:
        assert f"CREATE DATABASE IF NOT EXISTS `{name}` CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;" in lines
        granted = next(n for n, line in enumerate(lines) if line.startswith("GRANT ") and f"`{name}`" in line)
        taken = [n for n, line in enumerate(lines) if "REVOKE" in line and f"`{name}`" in line]
        assert all(granted < n for n in taken) and bool(taken) == (rights[name] != "admin")
    (read,) = (line for line in lines if line.startswith("REVOKE") and "`shop`" in line)
    (write,) = (line for line in lines if line.startswith("REVOKE") and "`shop_quote`" in line)
    assert "INSERT" in read and "INSERT" not in write and "DROP" in write and "SELECT" not in read
    assert "REVOKE ALL PRIVILEGES ON `shop" not in script


def test_what_is_there_already_is_only_looked_at() -> None:
    """A statement that changes nothing is replicated all the same, and fails commits of customers."""
    rights = {"shop": "admin", "shop_quote": "rw"}
    script = accounts_script([Account("app_shop_mysql_mysql", "secret", rights)])
    pieces = [piece.strip() for piece in script.split("//") if piece.strip()]
    assert all(piece.startswith("BEGIN NOT ATOMIC") for piece in pieces)
    for piece in pieces:
        first = piece.splitlines()[1].strip()
        assert first.startswith(("IF ", "FOR surplus IN (SELECT "))
    admin = next(piece for piece in pieces if "GRANT ALL PRIVILEGES ON `shop`" in piece)
    assert admin.count("<> 19") == 2 and "'DELETE HISTORY'" in admin and "'SELECT'" in admin
    writer = next(piece for piece in pieces if "GRANT SELECT" in piece)
    assert writer.count("<> 4") == 2 and "IN ('DELETE', 'INSERT', 'SELECT', 'UPDATE')" in writer
