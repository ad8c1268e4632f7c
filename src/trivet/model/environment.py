# SPDX-License-Identifier: GPL-3.0-or-later
"""An environment as the inventory describes it, checked before anything is touched."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from trivet.errors import InputError
from trivet.model.application import Application
from trivet.model.projects import VARIABLE as PROJECTS
from trivet.model.projects import projects_of
from trivet.model.size import size_named
from trivet.services.contract import Terms
from trivet.services.registry import lasting, settings_of, terms_of

SERVICE_GROUP = "trivet_nodes"
WEB_GROUP = "trivet_web"
GRID_GROUP = "trivet_grid"
ALLOWED_NODE_COUNTS = (1, 3)
_HOST_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
FIRST_WEB_NODE_ID = 11
# A web node of one of these groups is in no HAProxy: it is being made, or being taken away.
GROUPS_OUT_OF_SERVICE = ("trivet_web_joining", "trivet_web_leaving")


@dataclass(frozen=True, slots=True)
class Node:
    """One machine of an environment.

    :param node_id: 1-based number; the gateway address of the same number is at home on it. Web nodes have 11 and more.
    :param address: its own private IPv4 address.
    :param variables: the host's inventory variables.
    :param in_service: false for a web node that no HAProxy has: it is being made, or being taken away.
    """

    name: str
    node_id: int
    address: str
    variables: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    in_service: bool = True

    @property
    def ssh_host(self) -> str:
        """Where SSH reaches it."""
        return str(self.variables.get("ansible_host", self.address))

    @property
    def login(self) -> str:
        """User and host of its SSH."""
        return f"{self.variables.get('ansible_user', 'root')}@{self.ssh_host}"


@dataclass(frozen=True, slots=True)
class Environment:
    """A checked environment: one or three service nodes behind as many gateway addresses, and any number of web nodes.

    :param inventory: the inventory folder or file it was read from.
    :param nodes: the service nodes, which run everything and are members of every cluster.
    :param domains: the host names that it answers to, the main one first.
    :param web_nodes: nodes with nginx and PHP-FPM only, by their ids.
    :param terms: ports, paths and names of the services.
    :param application: what runs on it; None when the inventory describes none.
    :param grid: the machine that takes pushes; None when the inventory has none.
    """

    name: str
    inventory: Path
    nodes: tuple[Node, ...]
    gateways: tuple[str, ...]
    size: str
    domains: tuple[str, ...]
    variables: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    web_nodes: tuple[Node, ...] = ()
    terms: Terms = field(default_factory=Terms)
    application: Application | None = None
    grid: Node | None = None

    @property
    def machines(self) -> tuple[Node, ...]:
        """Every node, service nodes first."""
        return self.nodes + self.web_nodes

    @property
    def proxies(self) -> tuple[Node, ...]:
        """The nodes whose HAProxy an application uses: what is held or released must be so on all of them."""
        return self.nodes + tuple(node for node in self.web_nodes if node.in_service)

    @property
    def label(self) -> str:
        """What an operator types for ENV: the lab's name, else the inventory folder's."""
        return str(
            self.variables.get("trivet_lab") or (self.inventory if self.inventory.is_file() else self.inventory.name)
        )

    @property
    def provider(self) -> str:
        """The provider that resizes its machines."""
        return str(self.variables.get("trivet_provider", "none"))

    @property
    def domain(self) -> str:
        """The main domain: what nodes are asked for."""
        return self.domains[0]

    @property
    def probe_contract(self) -> str | None:
        """The contract that the probe keeps to here, if the application names one."""
        return self.application.probe if self.application else None

    def node(self, name: str) -> Node:
        """The node of a name.

        :raises InputError: when there is none.
        """
        for node in self.machines:
            if node.name == name:
                return node
        raise InputError(f"{self.name} has no node {name!r}; its nodes are {', '.join(n.name for n in self.machines)}")

    @classmethod
    def from_inventory(cls, listing: Mapping[str, Any], inventory: Path) -> Environment:
        """Build and check an environment from the output of ``ansible-inventory --list``.

        :raises InputError: for a node count other than 1 or 3, a repeated address, a missing or malformed value.
        """
        host_variables: Mapping[str, Any] = listing.get("_meta", {}).get("hostvars", {})
        names = _hosts_of(listing, SERVICE_GROUP)
        where = str(inventory)
        if len(names) not in ALLOWED_NODE_COUNTS:
            raise InputError(
                f"{where}: group {SERVICE_GROUP} has {len(names)} nodes; an environment has 1 or 3, "
                "since two cannot form a quorum and four survive no more than three"
            )
        nodes = tuple(sorted((_node(name, host_variables[name], where) for name in names), key=lambda n: n.node_id))
        web_nodes = _web_nodes(listing, host_variables, where)
        _check_nodes(nodes, where)
        _check_machines(nodes + web_nodes, where)
        _check_grid(listing, {node.name for node in nodes + web_nodes}, where)
        variables = host_variables[nodes[0].name]
        projects_of(variables.get(PROJECTS), where)
        gateways = _gateways(variables, nodes, nodes + web_nodes, where)
        size = str(_required(variables, "trivet_size", where))
        size_named(size)
        return cls(
            name=str(_required(variables, "trivet_environment", where)),
            inventory=inventory,
            nodes=nodes,
            gateways=gateways,
            size=size,
            domains=_domains(variables, where),
            variables=variables,
            web_nodes=web_nodes,
            terms=_terms(nodes + web_nodes, where),
            application=Application.from_variables(variables, where),
            grid=_grid(listing, host_variables),
        )


def _terms(machines: tuple[Node, ...], where: str) -> Terms:
    """The settings of the contracts. Every machine must have the lasting ones alike: it asks the others by its own."""
    found = []
    for node in machines:
        try:
            found.append(terms_of(node.variables))
        except ValueError as error:
            raise InputError(f"{where}: {node.name}: {error}") from error
    wanted = lasting(settings_of(found[0]))
    for node, terms in zip(machines, found, strict=True):
        for name, value in lasting(settings_of(terms)).items():
            if value != wanted[name]:
                raise InputError(
                    f"{where}: {name} is {value!r} for {node.name} and {wanted[name]!r} for {machines[0].name}; "
                    "it takes one value for all nodes"
                )
    return found[0]


def _hosts_of(listing: Mapping[str, Any], group: str) -> list[str]:
    section = listing.get(group, {})
    hosts = list(section.get("hosts", []))
    for child in section.get("children", []):
        hosts.extend(_hosts_of(listing, child))
    return hosts


def _required(variables: Mapping[str, Any], key: str, where: str) -> Any:
    if variables.get(key) in (None, ""):
        raise InputError(f"{where}: {key} is not set")
    return variables[key]


def _domains(variables: Mapping[str, Any], where: str) -> tuple[str, ...]:
    found = _required(variables, "trivet_domains", where)
    if not isinstance(found, list) or not found or not all(_HOST_NAME.fullmatch(str(name)) for name in found):
        raise InputError(f"{where}: trivet_domains is {found!r}; it takes a list of host names, the main one first")
    if len(set(found)) != len(found):
        raise InputError(f"{where}: trivet_domains names a domain twice")
    return tuple(map(str, found))


def _address(text: Any, key: str, where: str) -> str:
    try:
        return str(ipaddress.IPv4Address(str(text)))
    except ValueError as error:
        raise InputError(f"{where}: {key} is {text!r}, which is not an IPv4 address") from error


def _node(name: str, variables: Mapping[str, Any], where: str) -> Node:
    raw = variables.get("trivet_address") or variables.get("ansible_host")
    if raw in (None, ""):
        raise InputError(f"{where}: host {name} has neither ansible_host nor trivet_address")
    node_id = variables.get("trivet_node_id")
    if not isinstance(node_id, int) or node_id < 1:
        raise InputError(
            f"{where}: trivet_node_id of {name} is {node_id!r}; it takes 1, 2 or 3, for a web node 11 and more"
        )
    if isinstance(raw, str) and "{{" in raw:
        raw = variables.get("ansible_host")
    return Node(name, node_id, _address(raw, f"the address of {name}", where), variables)


def _web_nodes(listing: Mapping[str, Any], host_variables: Mapping[str, Any], where: str) -> tuple[Node, ...]:
    absent = {name for group in GROUPS_OUT_OF_SERVICE for name in _hosts_of(listing, group)}
    # A host is listed in the group of its state and, by some inventories, in the group of all as well.
    names = dict.fromkeys(_hosts_of(listing, WEB_GROUP))
    found = [replace(_node(name, host_variables[name], where), in_service=name not in absent) for name in names]
    for node in found:
        if node.node_id < FIRST_WEB_NODE_ID:
            raise InputError(
                f"{where}: trivet_node_id of {node.name} is {node.node_id}; web nodes have {FIRST_WEB_NODE_ID} and more"
            )
    return tuple(sorted(found, key=lambda node: node.node_id))


def _check_machines(machines: tuple[Node, ...], where: str) -> None:
    """No node may be of both kinds, and no two may have one address or id."""
    addresses: dict[str, str] = {}
    ids: dict[int, str] = {}
    names: set[str] = set()
    for node in machines:
        if node.name in names:
            raise InputError(f"{where}: {node.name} is in {SERVICE_GROUP} and in {WEB_GROUP}; a node has one kind")
        if node.address in addresses:
            raise InputError(f"{where}: {addresses[node.address]} and {node.name} have the same address {node.address}")
        if node.node_id in ids and node.node_id >= FIRST_WEB_NODE_ID:
            both = f"{ids[node.node_id]} and {node.name}"
            raise InputError(f"{where}: {both} have the same trivet_node_id {node.node_id}")
        names.add(node.name)
        addresses[node.address] = node.name
        ids[node.node_id] = node.name


def _check_grid(listing: Mapping[str, Any], nodes: set[str], where: str) -> None:
    """The machine that takes pushes is one, and no node: it holds what opens all of them."""
    names = _hosts_of(listing, GRID_GROUP)
    if len(names) > 1:
        raise InputError(f"{where}: group {GRID_GROUP} has {len(names)} machines; it takes one")
    if both := nodes.intersection(names):
        raise InputError(f"{where}: {both.pop()} is a node and in {GRID_GROUP}; that takes a machine of its own")


def _grid(listing: Mapping[str, Any], host_variables: Mapping[str, Any]) -> Node | None:
    """The machine that takes pushes. It is no node: its number is 0."""
    for name in _hosts_of(listing, GRID_GROUP):
        variables = host_variables.get(name, {})
        return Node(name, 0, str(variables.get("ansible_host", name)), variables)
    return None


def _check_nodes(nodes: tuple[Node, ...], where: str) -> None:
    if [node.node_id for node in nodes] != list(range(1, len(nodes) + 1)):
        ids = ", ".join(f"{node.name}={node.node_id}" for node in nodes)
        raise InputError(f"{where}: trivet_node_id must number the nodes from 1 on, each once; it is {ids}")


def _gateways(
    variables: Mapping[str, Any], nodes: tuple[Node, ...], machines: tuple[Node, ...], where: str
) -> tuple[str, ...]:
    raw = _required(variables, "trivet_gateway_addresses", where)
    if not isinstance(raw, list) or len(raw) != len(nodes):
        raise InputError(f"{where}: trivet_gateway_addresses needs one address for each of the {len(nodes)} nodes")
    gateways = tuple(_address(item, "trivet_gateway_addresses", where) for item in raw)
    if len(set(gateways)) != len(gateways):
        raise InputError(f"{where}: trivet_gateway_addresses names an address twice")
    for node in machines:
        if node.address in gateways:
            raise InputError(f"{where}: {node.address} is both a gateway address and the address of {node.name}")
    return gateways
