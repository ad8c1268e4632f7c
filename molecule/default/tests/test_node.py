# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything on one node serves the shop."""

from __future__ import annotations

import json
import subprocess
import urllib.request

import pytest
from testinfra.host import Host

from trivet.lab import LabState

UNITS = (
    "haproxy",
    "keepalived",
    "mariadb",
    "nginx",
    "nftables",
    "opensearch",
    "php8.2-fpm",
    "redis-cache",
    "redis-sentinel",
    "redis-session",
    "trivet-agent",
    "trivet-shared",
)


@pytest.mark.parametrize("unit", UNITS)
def test_units_run(nodes: list[Host], unit: str) -> None:
    assert nodes[0].service(unit).is_running


def test_the_verdict_is_healthy(lab: LabState) -> None:
    result = subprocess.run(["trivet", "status", lab.name, "--json"], capture_output=True, text=True, timeout=90)
    verdict = json.loads(result.stdout)
    assert result.returncode == 0, verdict["findings"]


@pytest.mark.parametrize("path", ["/", "/search?q=coffee", "/health_check.php"])
def test_the_shop_answers_on_the_gateway_address(lab: LabState, path: str) -> None:
    with urllib.request.urlopen(f"http://{lab.gateways[0]}{path}", timeout=20) as answer:
        assert answer.status == 200


def test_secrets_are_for_root_alone(nodes: list[Host]) -> None:
    node_file = nodes[0].file("/etc/trivet/node.json")
    assert (node_file.user, node_file.mode) == ("root", 0o600)


def test_packages_are_not_upgraded_behind_our_back(nodes: list[Host]) -> None:
    timer = nodes[0].run("systemctl is-enabled apt-daily-upgrade.timer")
    assert timer.stdout.strip() in ("masked", "not-found") or "No such file" in timer.stderr
    assert nodes[0].run("/usr/sbin/policy-rc.d mariadb restart").rc == 101
