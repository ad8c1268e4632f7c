# SPDX-License-Identifier: GPL-3.0-or-later
"""What was set is what the running daemons have, and the shop is served with the other search engine."""

from __future__ import annotations

import json
import ssl
import subprocess
import urllib.error
import urllib.request

import pytest
from testinfra.host import Host

from trivet.lab import LabState


def test_the_verdict_is_healthy(lab: LabState) -> None:
    result = subprocess.run(["trivet", "status", lab.name, "--json"], capture_output=True, text=True, timeout=90)
    assert result.returncode == 0, json.loads(result.stdout)["findings"]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("innodb_buffer_pool_size", str(192 * 2**20)),
        ("innodb_flush_log_at_trx_commit", "1"),
        ("innodb_print_all_deadlocks", "ON"),
    ],
)
def test_mariadb_has_its_settings(nodes: list[Host], variable: str, value: str) -> None:
    row = nodes[0].check_output(f"mariadb -N -B -e \"SHOW GLOBAL VARIABLES LIKE '{variable}'\"")
    assert row.split() == [variable, value]


def test_redis_evicts_as_it_was_told(nodes: list[Host]) -> None:
    script = 'import json; print(json.load(open("/etc/trivet/node.json"))["redis_password"])'
    command = f"REDISCLI_AUTH=$(python3 -c '{script}') redis-cli -p 6380 CONFIG GET maxmemory-policy"
    assert nodes[0].check_output(command).split() == ["maxmemory-policy", "volatile-lfu"]


def test_php_children_are_static(nodes: list[Host]) -> None:
    assert nodes[0].check_output("pgrep -c -f 'pool store'") == "3"


def test_the_search_engine_is_elasticsearch_7_from_maven_central(nodes: list[Host], lab: LabState) -> None:
    about = json.loads(nodes[0].check_output(f"curl -sf http://{lab.nodes[0].address}:9200/"))
    assert about["version"]["number"] == "7.10.2"
    assert about["version"].get("distribution") != "opensearch"


def test_http_is_redirected_and_https_serves_the_shop(lab: LabState) -> None:
    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_arguments: object) -> None:
            return None

    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.build_opener(Stay).open(f"http://{lab.gateways[0]}/", timeout=20)
    assert raised.value.code in (301, 308)
    unverified = ssl._create_unverified_context()
    with urllib.request.urlopen(f"https://{lab.gateways[0]}/search?q=coffee", timeout=20, context=unverified) as answer:
        assert answer.status == 200
