# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of ports, paths, settings and backends, from the services' contracts."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from trivet.services.contract import Listen, Name, Peer, Place, Port, Term
from trivet.services.registry import BACKENDS, CONTRACTS, SETTINGS

WHO = {
    Peer.PUBLIC: "everybody",
    Peer.NODE: "service nodes",
    Peer.CLIENT: "web nodes",
    Peer.ADMIN: "`trivet_admin_networks`",
}


def ports() -> str:
    """Every port by its number."""
    found = [(port, contract.service) for contract in CONTRACTS for port in contract.all_ports]
    rows = [
        (number(port), setting(port), service, port.what, listens(port), opened(port), "yes" if web(port) else "")
        for port, service in sorted(found, key=lambda item: item[0].default)
    ]
    head = ("port", "setting", "service", "what", "listens on", "open on a service node to", "on a web node, too")
    return table(head, rows)


def number(port: Port) -> str:
    """The port or range, with its protocols where TCP is not the only one."""
    text = f"{port.default}" if port.last is None else f"{port.default}–{port.last}"
    return text if port.protocols == ("tcp",) else f"{text} ({', '.join(each.upper() for each in port.protocols)})"


def setting(term: Term[int]) -> str:
    """The variable by which it is set; empty for what is fixed."""
    return f"`{term.name}`" if term.setting else ""


def listens(port: Port) -> str:
    """The addresses."""
    return ", ".join(port.listens)


def opened(port: Port) -> str:
    """Who may connect from another machine."""
    return ", ".join(WHO[peer] for peer in port.peers if peer in WHO)


def web(port: Port) -> bool:
    """Whether it is open on a web node."""
    return Peer.WEB in port.peers or Peer.ADMIN in port.peers or port.listens == (Listen.LOCAL,)


def places() -> str:
    """Every path that a contract has."""
    found = [place for contract in CONTRACTS for place in contract.places]
    rows = [(f"`{place.default}`", place.what, f"`{place.name}`" if place.setting else "") for place in found]
    return table(("path", "what", "setting"), rows)


def backends() -> str:
    """The backends of HAProxy."""
    rows = [
        (
            f"`{backend.name}`",
            f"{backend.servers.default}",
            f"127.0.0.1:{backend.local.default}" if backend.local else "the public frontend",
            f"{backend.hold.default}" if backend.hold else "",
            f"`{backend.asks}`",
            backend.chooses,
        )
        for backend in BACKENDS.values()
    ]
    head = ("backend", "servers' port", "reached at", "hold port", "its agent check asks for", "which server is used")
    return table(head, rows)


def settings() -> str:
    """Every setting of a contract."""
    rows = [
        (f"`{name}`", f"`{term.default}`", kind(term), term.what, "yes" if term.changeable else "no")
        for name, term in SETTINGS.items()
    ]
    return table(("variable", "default", "takes", "what", "may change in a running environment"), rows)


def kind(term: object) -> str:
    """What a setting takes."""
    if isinstance(term, Name):
        return term.takes
    return {Port: "a port", Place: "an absolute path"}.get(type(term), "true or false")


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown."""
    head = tuple(head)
    lines = [f"| {' | '.join(cells)} |" for cells in (head, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]]) + "\n"


BLOCKS: dict[str, Callable[[], str]] = {
    "ports": ports,
    "places": places,
    "backends": backends,
    "settings": settings,
}
