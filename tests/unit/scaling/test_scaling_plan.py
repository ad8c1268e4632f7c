# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of web nodes, and which of them a scale-out or scale-in takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from trivet.ansible.inventory import inventory_listing
from trivet.errors import InputError
from trivet.model import Environment, Node
from trivet.scaling.plan import WHAT_HAPPENS, InStep, OutStep, plan_scale_in, plan_scale_out
from trivet.scaling.record import Progress, Record, WebHost

OPERATORS = """\
all:
  vars: {trivet_environment: shop, trivet_domains: [shop.example], trivet_size: "6",
         trivet_gateway_addresses: [192.0.2.21, 192.0.2.22, 192.0.2.23]}
  children:
    trivet_nodes:
      hosts:
        shop-1: {ansible_host: 192.0.2.11, trivet_node_id: 1}
        shop-2: {ansible_host: 192.0.2.12, trivet_node_id: 2}
        shop-3: {ansible_host: 192.0.2.13, trivet_node_id: 3}
    trivet_web:
"""


def host(number: int, progress: Progress = Progress.SERVING, **changes: Any) -> WebHost:
    return WebHost(f"shop-web-{number}", f"192.0.2.{30 + number}", 10 + number, progress, **changes)


def environment(folder: Path, *web: WebHost, names: tuple[str, ...] = ("shop-1", "shop-2", "shop-3")) -> Environment:
    return Environment(
        name="shop",
        inventory=folder,
        nodes=tuple(Node(name, n, f"192.0.2.{10 + n}") for n, name in enumerate(names, 1)),
        gateways=tuple(f"192.0.2.{20 + n}" for n in range(1, len(names) + 1)),
        size="6",
        domains=("shop.example",),
        web_nodes=tuple(Node(item.name, item.node_id, item.address) for item in web),
    )


def recorded(folder: Path, *web: WebHost) -> tuple[Environment, Record]:
    made = environment(folder, *web)
    record = Record(made)
    if web:
        record.add(web)
    return made, record


def test_ansible_reads_the_record_as_part_of_the_inventory(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text(OPERATORS)
    states = list(Progress)
    recorded(tmp_path, *(host(n, progress) for n, progress in enumerate(states, 1)))
    listing = inventory_listing(tmp_path)
    found = Environment.from_inventory(listing, tmp_path)
    assert [(node.name, node.node_id, node.address) for node in found.web_nodes] == [
        (f"shop-web-{n}", 10 + n, f"192.0.2.{30 + n}") for n in range(1, 6)
    ]
    out = {node.name for node in found.web_nodes if not node.in_service}
    assert out == {"shop-web-1", "shop-web-5"}, "one that joins and one that leaves are in no HAProxy"
    assert {node.name for node in found.proxies} == {node.name for node in found.machines} - out
    # What the whole environment shares holds for web nodes as well.
    assert all(node.variables["trivet_domains"] == ["shop.example"] for node in found.web_nodes)


def test_the_record_survives_and_goes_with_its_last_node(tmp_path: Path) -> None:
    made, record = recorded(tmp_path, host(2), host(1, given=True))
    assert Record(made).hosts == (host(1, given=True), host(2))
    record.progressed(["shop-web-1"], Progress.DRAINING)
    assert Record(made).of(Progress.DRAINING) == (host(1, Progress.DRAINING, given=True),)
    record.remove(["shop-web-1", "shop-web-2"])
    assert list(tmp_path.iterdir()) == []


def test_a_node_that_is_recorded_already_stays_as_it_is(tmp_path: Path) -> None:
    _, record = recorded(tmp_path, host(1, Progress.ENTERING))
    record.add([host(1, Progress.JOINING), host(2, Progress.JOINING)])
    assert [item.progress for item in record.hosts] == [Progress.ENTERING, Progress.JOINING]


@pytest.mark.parametrize("text", ["all: {}", "[", "all: {children: {trivet_web: {children: {trivet_web_odd: 1}}}}"])
def test_a_record_that_cannot_be_read_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "web-nodes.yml").write_text(text)
    with pytest.raises(InputError, match=r"web-nodes\.yml cannot be read"):
        Record(environment(tmp_path))


def test_a_single_file_cannot_have_a_record_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "hosts.yml"
    file.write_text(OPERATORS)
    with pytest.raises(InputError, match="is a single file") as raised:
        Record(environment(file))
    assert str(tmp_path) in str(raised.value.next_command)


def test_new_nodes_get_the_first_free_names_and_ids(tmp_path: Path) -> None:
    made, record = recorded(tmp_path, host(2))
    plan = plan_scale_out(made, record, 2, "12", {})
    assert [(node.name, node.node_id) for node in plan.nodes] == [("shop-web-1", 11), ("shop-web-3", 13)]
    assert {node.progress for node in plan.nodes} == {Progress.JOINING}
    assert (plan.size, plan.continued) == ("12", False)


@pytest.mark.parametrize(
    ("first", "name"),
    [("n1", "n-web-1"), ("shop-1.example.net", "shop-web-1.example.net"), ("alpha", "alpha-web-1")],
)
def test_names_follow_those_of_the_service_nodes(first: str, name: str, tmp_path: Path) -> None:
    made = environment(tmp_path, names=(first,))
    assert plan_scale_out(made, Record(made), 1, "6", {}).names == (name,)


def test_given_hosts_keep_their_names(tmp_path: Path) -> None:
    made, record = recorded(tmp_path)
    plan = plan_scale_out(made, record, 1, "6", {"big-one": "198.51.100.7"})
    assert [(node.name, node.address, node.given) for node in plan.nodes] == [("big-one", "198.51.100.7", True)]


@pytest.mark.parametrize(
    ("count", "given", "words"),
    [
        (0, {}, "--web is 0"),
        (2, {"a": "192.0.2.41"}, "--web is 2, but 1 hosts are given"),
        (1, {"a": "192.0.2.300"}, "is not an IPv4 address"),
        (1, {"A_b": "192.0.2.41"}, "is not a host name"),
        (1, {"shop-2": "192.0.2.41"}, "has a node of that name"),
        (1, {"shop-web-1": "192.0.2.41"}, "has a node of that name"),
        (1, {"a": "192.0.2.12"}, "the address of shop-2"),
        (1, {"a": "192.0.2.31"}, "the address of shop-web-1"),
        (1, {"a": "192.0.2.22"}, "a gateway address"),
        (2, {"a": "192.0.2.41", "b": "192.0.2.41"}, "have one address"),
    ],
)
def test_bad_input_of_a_scale_out(count: int, given: dict[str, str], words: str, tmp_path: Path) -> None:
    made, record = recorded(tmp_path, host(1))
    with pytest.raises(InputError, match=words):
        plan_scale_out(made, record, count, "6", given)


def test_a_scale_out_whose_machines_are_not_all_made_is_continued_with_the_rest(tmp_path: Path) -> None:
    made, record = recorded(tmp_path, host(1), host(2, Progress.JOINING))
    plan = plan_scale_out(made, record, 3, "6", {})
    assert [(node.name, node.node_id) for node in plan.nodes] == [
        ("shop-web-2", 12),
        ("shop-web-3", 13),
        ("shop-web-4", 14),
    ]
    assert plan.continued
    with pytest.raises(InputError, match="stranger is none of them"):
        plan_scale_out(made, record, 3, "6", {"stranger": "192.0.2.99"})


def test_with_customers_on_its_first_nodes_a_scale_out_gets_no_more(tmp_path: Path) -> None:
    made, record = recorded(tmp_path, host(1, Progress.ENTERING))
    with pytest.raises(InputError, match="it is to be ended before another begins"):
        plan_scale_out(made, record, 2, "6", {})


def test_the_hosts_that_are_missing_of_a_scale_out_must_be_given_again(tmp_path: Path) -> None:
    made, record = recorded(tmp_path, host(1, Progress.JOINING, given=True))
    own, other = {"shop-web-1": "192.0.2.31"}, {"other": "192.0.2.99"}
    for given in (own | other, other):
        plan = plan_scale_out(made, record, 2, "6", given)
        assert [(node.name, node.address, node.given) for node in plan.nodes] == [
            ("shop-web-1", "192.0.2.31", True),
            ("other", "192.0.2.99", True),
        ]
    for given in ({}, own):
        with pytest.raises(InputError, match="give the other hosts of --web 2, too"):
            plan_scale_out(made, record, 2, "6", given)
    with pytest.raises(InputError, match="more is none of them"):
        plan_scale_out(made, record, 2, "6", own | other | {"more": "192.0.2.98"})


def test_a_host_that_is_begun_is_not_given_another_address(tmp_path: Path) -> None:
    made, record = recorded(tmp_path, host(1, Progress.JOINING, given=True))
    with pytest.raises(InputError, match=r"a scale-out of shop-web-1 at 192\.0\.2\.31 is unfinished") as raised:
        plan_scale_out(made, record, 1, "6", {"shop-web-1": "192.0.2.99"})
    assert raised.value.next_command == f"trivet scale-in {made.label} --web 1"


@pytest.mark.parametrize("progress", [Progress.JOINING, Progress.ENTERING])
def test_an_unfinished_scale_out_is_continued_by_the_same_command_only(progress: Progress, tmp_path: Path) -> None:
    begun = (host(2, progress), host(3, progress))
    made, record = recorded(tmp_path, host(1), *begun)
    plan = plan_scale_out(made, record, 2, "6", {})
    assert (plan.nodes, plan.continued) == (begun, True)
    with pytest.raises(InputError, match="shop-web-2, shop-web-3 is unfinished") as raised:
        plan_scale_out(made, record, 1, "6", {})
    assert str(raised.value.next_command).startswith("trivet scale-out ")
    assert str(raised.value.next_command).endswith("--web 2")
    with pytest.raises(InputError, match="stranger is none of them"):
        plan_scale_out(made, record, 2, "6", {"stranger": "192.0.2.99"})


def test_an_unfinished_scale_out_is_taken_back_by_a_scale_in(tmp_path: Path) -> None:
    made, record = recorded(tmp_path, host(1, Progress.JOINING), host(2), host(3))
    assert plan_scale_in(made, record, 1).names == ("shop-web-1",)
    assert plan_scale_in(made, record, 2).names == ("shop-web-1", "shop-web-3")


@pytest.mark.parametrize("progress", [Progress.DRAINING, Progress.LEAVING])
def test_an_unfinished_scale_in_comes_before_everything_else(progress: Progress, tmp_path: Path) -> None:
    made, record = recorded(tmp_path, host(1, progress), host(2))
    plan = plan_scale_in(made, record, 1)
    assert (plan.names, plan.continued) == (("shop-web-1",), True)
    with pytest.raises(InputError, match="unfinished"):
        plan_scale_in(made, record, 2)
    with pytest.raises(InputError, match="a scale-in of shop-web-1 is unfinished"):
        plan_scale_out(made, record, 1, "6", {})


def test_a_scale_in_takes_the_youngest_and_no_more_than_there_are(tmp_path: Path) -> None:
    made, record = recorded(tmp_path, host(1), host(2))
    assert plan_scale_in(made, record, 1).names == ("shop-web-2",)
    with pytest.raises(InputError, match="has 2 web nodes"):
        plan_scale_in(made, record, 3)


def test_nodes_of_the_inventorys_own_files_are_left_to_the_operator(tmp_path: Path) -> None:
    made = environment(tmp_path, host(1))
    with pytest.raises(InputError, match="1 more are in the inventory's own files"):
        plan_scale_in(made, Record(made), 1)


def test_every_step_is_explained() -> None:
    assert {step.value for step in (*OutStep, *InStep)} == {str(step) for step in WHAT_HAPPENS}
