# SPDX-License-Identifier: GPL-3.0-or-later
"""All services in the order in which they are told, by their contracts alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trivet.services.contract import Backend, Contract, Peer, Place, Port, Term, Terms
from trivet.services.database import contract as database
from trivet.services.files import contract as files
from trivet.services.gateway import contract as gateway
from trivet.services.host import contract as host
from trivet.services.redis import contract as redis
from trivet.services.search import contract as search
from trivet.services.web import contract as web

CONTRACTS: tuple[Contract, ...] = (
    gateway.CONTRACT,
    web.CONTRACT,
    database.CONTRACT,
    redis.CONTRACT,
    search.CONTRACT,
    files.CONTRACT,
    host.CONTRACT,
)
SERVICES = tuple(contract.service for contract in CONTRACTS)
DRAINABLE = tuple(contract.service for contract in CONTRACTS if contract.drainable)
BACKENDS: dict[str, Backend] = {backend.name: backend for contract in CONTRACTS for backend in contract.backends}
HOLDS: dict[str, Port] = {name: backend.hold for name, backend in BACKENDS.items() if backend.hold}
"""Backends whose connections can be held, and the local port that stands in for them."""


def service_of_unit(unit: str, terms: Terms) -> str:
    """The service that a unit belongs to; what is in no contract is the machine's."""
    owners = {terms.unit_name(item): contract.service for contract in CONTRACTS for item in contract.units}
    return owners.get(unit, host.CONTRACT.service)


SETTINGS: dict[str, Term[Any]] = {term.name: term for contract in CONTRACTS for term in contract.terms if term.setting}


def terms_of(variables: Mapping[str, object]) -> Terms:
    """The terms of an environment, from its inventory variables or from the ``terms`` of ``node.json``.

    Raises:
        ValueError: a setting does not fit, or two services would have the same port.
    """
    return Terms.of(variables, CONTRACTS)


def settings_of(terms: Terms) -> dict[str, str | int]:
    """The value of every setting by its name, as JSON and Ansible have it."""
    return {name: str(terms[term]) if isinstance(term, Place) else terms[term] for name, term in SETTINGS.items()}


def lasting(settings: Mapping[str, object]) -> dict[str, str]:
    """Those that may not be changed in an environment that is set up, as text."""
    return {name: str(value) for name, value in settings.items() if name in SETTINGS and not SETTINGS[name].changeable}


def opened(terms: Terms, peer: Peer, protocol: str = "tcp") -> list[str]:
    """The ports that the firewall opens to somebody, as nftables writes them, in the order of the contracts."""
    ports = (port for contract in terms.present(CONTRACTS) for port in contract.all_ports)
    return [terms.span(port) for port in ports if peer in port.peers and protocol in port.protocols]
