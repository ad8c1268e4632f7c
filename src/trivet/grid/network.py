# SPDX-License-Identifier: GPL-3.0-or-later
"""A grid's bridge and the route that keeps its traffic on this machine."""

from __future__ import annotations

import json

from trivet.grid.shell import attempt, run

# Larger than any metric in use, so that the bridge's own route wins while the bridge is up.
GUARD_METRIC = "4294967290"


def ensure_network(bridge: str, host_address: str, subnet: str) -> None:
    """Have the guard route first, then the bridge, so that nothing for the grid can leave the machine in between."""
    if not guard_route_present(subnet):
        run(["ip", "route", "add", "unreachable", subnet, "metric", GUARD_METRIC])
    if attempt(["incus", "network", "show", bridge]).returncode == 0:
        return
    run(
        [
            "incus",
            "network",
            "create",
            bridge,
            f"ipv4.address={host_address}/24",
            # No way out and no DHCP: addresses are fixed, packages come through the cache on the bridge.
            "ipv4.nat=false",
            "ipv4.dhcp=false",
            "ipv4.firewall=false",
            "ipv6.address=none",
            "dns.mode=none",
        ]
    )


def guard_route_present(subnet: str) -> bool:
    """Whether the unreachable route is there."""
    routes = json.loads(run(["ip", "-j", "route", "show", "type", "unreachable"]) or "[]")
    return any(route.get("dst") == subnet for route in routes)


def remove_network(bridge: str, subnet: str) -> None:
    """Remove the bridge, then the guard route."""
    if attempt(["incus", "network", "show", bridge]).returncode == 0:
        run(["incus", "network", "delete", bridge])
    if guard_route_present(subnet):
        run(["ip", "route", "del", "unreachable", subnet, "metric", GUARD_METRIC])
