# SPDX-License-Identifier: GPL-3.0-or-later
"""What was set is what the running daemons have, and the shop is served with the other search engine."""

from __future__ import annotations

import json
import re
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from testinfra.host import Host

from trivet.lab import LabState
from trivet.services.contract import Listen, Peer, Port, Terms
from trivet.services.registry import BACKENDS, SETTINGS, opened, settings_of, terms_of

VARIABLES = Path(__file__).parents[1] / "inventory/group_vars/all/alternative.yml"
SET: dict[str, Any] = yaml.safe_load(VARIABLES.read_text(encoding="utf-8"))
TERMS = terms_of(SET)
# One node has no Sentinel.
PORTS = [term for name, term in SETTINGS.items() if isinstance(term, Port) and name != "redis_sentinel_port"]


def test_every_setting_but_the_versions_differs_from_its_default() -> None:
    usual = settings_of(Terms())
    same = {name for name, value in settings_of(TERMS).items() if value == usual[name]}
    assert same == {"php_fpm_version"}


@pytest.mark.parametrize("port", PORTS, ids=lambda port: port.name)
def test_a_service_listens_where_it_was_told_alone(port: Port, nodes: list[Host], lab: LabState) -> None:
    places = {Listen.NODE: lab.nodes[0].address, Listen.LOCAL: "127.0.0.1"}
    # Java shows an IPv4 address inside of an IPv6 one.
    listening = nodes[0].check_output("ss --no-header --listening --numeric --tcp").splitlines()
    found = {line.split()[3].replace("[::ffff:", "").replace("]", "") for line in listening}
    wanted = {places[listen] for listen in port.listens}
    assert {f"{place}:{TERMS[port]}" for place in wanted} <= found
    assert not {f"{place}:{port.default}" for place in wanted} & found


def test_the_agent_knows_every_setting(nodes: list[Host]) -> None:
    config = json.loads(nodes[0].check_output("cat /etc/trivet/node.json"))
    assert config["settings"] == settings_of(TERMS)


def test_every_backend_finds_its_servers(nodes: list[Host], lab: LabState) -> None:
    states = json.loads(nodes[0].check_output("trivet-agent proxy states"))["servers"]
    up = {item["backend"] for item in states if item["server"] == lab.nodes[0].name and item["state"] == "UP"}
    # One node has no replica of Redis: its primary answers in its stead.
    assert up == {name for name in BACKENDS if not name.endswith("_replica")}


def test_the_firewall_opens_the_ports_that_were_set(nodes: list[Host]) -> None:
    rules = nodes[0].check_output("nft list chain inet trivet input")
    line = next(line for line in rules.splitlines() if "@nodes tcp dport" in line)
    assert numbers(re.findall(r"[\d-]+", line.partition("{")[2].partition("}")[0])) == numbers(opened(TERMS, Peer.NODE))


def numbers(spans: Iterable[str]) -> set[int]:
    """Every port of ports and ranges: nftables makes one range of neighbours."""
    ends = [[int(end) for end in span.split("-")] for span in spans]
    return {port for pair in ends for port in range(pair[0], pair[-1] + 1)}


def test_the_volume_the_mount_and_the_brick_are_where_they_were_told(nodes: list[Host]) -> None:
    node = nodes[0]
    assert node.check_output(f"findmnt --noheadings --output FSTYPE {SET['files_mount']}") == "fuse.glusterfs"
    assert f":{SET['files_brick']}" in node.check_output(f"gluster volume info {SET['files_volume']}")
    assert node.file("/srv/applications/shop/pub/media").linked_to.startswith(SET["files_mount"])
    assert not node.file("/srv/shared").exists and not node.file("/srv/glusterfs").exists


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
    asked = f"redis-cli -p {SET['redis_cache_port']} CONFIG GET maxmemory-policy"
    said = nodes[0].check_output(f"REDISCLI_AUTH=$(python3 -c '{script}') {asked}")
    assert said.split() == ["maxmemory-policy", "volatile-lfu"]


def test_php_children_are_static(nodes: list[Host]) -> None:
    assert nodes[0].check_output("pgrep -c -u shopper -f 'pool shop'") == "3"


def test_the_application_has_its_own_user_and_paths(nodes: list[Host]) -> None:
    node = nodes[0]
    assert not node.user("store").exists
    assert (node.user("shopper").uid, node.group("shopper").gid) == (991, 991)
    assert node.file("/srv/applications/shop/pub/index.php").user == "root"
    assert not node.file("/srv/store").exists and not node.file("/srv/store-local").exists
    assert node.file("/srv/applications/shop/pub/media/.").user == "shopper"
    assert node.file("/run/php/shop.sock").is_socket
    assert node.file("/srv/shop-local/log").user == "shopper"


def test_the_certificate_names_every_domain(nodes: list[Host]) -> None:
    names = nodes[0].check_output("openssl x509 -in /etc/haproxy/certs/public.pem -noout -ext subjectAltName")
    assert "DNS:alternative.shop.example, DNS:www.alternative.shop.example" in names


def test_the_search_engine_is_elasticsearch_7_from_maven_central(nodes: list[Host], lab: LabState) -> None:
    about = json.loads(nodes[0].check_output(f"curl -sf http://{lab.nodes[0].address}:{SET['search_http_port']}/"))
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
