# SPDX-License-Identifier: GPL-3.0-or-later
"""All services in the order in which they are told, by their contracts alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trivet.services.application import contract as application
from trivet.services.contract import FIRST_OUTGOING_PORT, Backend, Contract, Peer, Place, Port, Term, Terms
from trivet.services.database import contract as database
from trivet.services.files import contract as files
from trivet.services.gateway import contract as gateway
from trivet.services.host import contract as host
from trivet.services.rabbitmq import contract as rabbitmq
from trivet.services.redis import contract as redis
from trivet.services.search import contract as search
from trivet.services.web import contract as web

CONTRACTS: tuple[Contract, ...] = (
    gateway.CONTRACT,
    web.CONTRACT,
    application.CONTRACT,
    database.CONTRACT,
    redis.CONTRACT,
    search.CONTRACT,
    rabbitmq.CONTRACT,
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
    """The terms of an environment, from its inventory variables or from the ``settings`` of ``node.json``.

    Raises:
        ValueError: a setting does not fit, or two services would have the same port.
    """
    return Terms.of(variables, CONTRACTS)


def settings_of(terms: Terms) -> dict[str, str | int]:
    """The value of every setting by its name, as JSON and Ansible have it."""
    return {name: _plain(terms, term) for name, term in SETTINGS.items()}


def lasting(settings: Mapping[str, object]) -> dict[str, str]:
    """Those that may not be changed in an environment that is set up, as text."""
    return {name: str(value) for name, value in settings.items() if name in SETTINGS and not SETTINGS[name].changeable}


def present(terms: Terms) -> tuple[str, ...]:
    """The services that the environment has, in the order in which they are told."""
    return tuple(contract.service for contract in terms.present(CONTRACTS))


def secrets_of(terms: Terms) -> tuple[str, ...]:
    """The secrets that a service of the environment needs, beside those that every environment has."""
    return tuple(name for contract in terms.present(CONTRACTS) for name in contract.secrets)


def opened(terms: Terms, peer: Peer, protocol: str = "tcp") -> list[str]:
    """The ports that the firewall opens to somebody, as nftables writes them, in the order of the contracts."""
    return [terms.span(port) for port in _ports(terms) if peer in port.peers and protocol in port.protocols]


def reserved(terms: Terms) -> list[str]:
    """The ports that no outgoing connection may take, as the kernel writes them."""
    return [terms.span(port) for port in _ports(terms) if (port.last or terms[port]) >= FIRST_OUTGOING_PORT]


def _ports(terms: Terms) -> list[Port]:
    return [port for contract in terms.present(CONTRACTS) for port in contract.all_ports]


def for_roles(terms: Terms) -> dict[str, Any]:
    """Everything that a role may ask for, as the lookup plugin ``trivet.commerce.contract`` gives it.

    Every term by its name (a range of ports as the firewall writes it), and

    - ``settings``: the settings alone, for ``node.json``
    - ``backends``: by name, the ports of a backend of HAProxy and what its agent check asks about
    - ``firewall``: by peer and protocol, the ports that are open
    - ``reserved_ports``: those that no outgoing connection may take
    """
    return {
        **{term.name: _plain(terms, term) for contract in CONTRACTS for term in contract.terms},
        "settings": settings_of(terms),
        "backends": {
            backend.name: _backend(terms, backend)
            for contract in terms.present(CONTRACTS)
            for backend in contract.backends
        },
        "firewall": {str(peer): {each: opened(terms, peer, each) for each in ("tcp", "udp")} for peer in Peer},
        "reserved_ports": reserved(terms),
    }


def _plain(terms: Terms, term: Term[Any]) -> str | int:
    if isinstance(term, Port) and term.last is not None:
        return terms.span(term)
    value: Any = terms[term]
    return str(value) if isinstance(term, Place) else value


def _backend(terms: Terms, backend: Backend) -> dict[str, str | int]:
    ports = {"servers": backend.servers, "local": backend.local, "hold": backend.hold}
    return {"asks": backend.asks, **{name: terms[port] for name, port in ports.items() if port}}
