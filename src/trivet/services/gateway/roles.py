# SPDX-License-Identifier: GPL-3.0-or-later
"""Who answers which gateway address. Pure."""

from __future__ import annotations

from trivet.health.facts import ClusterFacts, answering
from trivet.services.gateway.facts import GatewayFacts


def gateway_holders(facts: ClusterFacts) -> dict[str, tuple[str, ...]]:
    """The nodes that answer each gateway address, by address; an address that nobody holds is not there."""
    holders: dict[str, tuple[str, ...]] = {}
    for name, node in answering(facts).items():
        for address in node.of(GatewayFacts).held:
            holders[address] = (*holders.get(address, ()), name)
    return holders
