# SPDX-License-Identifier: GPL-3.0-or-later
"""The network of builders: out through this machine, and to nothing on it."""

from __future__ import annotations

from trivet.grid.shell import attempt, run
from trivet.grid.state import SUBNET_PREFIX

BRIDGE = "trivet-build"
# Grids count their subnets from 1.
SUBNET = f"{SUBNET_PREFIX}.0"
FIRST_HOST = 11
PACKAGES = ("nftables",)
TABLE = "trivet_build"
RULES = f"""\
table inet {TABLE}
delete table inet {TABLE}
table inet {TABLE} {{
  chain input {{
    type filter hook input priority -10;
    iifname "{BRIDGE}" meta l4proto {{ tcp, udp }} th dport 53 accept
    iifname "{BRIDGE}" ct state established,related accept
    iifname "{BRIDGE}" reject
  }}
  chain forward {{
    type filter hook forward priority -10;
    iifname "{BRIDGE}" ip daddr {SUBNET_PREFIX}.0.0/16 reject
  }}
}}
"""
"""A builder asks this machine for names alone, and reaches no grid of it."""


def ensure_network() -> None:
    """Have the bridge, and the rules for what comes from it."""
    if attempt(["incus", "network", "show", BRIDGE]).returncode != 0:
        # Its dnsmasq answers for names; addresses are fixed.
        run(["incus", "network", "create", BRIDGE, f"ipv4.address={SUBNET}.1/24", "ipv4.nat=true", "ipv6.address=none"])
    run(["nft", "-f", "-"], stdin=RULES)


def connect(name: str, place: int) -> None:
    """Give a stopped builder its device on the bridge.

    It reaches no other builder and cannot speak for another.
    """
    device = [
        *("nic", f"network={BRIDGE}", "name=eth0", f"ipv4.address={address(place)}", "security.port_isolation=true"),
        *("security.mac_filtering=true", "security.ipv4_filtering=true"),
    ]
    run(["incus", "config", "device", "add", name, "eth0", *device], own_session=True)


def bring_up(name: str, place: int) -> None:
    """Set the address of a builder that runs: it has no program that would."""
    script = (
        f"ip link set eth0 up && ip addr add {address(place)}/24 dev eth0 && ip route add default via {SUBNET}.1"
        f" && echo nameserver {SUBNET}.1 >/etc/resolv.conf"
    )
    run(["incus", "exec", name, "--", "sh", "-c", script], own_session=True)


def address(place: int) -> str:
    """A builder's address."""
    return f"{SUBNET}.{FIRST_HOST + place}"
