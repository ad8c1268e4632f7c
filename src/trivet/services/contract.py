# SPDX-License-Identifier: GPL-3.0-or-later
"""What a service promises the rest of the house: its name, units, ports, paths, names and backends.

A *term* is one fact of a contract. A *setting* is a term that an operator may change in the inventory, for all nodes of
an environment alike; its name is the variable's. Every other term is fixed: applications and clusters rely on it.
:class:`Terms` has the values that hold in one environment.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Generic, TypeVar

T = TypeVar("T")


class Peer(StrEnum):
    """Who may connect to a port through the firewall."""

    PUBLIC = "public"
    """Everybody, on a service node."""
    NODE = "node"
    """The service nodes, on a service node."""
    CLIENT = "client"
    """The web nodes, on a service node."""
    WEB = "web"
    """All machines of the environment, on a web node."""
    ADMIN = "admin"
    """The networks of ``trivet_admin_networks``, on every machine."""


class Listen(StrEnum):
    """The addresses that a port is open on."""

    ALL = "all"
    NODE = "node"
    """The machine's own private address, ``trivet_address``."""
    LOCAL = "local"
    """127.0.0.1."""


class Machines(StrEnum):
    """Where a unit runs."""

    ALL = "all"
    """Service nodes and web nodes."""
    MEMBERS = "members"
    """The service nodes, which are the members of every cluster."""
    QUORUM = "quorum"
    """The service nodes of an environment that has more than one."""


@dataclass(frozen=True, kw_only=True)
class Term(Generic[T]):
    """One fact of a contract.

    Attributes:
        name: of the fact; for a setting that of the inventory variable.
        what: for a reader of the reference, without a full stop.
        setting: whether the inventory may set it.
        changeable: whether a setting may be changed in an environment that is set up. The others are chosen before its
            first converge: a node whose neighbours have another value finds them no more.
    """

    name: str
    default: T
    what: str
    setting: bool = False
    changeable: bool = False

    def default_in(self, terms: Terms) -> T:
        """The default beside the other terms of an environment."""
        return self.default

    def read(self, value: object) -> T:
        """The value that an inventory or ``node.json`` gives.

        Raises:
            ValueError: it does not fit; says why.
        """
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Port(Term[int]):
    """A port, or a range of ports that begins with it.

    Attributes:
        last: the last port of a range.
        listens: the addresses that it is open on.
        peers: who may connect from another machine.
        protocols: of the transport.
    """

    last: int | None = None
    listens: tuple[Listen, ...]
    peers: tuple[Peer, ...] = ()
    protocols: tuple[str, ...] = ("tcp",)

    def read(self, value: object) -> int:
        """A number from 1 to 65535, or its digits."""
        if isinstance(value, str) and value.isdecimal():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 65535:
            raise ValueError(f"{self.name} is {value!r}; it takes a port from 1 to 65535")
        return value


@dataclass(frozen=True, kw_only=True)
class Place(Term[Path]):
    """A file or directory on the nodes."""

    def read(self, value: object) -> Path:
        """An absolute path without spaces: it stands in unit files."""
        if not isinstance(value, str | Path) or not re.fullmatch(r"(/[\w.+@-]+)+", str(value)):
            raise ValueError(f"{self.name} is {value!r}; it takes an absolute path without spaces")
        if ".." in PurePosixPath(value).parts:
            raise ValueError(f"{self.name} is {str(value)!r}; a path may not contain '..'")
        return Path(value)


@dataclass(frozen=True, kw_only=True)
class Name(Term[str]):
    """A name or a version.

    Attributes:
        pattern: of all values that it takes.
        takes: the same for a reader.
    """

    pattern: str = r"[A-Za-z0-9][\w.-]*"
    takes: str = "letters, digits, '.', '_' and '-'"

    def read(self, value: object) -> str:
        """A word. YAML makes a number of a version such as 8.2."""
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError(f"{self.name} is {value!r}; it takes {self.takes}")
        if not re.fullmatch(self.pattern, str(value)):
            raise ValueError(f"{self.name} is {str(value)!r}; it takes {self.takes}")
        return str(value)


@dataclass(frozen=True, kw_only=True)
class NameBy(Name):
    """A name whose default follows from another one.

    Attributes:
        other: the name that it follows from.
        defaults: by the other's value.
    """

    other: Name
    defaults: Mapping[str, str]

    def default_in(self, terms: Terms) -> str:
        """The default that goes with the other name."""
        return self.defaults[terms[self.other]]


@dataclass(frozen=True, kw_only=True)
class Switch(Term[bool]):
    """Whether an environment has something."""

    def read(self, value: object) -> bool:
        """A truth value."""
        if not isinstance(value, bool):
            raise ValueError(f"{self.name} is {value!r}; it takes true or false")
        return value


FIRST_OUTGOING_PORT = 32768
"""From here on Linux takes ports for outgoing connections (``net.ipv4.ip_local_port_range``)."""


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A unit that should run, as systemd names it without ``.service``; ``php-fpm`` stands for any version."""

    name: str | Name
    machines: Machines = Machines.MEMBERS


@dataclass(frozen=True, kw_only=True)
class Backend:
    """A backend of every HAProxy.

    Attributes:
        name: that agent, collectors and rotation know it by.
        servers: where its servers listen on the nodes.
        asks: what the agent check of a server asks about: the service that is drained or not.
        chooses: which server is used, for a reader.
        local: where the application finds it on its own node.
        hold: the agent's port that takes new connections while they wait.
        hold_limit_seconds: a hold that nobody releases ends after so long: whoever held is gone.
        any_server: every server that is up serves alike; else one alone does.
    """

    name: str
    servers: Port
    asks: str
    chooses: str
    local: Port | None = None
    hold: Port | None = None
    hold_limit_seconds: float = 8.0
    any_server: bool = False


@dataclass(frozen=True, kw_only=True)
class Contract:
    """One service.

    Attributes:
        service: its word, the same in roles, ``status``, ``recover``, ``drain`` and the documents.
        drainable: whether a node can be asked to take no new work for it.
        enabled: the switch by which an environment has it; None where every environment does.
        secrets: of ``trivet_secrets``, that only an environment with it needs. They are generated when it is turned on.
    """

    service: str
    units: tuple[Unit, ...] = ()
    ports: tuple[Port, ...] = ()
    places: tuple[Place, ...] = ()
    names: tuple[Name, ...] = ()
    backends: tuple[Backend, ...] = ()
    drainable: bool = False
    enabled: Switch | None = None
    secrets: tuple[str, ...] = ()

    @property
    def terms(self) -> tuple[Term[int] | Term[Path] | Term[str] | Term[bool], ...]:
        """Every term, those of the backends included."""
        of_backends = (port for backend in self.backends for port in (backend.local, backend.hold) if port)
        switch = (self.enabled,) if self.enabled else ()
        return (*switch, *self.ports, *of_backends, *self.places, *self.names)

    @property
    def all_ports(self) -> tuple[Port, ...]:
        """Every port, those of the backends included."""
        return tuple(term for term in self.terms if isinstance(term, Port))


@dataclass(frozen=True)
class Terms:
    """The values of all terms in one environment: ``terms[redis.CACHE_PORT]``.

    Attributes:
        given: what differs from the defaults, by name.
    """

    given: Mapping[str, object] = field(default_factory=dict)

    def __getitem__(self, term: Term[T]) -> T:
        return term.read(self.given[term.name]) if term.name in self.given else term.default_in(self)

    @classmethod
    def of(cls, variables: Mapping[str, object], contracts: Iterable[Contract]) -> Terms:
        """Take the settings from an inventory's variables or from ``node.json``.

        Raises:
            ValueError: a value does not fit, or two services would have the same port.
        """
        contracts = tuple(contracts)
        settings = {term.name: term for contract in contracts for term in contract.terms if term.setting}
        given = {name: settings[name].read(variables[name]) for name in sorted(settings.keys() & variables.keys())}
        terms = cls({name: value for name, value in given.items() if value != settings[name].default_in(cls(given))})
        terms.check_ports(port for contract in terms.present(contracts) for port in contract.all_ports)
        return terms

    def present(self, contracts: Iterable[Contract]) -> tuple[Contract, ...]:
        """Those services that the environment has."""
        return tuple(contract for contract in contracts if contract.enabled is None or self[contract.enabled])

    def unit_name(self, unit: Unit) -> str:
        """What systemd calls a unit."""
        return unit.name if isinstance(unit.name, str) else self[unit.name]

    def span(self, port: Port) -> str:
        """A port, or a range as firewalls write it."""
        return f"{self[port]}" if port.last is None else f"{self[port]}-{port.last}"

    def check_ports(self, ports: Iterable[Port]) -> None:
        """No two ports may be one on the same address.

        Raises:
            ValueError: two are; names both.
        """
        taken: dict[tuple[str, Listen, int], Port] = {}
        for port in ports:
            for number in range(self[port], (port.last or self[port]) + 1):
                for place in _places(port):
                    other = taken.setdefault((*place, number), port)
                    if other is not port:
                        raise ValueError(f"{other.name} and {port.name} are both {number}")


def _places(port: Port) -> Iterable[tuple[str, Listen]]:
    listens = (Listen.NODE, Listen.LOCAL) if Listen.ALL in port.listens else port.listens
    return [(protocol, listen) for protocol in port.protocols for listen in listens]
