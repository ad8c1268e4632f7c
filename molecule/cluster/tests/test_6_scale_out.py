# SPDX-License-Identifier: GPL-3.0-or-later
"""A web node comes and goes under load, and no request fails."""

from __future__ import annotations

import json
from typing import Any

import testinfra
from testinfra.host import Host

from trivet import api
from trivet.ansible import load_environment
from trivet.api import measured
from trivet.lab import Lab, LabState
from trivet.model import Node
from trivet.run.directories import state_directory
from trivet.scaling import ScaleIn, ScaleOut

RATE = 25.0
LEAST_REQUESTS = 1000


def requests_of(node: Host) -> int:
    """Requests that nginx of a node has answered since its start, other than the checks of the proxies."""
    log = node.check_output("cat /var/log/nginx/access.log")
    return sum("/health_check.php" not in line for line in log.splitlines())


def test_scale_out_and_in_under_load(lab: LabState, nodes: list[Host]) -> None:
    environment = load_environment(lab.name)
    seen: dict[str, Any] = {}

    def work(listener: Any) -> None:
        ScaleOut(environment, 1, listener=listener).apply()
        grown = load_environment(lab.name)
        (web,) = grown.web_nodes
        seen["status"] = {node.name: node.state for node in Lab(lab.name).status().nodes}[web.name]
        seen["verdict"] = api.Environment(grown).status().state.value
        seen["web only"] = _services(nodes, web)
        seen["served"] = _await_requests(nodes, web)
        ScaleIn(grown, 1, listener=listener).apply()

    report, _ = measured(environment, RATE, work, listener=print)
    (state_directory() / lab.name / "scale-out-report.json").write_text(json.dumps(report.to_json()))
    assert seen["status"] == "running"
    assert seen["verdict"] == "healthy"
    assert seen["web only"] == {"nginx": True, "mariadb": False, "redis-session": False, "glusterd": False}
    assert seen["served"] > 0, "HAProxy has never used the web node"
    assert report.total.failures == 0, report.failures
    assert report.total.requests >= LEAST_REQUESTS
    assert report.orders.verified
    assert report.orders.found == report.orders.acknowledged > 0


def test_nothing_of_the_web_node_is_left(lab: LabState, nodes: list[Host]) -> None:
    environment = load_environment(lab.name)
    assert environment.web_nodes == ()
    assert {node.name for node in Lab(lab.name).status().nodes} == {node.name for node in environment.nodes}
    assert not (lab.inventory / "web-nodes.yml").exists()
    address = lab.address(31)
    for node in nodes:
        for path in ("/etc/hosts", "/etc/nftables.conf", "/etc/haproxy/haproxy.cfg"):
            assert not node.file(path).contains(address), f"{node.backend.get_hostname()}: {path}"
    assert address not in nodes[0].check_output("gluster volume get shared auth.allow")
    accounts = nodes[0].check_output("mariadb -N -e \"SELECT Host FROM mysql.global_priv WHERE User = 'trivet_check'\"")
    assert address not in accounts.split()


def _host(nodes: list[Host], web: Node) -> Host:
    configuration = nodes[0].backend.ssh_config
    return testinfra.get_host(f"ssh://{web.address}?ssh_config={configuration}")


def _services(nodes: list[Host], web: Node) -> dict[str, bool]:
    host = _host(nodes, web)
    return {name: host.service(name).is_running for name in ("nginx", "mariadb", "redis-session", "glusterd")}


def _await_requests(nodes: list[Host], web: Node) -> int:
    """Requests of customers that the web node has answered; its log is written every five seconds."""
    host = _host(nodes, web)
    host.check_output("sleep 10")
    return requests_of(host)
