# SPDX-License-Identifier: GPL-3.0-or-later
"""What to probe, how hard and for how long."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from trivet.errors import InputError
from trivet.probe.contracts import DEFAULT, contract_named

MAXIMUM_RATE = 2000.0
MAXIMUM_DURATION = 24 * 3600.0
MAXIMUM_IN_FLIGHT = 5000


@dataclass(frozen=True, slots=True)
class ProbeSettings:
    """Settings of one run; invalid ones raise InputError when made.

    :param urls: base URLs (the gateway addresses), asked in turn; nothing else is ever connected to
        while the load runs. A name is resolved once and its first address used.
    :param rate: requests per second, all URLs together, at most 2,000.
    :param duration: seconds until the load ends by itself, at most a day.
    :param timeout: seconds from a request's scheduled start until it counts as failed.
    :param connect_timeout: seconds for one connection, TLS handshake included.
    :param clients: virtual clients at work in normal times; half keep their connection alive. More are made
        while the shop is slow, up to `max_in_flight` requests at once; beyond it requests wait, and the
        wait is part of their latency.
    :param verify_urls: where all acknowledged orders are looked up afterwards: each node's own address.
        Without any, the base URLs.
    :param verify_timeout: seconds that replication may take until an order is found everywhere.
    :param host: Host header (and name in TLS), where the URLs are bare addresses.
    :param insecure: do not verify certificates.
    :param phase: name of the phase that the run begins with.
    :param seed: makes the order of requests repeatable.
    :param contract: name of the contract: what kind of application is asked.
    :param weights: the mix, by operation of the contract; what is not named weighs nothing. Empty: the contract's own.
    """

    urls: tuple[str, ...]
    rate: float = 50.0
    duration: float = 60.0
    timeout: float = 10.0
    connect_timeout: float = 5.0
    clients: int = 24
    max_in_flight: int = 500
    verify_urls: tuple[str, ...] = ()
    verify_timeout: float = 30.0
    host: str | None = None
    insecure: bool = False
    phase: str = "before"
    seed: int = 1
    contract: str = DEFAULT
    weights: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.urls:
            raise InputError("the probe needs at least one URL")
        if len(set(self.urls)) != len(self.urls):
            raise InputError("a URL is given to the probe twice")
        for url in (*self.urls, *self.verify_urls):
            _check_url(url)
        _check_range("rate", self.rate, MAXIMUM_RATE)
        _check_range("duration", self.duration, MAXIMUM_DURATION)
        _check_range("timeout", self.timeout, 300)
        _check_range("connect timeout", self.connect_timeout, 300)
        _check_range("verify timeout", self.verify_timeout, 600)
        _check_range("number of clients", self.clients, self.max_in_flight)
        _check_range("bound of requests in flight", self.max_in_flight, MAXIMUM_IN_FLIGHT)
        known = contract_named(self.contract).weights
        if unknown := [name for name in self.weights if name not in known]:
            names = ", ".join(known)
            raise InputError(f"{unknown[0]!r} is nothing that contract {self.contract} weighs; it has {names}")
        if not all(math.isfinite(weight) and weight >= 0 for weight in self.mix.values()):
            raise InputError("a weight of the probe's mix is negative or not a number")
        if not sum(self.mix.values()) > 0:
            raise InputError("all weights of the probe's mix are zero")
        if not self.phase or (self.host is not None and not self.host.isprintable()):
            raise InputError("the probe's phase is empty, or its host has unprintable characters")

    @property
    def mix(self) -> Mapping[str, float]:
        """The weight of each operation."""
        return self.weights or contract_named(self.contract).weights

    @property
    def total(self) -> int:
        """How many requests the whole duration holds."""
        return max(1, math.ceil(self.rate * self.duration))


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        # `.port` raises ValueError where it is not a number in range.
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    plain = url.isascii() and url.isprintable() and not set(" ,") & set(url)
    if not valid or not plain or parts.query or parts.fragment or parts.username:
        raise InputError(f"{url!r} is not a base URL such as http://203.0.113.10 or https://shop.example")


def _check_range(name: str, value: float, maximum: float) -> None:
    if not 0 < value <= maximum:  # also refuses NaN
        raise InputError(f"the probe's {name} is {value:g}; it must be above 0 and at most {maximum:g}")
