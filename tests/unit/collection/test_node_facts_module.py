# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module trivet.commerce.node_facts reads out of the kernel's and the distribution's files."""

from __future__ import annotations

import importlib.util
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[3] / "plugins" / "modules" / "node_facts.py"
specification = importlib.util.spec_from_file_location("node_facts", SOURCE)
assert specification and specification.loader
module = importlib.util.module_from_spec(specification)
specification.loader.exec_module(module)

ROUTES = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth1\t00000000\t0100000A\t0003\t0\t0\t200\t00000000\t0\t0\t0
eth0\t00000000\t01040A0A\t0003\t0\t0\t100\t00000000\t0\t0\t0
eth0\t00040A0A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
"""


def test_debian_by_the_name_that_ansible_gives_it() -> None:
    text = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\nID=debian\n'
    assert module.distribution(text) == {
        "distribution": "Debian",
        "distribution_major_version": "12",
        "distribution_release": "bookworm",
    }


def test_an_unknown_distribution_is_not_debian() -> None:
    assert module.distribution("")["distribution"] == ""


def test_memory_in_mebibytes() -> None:
    assert module.memory_mib("MemTotal:        1966080 kB\nMemFree: 1 kB\n") == 1920


def test_interface_of_the_default_route_with_the_lowest_metric() -> None:
    assert module.default_interface(ROUTES) == {"interface": "eth0"}


def test_no_default_route() -> None:
    assert module.default_interface("Iface\tDestination\n") == {}
