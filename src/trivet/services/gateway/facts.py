# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node says of the gateway addresses that it answers."""

from __future__ import annotations

from dataclasses import dataclass, field

from trivet.health.facts import Flag, ServiceFacts

KEEPALIVED_SILENCE_SECONDS = 10.0
"""Without a sign of it for so long, keepalived counts as hung; it gives one every three seconds."""


@dataclass(frozen=True, kw_only=True)
class GatewayFacts(ServiceFacts):
    """Which gateway addresses this node answers, and the state of the daemons that make it answer."""

    NAME = "gateway"

    held: tuple[str, ...] = ()
    """Gateway addresses on the node's interface (an address on ``lo`` only is not held)."""
    keepalived: str = "unknown"
    haproxy: str = "unknown"
    """States of the units as systemd names them: active, reloading, activating, inactive, failed …"""
    handover: bool = False
    """True while the table of a hand-over (``inet trivet_handover``) stands in nftables."""
    firewall: bool | None = None
    """Whether the firewall's table (``inet trivet``) is loaded; None when the node's agent does not say yet."""
    forwards: dict[str, Flag] = field(default_factory=dict)
    """Gateway addresses whose new connections this node forwards."""
    releases: dict[str, Flag] = field(default_factory=dict)
    """Gateway addresses that this node must not take."""
    keepalived_silent: float | None = None
    """Seconds since keepalived last showed that it turns; None when it never did since the node started."""

    @property
    def keepalived_error(self) -> str | None:
        """That keepalived is alive and does not turn: it then keeps an address that another node has taken."""
        if self.keepalived != "active" or (self.keepalived_silent or 0.0) <= KEEPALIVED_SILENCE_SECONDS:
            return None
        return f"no answer in {self.keepalived_silent:.0f} s"


FACTS = GatewayFacts
