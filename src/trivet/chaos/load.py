# SPDX-License-Identifier: GPL-3.0-or-later
"""The customers beside a scenario: the probe at all gateway addresses, in a process of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Protocol

from trivet.errors import RemoteError
from trivet.model import Environment
from trivet.probe import BackgroundProbe, ProbeReport, ProbeSettings
from trivet.probe.contracts import DEFAULT
from trivet.remote import WebTunnels

LONGEST_SECONDS = 1800.0
MOST_IN_FLIGHT = 500


class Load(Protocol):
    """Customers, who come as :meth:`start` says and leave at :meth:`stop`."""

    def start(self) -> None:
        """Begin, in phase ``before``."""

    def mark(self, phase: str) -> None:
        """Requests that are due from now on belong to a phase."""

    def stop(self, *, hurry: bool = False) -> ProbeReport:
        """End, look for every acknowledged order on every node, and report."""

    def orders(self) -> list[float]:
        """When each acknowledged order was due, in seconds from the start."""


class ProbeLoad:
    """The probe with its mix at a rate.

    :param events: the file that its events go to; the orders are read from it.
    :param contract: what is asked; None: what the lab's application names, else the demo.
    """

    def __init__(self, environment: Environment, rate: float, events: Path, contract: str | None = None) -> None:
        self._tunnels = WebTunnels(environment)
        self._events = events
        settings = ProbeSettings(
            urls=tuple(address_url(gateway) for gateway in environment.gateways),
            rate=rate,
            duration=LONGEST_SECONDS,
            host=environment.domain,
            verify_urls=self._tunnels.urls,
            contract=contract or environment.probe_contract or DEFAULT,
            # While nobody answers, as many wait as come within the patience of one: ten seconds.
            max_in_flight=max(MOST_IN_FLIGHT, round(20 * rate)),
        )
        self._probe = BackgroundProbe(settings, events)

    def start(self) -> None:
        self._probe.start()

    def mark(self, phase: str) -> None:
        self._probe.mark(phase)

    def stop(self, *, hurry: bool = False) -> ProbeReport:
        try:
            with self._tunnels:
                return self._probe.stop(hurry=hurry)
        except RemoteError:
            # A node that cannot be asked: the report says that the orders are not verified.
            return self._probe.stop(hurry=True)

    def orders(self) -> list[float]:
        return acknowledged(self._events)


def address_url(gateway: str) -> str:
    """The application at a gateway address, as the probe names it in its report."""
    return f"http://{gateway}"


def acknowledged(events: Path) -> list[float]:
    """When the orders of a probe's events were due, in seconds from its start."""
    with events.open("rb") as lines:
        rows = [json.loads(line) for line in lines if line.startswith(b'{"event":"order"') and line.endswith(b"\n")]
    return [float(row["at"]) for row in rows]
