# SPDX-License-Identifier: GPL-3.0-or-later
"""Each service used for real, from another node than the one that was told."""

from __future__ import annotations

import json
import shlex
import time
import urllib.request
import uuid

from testinfra.host import Host

from trivet.lab import LabState


def sql(node: Host, statement: str, port: int | None = None) -> list[str]:
    """Rows of a statement on the node's own mariadbd, as its administrator over the socket."""
    command = f"mariadb -N -B -e {shlex.quote(statement)}"
    return node.check_output(command).splitlines()


def redis(node: Host, port: int, *words: str) -> str:
    script = 'import json; print(json.load(open("/etc/trivet/node.json"))["redis_password"])'
    command = f"REDISCLI_AUTH=$(python3 -c {shlex.quote(script)}) redis-cli -p {port} " + " ".join(words)
    return node.check_output(command)


def http(url: str, method: str = "GET", body: bytes | None = None, headers: dict[str, str] | None = None):  # type: ignore[no-untyped-def]
    request = urllib.request.Request(url, data=body, method=method, headers=headers or {})
    return urllib.request.urlopen(request, timeout=20)


def search(node: Host, address: str, method: str, path: str, body: str = "") -> dict[str, object]:
    data = f"-d {shlex.quote(body)}" if body else ""
    output = node.check_output(
        f"curl -sf -X {method} -H 'Content-Type: application/json' {data} http://{address}:9200{path}"
    )
    return json.loads(output)


def test_a_row_written_on_one_node_is_read_on_the_others_and_ids_step_by_three(nodes: list[Host]) -> None:
    name = "t" + uuid.uuid4().hex[:12]
    sql(
        nodes[0],
        f"CREATE DATABASE {name}; CREATE TABLE {name}.rows_ (id INT AUTO_INCREMENT PRIMARY KEY, said VARCHAR(40))",
    )
    try:
        for node in nodes:
            for _ in range(2):
                sql(node, f"SET SESSION wsrep_sync_wait=15; INSERT INTO {name}.rows_ (said) VALUES ('{name}')")
        seen = [sql(node, f"SET SESSION wsrep_sync_wait=15; SELECT id FROM {name}.rows_ ORDER BY id") for node in nodes]
        assert seen[0] == seen[1] == seen[2]
        ids = [int(row) for row in seen[0]]
        assert len(ids) == 6
        # Each node has its own remainder by three, and its ids step by three.
        by_remainder = [[number for number in ids if number % 3 == remainder] for remainder in range(3)]
        assert all(len(numbers) == 2 and (numbers[1] - numbers[0]) % 3 == 0 for numbers in by_remainder)
    finally:
        sql(nodes[0], f"DROP DATABASE {name}")


def test_a_key_written_through_the_primary_is_read_from_a_replica(nodes: list[Host]) -> None:
    for primary, replica in ((6370, 6371), (6372, 6373)):
        key, value = "t:" + uuid.uuid4().hex, uuid.uuid4().hex
        assert redis(nodes[0], primary, "SET", key, value, "EX", "60") == "OK"
        deadline = time.monotonic() + 5
        while redis(nodes[2], replica, "GET", key) != value and time.monotonic() < deadline:
            time.sleep(0.1)
        assert redis(nodes[2], replica, "GET", key) == value


def test_a_document_indexed_on_one_node_is_found_on_another(nodes: list[Host], lab: LabState) -> None:
    index, word = "t" + uuid.uuid4().hex[:10], uuid.uuid4().hex
    first, third = lab.nodes[0].address, lab.nodes[2].address
    try:
        search(nodes[0], first, "PUT", f"/{index}/_doc/1?refresh=true", json.dumps({"said": word}))
        found = search(nodes[2], third, "GET", f"/{index}/_search?q=said:{word}")
        assert found["hits"]["total"]["value"] == 1  # type: ignore[index]
    finally:
        search(nodes[0], first, "DELETE", f"/{index}")


def test_a_file_written_on_one_node_is_read_on_the_others(nodes: list[Host]) -> None:
    name, words = f"/srv/shared/var/t-{uuid.uuid4().hex}", uuid.uuid4().hex
    nodes[0].check_output(f"echo {words} > {name}")
    try:
        for node in nodes[1:]:
            assert node.check_output(f"cat {name}") == words
    finally:
        nodes[0].check_output(f"rm -f {name}")


def test_a_session_begun_on_one_address_is_continued_on_another(lab: LabState) -> None:
    home = http(f"http://{lab.gateways[0]}/").read().decode()
    sku = home.split("/product/")[1].split('"')[0]
    with http(
        f"http://{lab.gateways[0]}/cart",
        "POST",
        f"sku={sku}&qty=2".encode(),
        {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"},
    ) as answer:
        cookie = answer.headers["Set-Cookie"].split(";")[0]
    with http(f"http://{lab.gateways[1]}/cart", headers={"Cookie": cookie, "Accept": "application/json"}) as answer:
        assert sku in answer.read().decode()


def test_every_gateway_address_is_at_home(nodes: list[Host], lab: LabState) -> None:
    for number, node in enumerate(nodes):
        held = json.loads(node.check_output("trivet-agent gateway held"))["held"]
        assert held == [lab.gateways[number]]


def test_services_are_not_reachable_from_outside(lab: LabState) -> None:
    import socket

    for port in (3306, 3307, 6380, 6390, 8080, 9200, 9700, 24007, 26379, 4567):
        with socket.socket() as attempt:
            attempt.settimeout(1.0)
            assert attempt.connect_ex((lab.nodes[0].address, port)) != 0, f"port {port} answers"


def test_the_shop_code_is_read_only_for_the_shop(nodes: list[Host]) -> None:
    for node in nodes:
        assert node.run("su -s /bin/sh store -c 'touch /srv/store/src/x'").rc != 0
        assert node.run("su -s /bin/sh store -c 'touch /srv/store/var/x && rm /srv/store/var/x'").rc == 0
