# SPDX-License-Identifier: GPL-3.0-or-later
"""Which gateway addresses this node answers, and whether the daemons behind them run."""

from __future__ import annotations

import json
import time
from pathlib import Path

from trivet.health.collector import Collect
from trivet.health.config import FIREWALL_TABLE, GATEWAY_DIRECTORY, HANDOVER_TABLE, KEEPALIVED_ALIVE, NodeConfig
from trivet.health.external import Deadline, NoAnswer, run, unit_state
from trivet.health.facts import Flag
from trivet.health.flags import flag_of
from trivet.services.gateway.facts import GatewayFacts


def collect(config: NodeConfig, deadline: Deadline) -> GatewayFacts:
    """Gather the facts of the gateway on this node."""
    flags = handover_flags(GATEWAY_DIRECTORY / "handover.json")
    tables = nftables_tables(deadline)
    return GatewayFacts(
        held=held_addresses(config, deadline),
        keepalived=unit_state("keepalived.service", deadline),
        haproxy=unit_state("haproxy.service", deadline),
        handover=HANDOVER_TABLE in tables,
        firewall=FIREWALL_TABLE in tables,
        forwards=flags["forwards"],
        releases=flags["releases"],
        keepalived_silent=age(KEEPALIVED_ALIVE),
    )


def age(path: Path) -> float | None:
    """Seconds since a file was touched; None when there is none."""
    try:
        return round(max(0.0, time.time() - path.stat().st_mtime), 1)
    except FileNotFoundError:
        return None


def held_addresses(config: NodeConfig, deadline: Deadline) -> tuple[str, ...]:
    """The gateway addresses on the node's interface.

    ``lo`` does not count: the next holder of an address has it there without answering for it.
    """
    output = run(["ip", "-j", "addr", "show", "dev", config.interface], deadline)
    if output.code != 0:
        raise NoAnswer(f"ip addr: {output.complaint}")
    present = addresses_of(output.stdout)
    return tuple(address for address in config.gateways if address in present)


def addresses_of(listing: str) -> frozenset[str]:
    """The addresses in the output of ``ip -j addr``."""
    return frozenset(
        address["local"] for link in json.loads(listing) for address in link.get("addr_info", ()) if "local" in address
    )


def nftables_tables(deadline: Deadline) -> frozenset[tuple[str, ...]]:
    """Family and name of every table of nftables."""
    output = run(["nft", "list", "tables"], deadline)
    if output.code != 0:
        raise NoAnswer(f"nft: {output.complaint}")
    return frozenset(tuple(line.split()[1:]) for line in output.stdout.splitlines() if line.startswith("table "))


def handover_flags(path: Path) -> dict[str, dict[str, Flag]]:
    """The forwards and releases in force by address; the file is there only while there are any."""
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        state = {}
    except ValueError as problem:
        raise NoAnswer(f"{path} cannot be read: {problem}") from problem
    return {
        kind: {address: flag_of(record) for address, record in state.get(kind, {}).items()}
        for kind in ("forwards", "releases")
    }


COLLECT = Collect(facts=GatewayFacts, full=collect)
