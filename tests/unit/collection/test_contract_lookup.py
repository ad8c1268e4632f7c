# SPDX-License-Identifier: GPL-3.0-or-later
"""The lookup ``trivet.commerce.contract``: what holds for the host that asks, whoever has set it."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar, trust_as_template

from trivet.paths import collections_path
from trivet.services.contract import Terms
from trivet.services.registry import for_roles

init_plugin_loader(collections_path().split(":"))

DEFAULT = trust_as_template("{{ lookup('trivet.commerce.contract', 'redis_cache_port') }}")
"""As the role of the service has it."""


def value(expression: str, **variables: Any) -> Any:
    templar = Templar(loader=DataLoader(), variables=variables)
    return templar.evaluate_expression(trust_as_template(expression))


def looked_up(words: str = "'redis_cache_port'", **variables: Any) -> Any:
    return value(f"lookup('trivet.commerce.contract', {words})", **variables)


def test_without_a_variable_the_contracts_default_holds() -> None:
    assert looked_up() == 6380
    assert value("lookup('trivet.commerce.contract')") == for_roles(Terms())


def test_a_variable_of_the_setting_is_taken_wherever_it_is_set() -> None:
    assert looked_up(redis_cache_port=7380) == 7380
    assert looked_up(redis_cache_port=trust_as_template("{{ base + 380 }}"), base=7000) == 7380


def test_the_default_of_the_services_own_role_is_none() -> None:
    assert value("redis_cache_port", redis_cache_port=DEFAULT) == 6380
    assert looked_up(redis_cache_port=DEFAULT) == 6380
    assert value("redis_cache_port", redis_cache_port=DEFAULT, redis_session_port=7390) == 6380


def test_what_is_fixed_stays() -> None:
    assert looked_up("'database_writer_port'", database_writer_port=3400) == 3306


def test_a_range_is_one_word_and_a_backend_has_its_ports() -> None:
    assert looked_up("'files_brick_ports'") == "49152-49251"
    assert value("lookup('trivet.commerce.contract').backends.db_writer", database_port=3407) == {
        "asks": "database",
        "servers": 3407,
        "local": 3306,
        "hold": 3305,
    }


def test_ports_among_those_of_outgoing_connections_are_reserved() -> None:
    reserved = looked_up("'reserved_ports'", redis_cache_port=40380)
    assert sorted(reserved) == ["40380", "49152-49251"]


@pytest.mark.parametrize(
    ("words", "variables", "told"),
    [
        ("'redis_port'", {}, "no contract has redis_port"),
        ("'redis_cache_port'", {"redis_cache_port": 70000}, "it takes a port from 1 to 65535"),
        ("'redis_cache_port'", {"redis_cache_port": 3307}, "database_port and redis_cache_port are both 3307"),
    ],
)
def test_what_does_not_fit_ends_the_task(words: str, variables: dict[str, Any], told: str) -> None:
    with pytest.raises(AnsibleError) as refused:
        looked_up(words, **variables)
    assert told in str(refused.value)
