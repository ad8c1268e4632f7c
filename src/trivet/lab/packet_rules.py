# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of what the failure suite puts into this machine's network, and how a lab that goes down removes it."""

from __future__ import annotations

from trivet.grid.shell import attempt, run

PACKAGES = ("nftables",)


def chaos_table(lab: str) -> str:
    """Name of the nftables tables in which the failure suite drops or delays what a lab's nodes send each other."""
    return f"trivet_chaos_{lab.replace('-', '_')}"


def chaos_device(bridge: str) -> str:
    """Name of the device through which the failure suite delays packets; the kernel takes at most 15 characters."""
    return f"late-{bridge}"


def remove_chaos(lab: str, bridge: str) -> None:
    """Remove what a failure suite that was killed left on this machine."""
    attempt(["ip", "link", "delete", chaos_device(bridge)])
    for family in ("bridge", "netdev"):
        if attempt(["nft", "list", "table", family, chaos_table(lab)]).returncode == 0:
            run(["nft", "delete", "table", family, chaos_table(lab)])
