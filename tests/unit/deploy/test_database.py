# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases and accounts of an application."""

from __future__ import annotations

import pytest

from trivet.deploy.compose import rights_of
from trivet.deploy.database import Account, accounts_script, database_name, password, user_name
from trivet.errors import InputError
from trivet.project.services import Service


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


def test_an_account_loses_what_it_is_not_given_any_more() -> None:
    script = accounts_script([Account(user_name("shop", "mysql", "reader"), "secret", {"shop": "ro"})])
    assert "CREATE DATABASE IF NOT EXISTS `shop`" in script
    lines = script.splitlines()
    revoked = next(n for n, line in enumerate(lines) if line.startswith("REVOKE ALL PRIVILEGES"))
    granted = lines.index("GRANT SELECT ON `shop`.* TO 'app_shop_mysql_reader'@'%';")
    assert revoked < granted
