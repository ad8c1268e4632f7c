# SPDX-License-Identifier: GPL-3.0-or-later
"""Which services fall over and over, from the moments at which systemd started them again. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from trivet.health.facts import HostFacts

WINDOW_SECONDS = 180.0
"""Falls that are older say nothing. Long enough for two attempts of a service that needs a minute to fail."""
FEWEST_FALLS = 2
"""So many within the window are enough where the service is not up; one that is up may have got over them."""
_FALLS_OF_ONE_THAT_IS_UP = 3
_ON_ITS_WAY = ("activating", "deactivating", "reloading")
_SHORTEST_CALM_SECONDS, _LONGEST_CALM_SECONDS = 15.0, 60.0


@dataclass(frozen=True)
class Flap:
    """A service that falls over and over."""

    starts: int
    seconds: float
    """How long ago the first of these starts was."""

    def __str__(self) -> str:
        return f"falls over and over: {self.starts} starts in {self.seconds:.0f} s"


def flapping(host: HostFacts) -> dict[str, Flap]:
    """The units that fall over and over, by name; one that is down is told as down."""
    found = ((unit, _flap(host, unit)) for unit in host.falls)
    return {unit: flap for unit, flap in found if flap is not None}


def _flap(host: HostFacts, unit: str) -> Flap | None:
    state = host.units.get(unit, "unknown")
    falls = sorted(moment for moment in host.falls[unit] if host.clock - moment <= WINDOW_SECONDS)
    if state in _ON_ITS_WAY:
        enough = len(falls) >= FEWEST_FALLS
    else:
        enough = state == "active" and len(falls) >= _FALLS_OF_ONE_THAT_IS_UP and not _over(falls, host.clock)
    return Flap(len(falls), max(0.0, host.clock - falls[0])) if enough else None


def _over(falls: list[float], now: float) -> bool:
    """Whether it has run for longer than it did between its last falls."""
    between = (falls[-1] - falls[0]) / (len(falls) - 1)
    return now - falls[-1] > min(max(2 * between, _SHORTEST_CALM_SECONDS), _LONGEST_CALM_SECONDS)


def journal_of(unit: str) -> str:
    """What ``journalctl -u`` takes for a unit; PHP-FPM's has the version in its name."""
    return "php*-fpm" if unit == "php-fpm" else unit
