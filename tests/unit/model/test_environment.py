# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad inventories are refused with the file and the key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from trivet.errors import InputError
from trivet.model import Environment
from trivet.model.application import Application
from trivet.services.contract import Terms
from trivet.services.database import contract as database


def listing(count: int = 3, **overrides: Any) -> dict[str, Any]:
    hosts = {
        f"node-{number}": {
            "ansible_host": f"192.0.2.{10 + number}",
            "trivet_node_id": number,
            "trivet_environment": "production",
            "trivet_domains": ["shop.example", "www.shop.example"],
            "trivet_size": "6",
            "trivet_gateway_addresses": [f"192.0.2.{20 + n}" for n in range(1, count + 1)],
            **overrides,
        }
        for number in range(1, count + 1)
    }
    return {"_meta": {"hostvars": hosts}, "trivet_nodes": {"hosts": list(hosts)}}


def environment(data: dict[str, Any]) -> Environment:
    return Environment.from_inventory(data, Path("inventories/x/hosts.yml"))


@pytest.mark.parametrize("count", [1, 3])
def test_one_and_three_nodes_are_taken(count: int) -> None:
    found = environment(listing(count))
    assert [node.node_id for node in found.nodes] == list(range(1, count + 1))
    assert len(found.gateways) == count


@pytest.mark.parametrize("count", [0, 2, 4, 5])
def test_other_counts_are_refused(count: int) -> None:
    with pytest.raises(InputError, match="1 or 3"):
        environment(listing(count))


def test_the_first_domain_is_the_main_one_and_an_application_is_not_needed() -> None:
    found = environment(listing())
    assert (found.domain, found.domains) == ("shop.example", ("shop.example", "www.shop.example"))
    assert found.application is None and found.probe_contract is None


def test_what_trivet_needs_to_know_of_the_application() -> None:
    told = {"name": "blog", "health_page": "/up", "secrets": ["blog_key"], "probe": "pages", "locations": []}
    found = environment(listing(trivet_application=told))
    assert found.application == Application("blog", "/up", ("blog_key",), "pages")
    assert found.probe_contract == "pages"


def test_two_nodes_with_one_address() -> None:
    data = listing()
    data["_meta"]["hostvars"]["node-2"]["ansible_host"] = "192.0.2.11"
    with pytest.raises(InputError, match=r"node-1 and node-2 have the same address 192\.0\.2\.11"):
        environment(data)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ({"trivet_size": "7"}, "size '7' is not in the table"),
        ({"trivet_size": None}, "trivet_size is not set"),
        ({"trivet_domains": []}, r"trivet_domains is \[\]; it takes a list"),
        ({"trivet_domains": "shop.example"}, "trivet_domains is 'shop.example'; it takes a list of host names"),
        ({"trivet_domains": ["shop example"]}, "it takes a list of host names"),
        ({"trivet_domains": ["a.example", "a.example"]}, "names a domain twice"),
        ({"trivet_application": "{{ a_template }}"}, "no dictionary of plain values"),
        ({"trivet_application": {"name": "x"}}, "health_page is ''; it takes a path"),
        ({"trivet_application": {"health_page": "/up"}}, "trivet_application.name is not set"),
        ({"trivet_application": {"name": "x", "health_page": "/up", "secrets": "one"}}, "secrets takes a list"),
        ({"trivet_gateway_addresses": ["192.0.2.21"]}, "one address for each of the 3 nodes"),
        ({"trivet_gateway_addresses": ["192.0.2.21"] * 3}, "names an address twice"),
        ({"trivet_gateway_addresses": ["192.0.2.11", "192.0.2.22", "192.0.2.23"]}, "both a gateway address and"),
        ({"trivet_gateway_addresses": ["here", "192.0.2.22", "192.0.2.23"]}, "not an IPv4 address"),
        ({"trivet_node_id": 1}, "each once"),
        ({"trivet_node_id": "1"}, "it takes 1, 2 or 3, for a web node 11 and more"),
        ({"database_port": 70000}, "node-1: database_port is 70000; it takes a port from 1 to 65535"),
        ({"redis_cache_port": 3307}, "database_port and redis_cache_port are both 3307"),
    ],
)
def test_bad_values_are_named(override: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        environment(listing(**override))


def test_settings_of_the_services_are_the_inventorys() -> None:
    assert environment(listing()).terms == Terms()
    assert environment(listing(database_port=3407)).terms[database.PORT] == 3407


def test_a_node_with_a_port_of_its_own_is_refused() -> None:
    data = listing()
    data["_meta"]["hostvars"]["node-2"]["nginx_port"] = 8181
    with pytest.raises(InputError, match="nginx_port is '8181' for node-2 and '8080' for node-1"):
        environment(data)
    # A version may differ while it is changed.
    del data["_meta"]["hostvars"]["node-2"]["nginx_port"]
    data["_meta"]["hostvars"]["node-2"]["php_fpm_version"] = "8.4"
    assert environment(data).terms == Terms()


def test_the_error_names_the_file() -> None:
    with pytest.raises(InputError, match=r"inventories/x/hosts\.yml"):
        environment(listing(trivet_domains=None))


def with_web(**changes: Any) -> dict[str, Any]:
    """Three nodes and two web nodes, of which the second is being made; changes are to the first web node."""
    data = listing()
    shared = data["_meta"]["hostvars"]["node-1"]
    for number in (1, 2):
        own = {"ansible_host": f"192.0.2.{30 + number}", "trivet_node_id": 10 + number}
        data["_meta"]["hostvars"][f"web-{number}"] = {**shared, **own, **(changes if number == 1 else {})}
    data["trivet_web"] = {"hosts": ["web-1"], "children": ["trivet_web_serving", "trivet_web_joining"]}
    data["trivet_web_joining"] = {"hosts": ["web-2"]}
    return data


def test_web_nodes_stand_beside_the_service_nodes() -> None:
    found = environment(with_web())
    assert [node.name for node in found.nodes] == ["node-1", "node-2", "node-3"]
    assert [(node.name, node.node_id, node.in_service) for node in found.web_nodes] == [
        ("web-1", 11, True),
        ("web-2", 12, False),
    ]
    assert found.machines == found.nodes + found.web_nodes
    assert found.proxies == found.nodes + found.web_nodes[:1]
    assert found.node("web-2").address == "192.0.2.32"


def test_an_environment_without_web_nodes_has_none() -> None:
    found = environment(listing())
    assert found.web_nodes == ()
    assert found.machines == found.proxies == found.nodes


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"trivet_node_id": 4}, "trivet_node_id of web-1 is 4; web nodes have 11 and more"),
        ({"trivet_node_id": 12}, "web-1 and web-2 have the same trivet_node_id 12"),
        ({"trivet_node_id": None}, "for a web node 11 and more"),
        ({"ansible_host": "192.0.2.12"}, "node-2 and web-1 have the same address"),
        ({"ansible_host": "192.0.2.21"}, "both a gateway address and the address of web-1"),
    ],
)
def test_bad_web_nodes_are_named(change: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        environment(with_web(**change))


def test_a_node_has_one_kind() -> None:
    data = with_web()
    data["trivet_web"]["hosts"].append("node-2")
    data["_meta"]["hostvars"]["node-2"]["trivet_node_id"] = 13
    with pytest.raises(InputError):
        environment(data)


def test_the_machine_that_takes_pushes_is_one_and_no_node() -> None:
    data = listing()
    data["trivet_grid"] = {"hosts": ["grid"]}
    data["_meta"]["hostvars"]["grid"] = {"ansible_host": "grid.example", "ansible_user": "admin"}
    found = environment(data)
    assert found.machines == environment(listing()).machines
    assert environment(listing()).grid is None
    assert found.grid is not None and found.grid.login == "admin@grid.example"
    data["trivet_grid"] = {"hosts": ["grid", "grid-2"]}
    with pytest.raises(InputError, match="trivet_grid has 2 machines; it takes one"):
        environment(data)
    data["trivet_grid"] = {"hosts": ["node-2"]}
    with pytest.raises(InputError, match="node-2 is a node and in trivet_grid"):
        environment(data)


def test_bad_projects_are_named() -> None:
    with pytest.raises(InputError, match=r"hosts\.yml: trivet_projects\.shop takes the keys branches and keys"):
        environment(listing(trivet_projects={"shop": []}))
