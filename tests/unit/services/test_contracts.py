# SPDX-License-Identifier: GPL-3.0-or-later
"""What the services promise: every fact once, and the values that hold in one environment."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from trivet.services.contract import Contract, Listen, Machines, Peer, Port, Switch, Terms, Unit
from trivet.services.database import contract as database
from trivet.services.files import contract as files
from trivet.services.redis import contract as redis
from trivet.services.registry import BACKENDS, CONTRACTS, DRAINABLE, HOLDS, SERVICES, opened, terms_of
from trivet.services.search import contract as search
from trivet.services.web import contract as web

FOLDER = Path(__file__).parents[3] / "src/trivet/services"
ALL_TERMS = [term for contract in CONTRACTS for term in contract.terms]


def test_every_folder_is_a_service_and_named_as_it() -> None:
    folders = {path.parent.name for path in FOLDER.glob("*/contract.py")}
    assert folders == set(SERVICES)
    assert len(SERVICES) == len(CONTRACTS)


def test_every_term_has_a_name_of_its_own() -> None:
    names = [term.name for term in ALL_TERMS]
    assert sorted(names) == sorted(set(names))


def test_every_backend_has_a_name_of_its_own() -> None:
    assert len(BACKENDS) == sum(len(contract.backends) for contract in CONTRACTS)
    assert list(HOLDS) == ["web", "db_writer", "redis_cache_primary", "redis_session_primary"]


def test_what_an_agent_check_asks_about_is_a_service_that_can_be_drained_or_a_primary() -> None:
    assert {backend.asks for backend in BACKENDS.values()} == {*DRAINABLE, redis.PRIMARY_ROLE}


@pytest.mark.parametrize("term", ALL_TERMS, ids=lambda term: term.name)
def test_every_default_fits_and_is_told(term: Port) -> None:
    assert term.read(term.default) == term.default
    assert term.what and not term.what.endswith(".")


def test_without_settings_the_defaults_hold() -> None:
    terms = terms_of({"trivet_size": "12"})
    assert terms == Terms()
    assert terms[redis.CACHE_PORT] == 6380
    assert terms[files.MOUNT] == Path("/srv/shared")


def test_a_setting_is_taken_from_the_inventory() -> None:
    given = {"redis_cache_port": "7380", "files_mount": "/data/shared", "php_fpm_version": 8.4}
    terms = terms_of(given)
    assert terms[redis.CACHE_PORT] == 7380
    assert terms[files.MOUNT] == Path("/data/shared")
    assert terms[web.PHP_VERSION] == "8.4"
    assert terms[redis.SESSION_PORT] == redis.SESSION_PORT.default


def test_the_version_goes_with_the_engine() -> None:
    assert terms_of({})[search.VERSION] == "2.19.4"
    assert terms_of({"search_engine": "elasticsearch"})[search.VERSION] == "7.10.2"
    given = {"search_engine": "elasticsearch", "search_version": "2.19.4"}
    assert terms_of(given)[search.VERSION] == "2.19.4"


def test_what_is_fixed_cannot_be_set() -> None:
    assert database.WRITER.local is not None
    assert terms_of({"database_writer_port": 3400})[database.WRITER.local] == 3306


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"database_port": 0}, "database_port is 0; it takes a port from 1 to 65535"),
        ({"database_port": 70000}, "database_port is 70000"),
        ({"database_port": True}, "database_port is True"),
        ({"database_port": "{{ base + 7 }}"}, "database_port is '{{ base"),
        ({"files_mount": "srv/shared"}, "files_mount is 'srv/shared'; it takes an absolute path"),
        ({"files_mount": "/srv/our files"}, "files_mount is '/srv/our files'"),
        ({"files_brick": "/srv/../etc"}, "a path may not contain '..'"),
        ({"files_volume": "a/b"}, "files_volume is 'a/b'"),
        ({"files_volume": None}, "files_volume is None"),
        ({"search_engine": "solr"}, "search_engine is 'solr'; it takes opensearch or elasticsearch"),
        ({"php_fpm_version": "8"}, "php_fpm_version is '8'"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_its_name(variables: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError) as refused:
        terms_of(variables)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"redis_cache_port": 6390}, "redis_cache_port and redis_session_port are both 6390"),
        ({"database_port": 3306}, "database_port and database_writer_port are both 3306"),
        ({"nginx_port": 80}, "gateway_http_port and nginx_port are both 80"),
        ({"search_transport_port": 49200}, "search_transport_port and files_brick_ports are both 49200"),
        ({"nginx_port": 9700}, "nginx_port and agent_port are both 9700"),
    ],
)
def test_two_services_on_one_port_are_refused(variables: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError) as refused:
        terms_of(variables)
    assert words in str(refused.value)


def test_one_port_on_two_addresses_is_no_conflict() -> None:
    assert search.HTTP_PORT.default == 9200
    assert Listen.LOCAL not in search.HTTP_PORT.listens


def test_the_firewall_opens_what_the_contracts_say() -> None:
    terms = terms_of({"redis_cache_port": 7380, "nginx_port": 8081})
    assert opened(terms, Peer.PUBLIC) == ["80", "443"]
    assert opened(terms, Peer.WEB) == ["10000", "8081", "9700"]
    assert opened(terms, Peer.CLIENT) == ["10000", "3307", "7380", "6390", "9200", "24007", "49152-49251", "9700"]
    assert set(opened(terms, Peer.NODE)) == {
        *("3307", "4444", "4567", "4568", "7380", "6390", "8081", "9200", "9300"),
        *("9700", "9701", "10000", "24007", "26379", "49152-49251"),
    }
    assert opened(terms, Peer.NODE, "udp") == ["4567"]
    assert opened(terms, Peer.ADMIN) == ["22"]


def test_a_unit_may_be_named_by_a_setting() -> None:
    unit = Unit(name=search.ENGINE)
    assert terms_of({"search_engine": "elasticsearch"}).unit_name(unit) == "elasticsearch"
    assert Terms().unit_name(Unit(name="nginx", machines=Machines.ALL)) == "nginx"


def test_a_service_that_an_environment_does_not_have_takes_no_port() -> None:
    switch = Switch(name="queue_enabled", default=False, what="a queue", setting=True)
    port = replace(database.PORT, name="queue_port")
    queue = Contract(service="queue", ports=(port,), enabled=switch)
    assert Terms.of({}, [*CONTRACTS, queue]).present([queue]) == ()
    with pytest.raises(ValueError, match="database_port and queue_port are both 3307"):
        Terms.of({"queue_enabled": True}, [*CONTRACTS, queue])
    with pytest.raises(ValueError, match="queue_enabled is 'yes'; it takes true or false"):
        Terms.of({"queue_enabled": "yes"}, [*CONTRACTS, queue])
