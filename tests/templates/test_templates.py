# SPDX-License-Identifier: GPL-3.0-or-later
"""What matters in the files that the roles write: who listens where, who is asked, what stays secret."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests.templates.conftest import ROLES, ROOT, SECRETS, Environment
from trivet.agent.alerts import Alerts
from trivet.agent.heal import Settings
from trivet.health.config import KEEPALIVED_ALIVE, NodeConfig
from trivet.services.gateway.facts import KEEPALIVED_SILENCE_SECONDS
from trivet.services.gateway.turn import ANNOUNCED_SECONDS
from trivet.services.proxy.haproxy import BACKEND_SERVICES
from trivet.services.registry import SETTINGS, terms_of

NODES = ["production-1", "production-2", "production-3"]
ADDRESSES = dict(zip(NODES, ["192.0.2.11", "192.0.2.12", "192.0.2.13"], strict=True))


@pytest.mark.parametrize("role", ROLES)
def test_a_secret_is_in_no_file_that_everybody_may_read(role: str, production: Environment) -> None:
    readable = [file for file in production.written(role).values() if int(file.mode, 8) & 0o007]
    leaks = [(file.dest, name) for file in readable for name, value in SECRETS.items() if value in file.content]
    assert leaks == []


@pytest.mark.parametrize("role", ROLES)
def test_nothing_but_root_may_write_a_configuration(role: str, production: Environment) -> None:
    # What a daemon owns is written once and then its own. Erlang reads its cookie from a file of the broker's own only.
    owned = ("/var/lib/rabbitmq/.erlang.cookie",)
    files = [file for file in production.written(role).values() if not file.only_once and file.dest not in owned]
    assert [file.dest for file in files if file.owner != "root" or int(file.mode, 8) & 0o022] == []


@pytest.mark.parametrize("role", ROLES)
def test_every_node_writes_the_same_files_and_leaves_no_template_behind(role: str, production: Environment) -> None:
    written = [production.written(role, node) for node in production.nodes]
    assert written[0].keys() == written[1].keys() == written[2].keys()
    assert [file.dest for files in written for file in files.values() if "{{" in file.content] == []
    assert production.render(role, NODES[0]) == written[0], "the same input must give the same files"


# HAProxy


def haproxy(environment: Environment, node: str | None = None, **overrides: Any) -> dict[str, list[str]]:
    """Lines of each section of haproxy.cfg, by the section's kind and name."""
    sections: dict[str, list[str]] = {}
    for line in environment.written("haproxy", node, **overrides)["/etc/haproxy/haproxy.cfg"].content.splitlines():
        if line and not line.startswith((" ", "#")):
            sections[" ".join(line.split()[:2])] = lines = []
        elif line.strip() and not line.strip().startswith("#"):
            lines.append(line.strip())
    return sections


def servers(section: list[str]) -> list[list[str]]:
    return [line.split() for line in section if line.startswith("server ")]


BACKENDS: dict[str, tuple[int, str, int | None]] = {
    "web": (8080, "web", 9702),
    "search": (9200, "search", None),
    "db_writer": (3307, "database", 3305),
    "db_reader": (3307, "database", None),
    "redis_cache_primary": (6380, "redis_primary", 6369),
    "redis_cache_replica": (6380, "redis", None),
    "redis_session_primary": (6390, "redis_primary", 6368),
    "redis_session_replica": (6390, "redis", None),
}
LISTENERS = {
    "public": ["*:80", "*:443"],
    "local_db_writer": ["127.0.0.1:3306"],
    "local_db_reader": ["127.0.0.1:3304"],
    "local_redis_cache_primary": ["127.0.0.1:6370"],
    "local_redis_cache_replica": ["127.0.0.1:6371"],
    "local_redis_session_primary": ["127.0.0.1:6372"],
    "local_redis_session_replica": ["127.0.0.1:6373"],
    "local_search": ["127.0.0.1:9200"],
}


@pytest.mark.parametrize("backend", BACKENDS)
def test_haproxy_asks_every_node_and_checks_it(backend: str, production: Environment) -> None:
    port, service, hold = BACKENDS[backend]
    assert service == BACKEND_SERVICES[backend]
    section = haproxy(production)[f"backend {backend}"]
    found = servers(section)
    nodes = found[: len(NODES)]
    assert [(words[1], words[2]) for words in nodes] == [(name, f"{ADDRESSES[name]}:{port}") for name in NODES]
    for words in nodes:
        text = " ".join(words)
        assert f"agent-check agent-port 9700 agent-inter 2s agent-addr {ADDRESSES[words[1]]}" in text
        assert f'agent-send "{service}\\n"' in text
    assert any(line.startswith("default-server check inter ") for line in section)
    assert any(line.startswith(("option httpchk", "option tcp-check")) for line in section)
    extra = found[len(NODES) :]
    if hold is None:
        assert extra == []
    else:
        assert [words[1:3] for words in extra] == [["hold", f"127.0.0.1:{hold}"]]
        # Nothing but a hold may lead to that of the web servers: without a server that is up, an answer is due at once.
        assert ("weight" if backend == "web" else "backup") in extra[0]
        assert f"use-server hold if !{{ srv_is_up(handover/{backend}) }}" in section


def test_haproxy_has_the_backends_of_the_contract_and_no_other(production: Environment) -> None:
    sections = haproxy(production)
    backends = {name.split()[1] for name in sections if name.startswith("backend ")}
    assert backends == {*BACKENDS, "handover"}
    listeners = {
        name.split()[1]: [line.split()[1] for line in lines if line.startswith("bind ")]
        for name, lines in sections.items()
        if name.startswith("frontend ")
    }
    assert listeners == LISTENERS


def test_haproxy_keeps_one_writer_that_all_proxies_agree_on(production: Environment) -> None:
    for node in NODES:
        sections = haproxy(production, node)
        writer = sections["backend db_writer"]
        assert any(re.fullmatch(r"stick-table type integer size \S+ nopurge peers trivet", line) for line in writer)
        assert "stick on int(1)" in writer
        assert "on-marked-down shutdown-sessions" in next(line for line in writer if line.startswith("default-server"))
        assert ["backup" in words for words in servers(writer)] == [False, True, True, True]
        assert "non-stick" in servers(writer)[-1]
        assert sections["peers trivet"] == [f"peer {name} {ADDRESSES[name]}:10000" for name in NODES]
        assert f"localpeer {node}" in sections["global"]


def test_haproxy_repeats_only_what_does_no_harm(production: Environment) -> None:
    sections = haproxy(production)
    never = "http-request disable-l7-retry unless { method GET HEAD OPTIONS }"
    assert never in sections["backend search"]
    keyed = "{ req.hdr(Idempotency-Key) -m found }"
    assert f"{never} || {keyed}" in sections["backend web"]
    # It can repeat only what it has whole.
    assert f"http-request wait-for-body time 10s if {keyed}" in sections["backend web"]


def test_haproxy_of_one_node(integration: Environment) -> None:
    sections = haproxy(integration)
    for backend, (port, _service, hold) in BACKENDS.items():
        found = [words[1:3] for words in servers(sections[f"backend {backend}"])]
        wanted = [["integration-1", f"203.0.113.11:{port}"]]
        assert found == wanted + ([["hold", f"127.0.0.1:{hold}"]] if hold else [])
    # A lone primary has no replica to wait for.
    assert not any("connected_slaves" in line for lines in sections.values() for line in lines)


def test_haproxy_uses_primaries_with_a_replica_only(production: Environment) -> None:
    for instance in ("cache", "session"):
        primary = haproxy(production)[f"backend redis_{instance}_primary"]
        assert "tcp-check expect min-recv 1 rstring connected_slaves:[1-9]" in primary


def test_haproxy_redirects_to_https_only_when_asked(production: Environment) -> None:
    redirect = "http-request redirect scheme https code 301 unless { ssl_fc }"
    assert redirect not in haproxy(production)["frontend public"]
    assert redirect in haproxy(production, haproxy_redirect_to_https=True)["frontend public"]


def test_the_certificate_is_readable_by_root_alone() -> None:
    folder = ROOT / "roles/haproxy/tasks"
    tasks = [
        task
        for name in ("certificate.yml", "share_certificate.yml")
        for task in yaml.safe_load((folder / name).read_text())
    ]
    written = [task["trivet.commerce.files"] for task in tasks if "trivet.commerce.files" in task]
    assert len(written) == 2
    assert all(file["mode"] == "0600" for files in written for file in files["files"])
    assert all(folder["mode"] == "0700" for files in written for folder in files["directories"])


# MariaDB

CNF = "/etc/mysql/mariadb.conf.d/90-trivet.cnf"
LIVE_CNF = "/etc/mysql/mariadb.conf.d/91-trivet-live.cnf"


@pytest.mark.parametrize(("number", "node"), [*enumerate(NODES, 1)])
def test_mariadb_of_a_member(number: int, node: str, production: Environment) -> None:
    settings = production.written("database", node)[CNF].settings
    address = ADDRESSES[node]
    assert settings["auto_increment_offset"] == str(number)
    assert settings["auto_increment_increment"] == "3"
    assert settings["wsrep_auto_increment_control"] == "OFF"
    assert settings["innodb_autoinc_lock_mode"] == "2"
    assert settings["binlog_format"] == "ROW"
    assert settings["bind_address"] == f"127.0.0.1,{address}"
    assert settings["port"] == "3307"
    assert settings["wsrep_on"] == "ON"
    assert settings["wsrep_node_name"] == node
    assert settings["wsrep_node_address"] == address
    assert settings["wsrep_cluster_name"] == "trivet-production"
    assert settings["wsrep_cluster_address"] == "gcomm://192.0.2.11,192.0.2.12,192.0.2.13"
    options = dict(item.split("=", 1) for item in settings["wsrep_provider_options"].strip('"').split(";"))
    assert options["gmcast.listen_addr"] == f"tcp://{address}:4567"
    assert options["gcache.recover"] == options["pc.recovery"] == "yes"


def test_mariadb_speaks_often_while_the_group_changes(production: Environment) -> None:
    def beats(**overrides: str) -> tuple[str, str, str]:
        line = production.written("database", **overrides)[CNF].settings["wsrep_provider_options"]
        options = dict(item.split("=", 1) for item in line.strip('"').split(";"))
        return (
            options["evs.keepalive_period"],
            options["evs.inactive_check_period"],
            options["evs.join_retrans_period"],
        )

    # Writes wait for these while a member joins or leaves.
    assert beats() == ("PT0.1S", "PT0.1S", "PT0.1S")
    own = {"database_keepalive_period": "PT0.4S", "database_join_retransmit_period": "PT0.6S"}
    assert beats(**own) == ("PT0.4S", "PT0.4S", "PT0.6S")


def test_mariadb_of_one_node_forms_its_own_cluster(integration: Environment) -> None:
    settings = integration.written("database")[CNF].settings
    assert settings["wsrep_cluster_address"] == "gcomm://"
    # As if there were three, so that a cluster that grows keeps the ids apart.
    assert settings["auto_increment_increment"] == "3"
    assert settings["wsrep_cluster_name"] == "trivet-integration"


@pytest.mark.parametrize(("cpus", "memory", "pool"), [(2, 3840, 960), (16, 30720, 7680)])
def test_mariadb_follows_the_size(cpus: int, memory: int, pool: int, sized: Callable[[int, int], Environment]) -> None:
    settings = sized(cpus, memory).written("database")[LIVE_CNF].settings
    assert settings["innodb_buffer_pool_size"] == str(pool * 2**20)
    assert settings["wsrep_slave_threads"] == str(max(4, cpus * 2))


# Redis


def redis_settings(environment: Environment, instance: str, node: str | None = None) -> dict[str, str]:
    files = environment.written("redis", node)
    lines = files[f"/etc/redis/trivet/{instance}.conf"].lines + files[f"/etc/redis/trivet/{instance}-live.conf"].lines
    return dict(line.split(" ", 1) for line in lines)


@pytest.mark.parametrize(
    ("instance", "port", "policy", "append_only"),
    [("cache", "6380", "allkeys-lru", "no"), ("session", "6390", "noeviction", "yes")],
)
@pytest.mark.parametrize("node", NODES)
def test_redis_instance(
    instance: str, port: str, policy: str, append_only: str, node: str, production: Environment
) -> None:
    settings = redis_settings(production, instance, node)
    assert settings["port"] == settings["replica-announce-port"] == port
    assert settings["bind"] == f"127.0.0.1 {ADDRESSES[node]}"
    assert settings["replica-announce-ip"] == ADDRESSES[node]
    assert settings["maxmemory-policy"] == policy
    assert settings["appendonly"] == append_only
    assert settings["requirepass"] == settings["masterauth"] == f'"{SECRETS["redis_password"]}"'


@pytest.mark.parametrize("instance", ["cache", "session"])
def test_redis_begins_with_one_primary(instance: str, production: Environment) -> None:
    path = f"/var/lib/redis/{instance}/redis.conf"
    owned = [production.written("redis", node)[path] for node in NODES]
    port = {"cache": 6380, "session": 6390}[instance]
    replica = [f"replicaof 192.0.2.11 {port}"]
    assert [file.lines for file in owned] == [[], replica, replica]
    # Sentinel changes it; a later run must not take that back.
    assert all(file.only_once and file.owner == "redis" and file.mode == "0600" for file in owned)


def test_sentinel_watches_both_instances_with_a_majority(production: Environment, integration: Environment) -> None:
    path = "/var/lib/redis/sentinel/sentinel.conf"
    assert production.written("redis")[path].only_once
    for environment, address, quorum in ((production, "192.0.2.11", 2), (integration, "203.0.113.11", 1)):
        for node in environment.nodes:
            lines = environment.written("redis", node)[path].lines
            assert f"sentinel monitor cache {address} 6380 {quorum}" in lines
            assert f"sentinel monitor session {address} 6390 {quorum}" in lines
            assert f"bind {environment.address(node)}" in lines


# Firewall

CLUSTER_PORTS = {3307, 4444, 4567, 4568, 6380, 6390, 9200, 9300, 24007, 26379, *range(49152, 49252)}
NODE_PORTS = CLUSTER_PORTS | {8080, 9700, 9701, 10000}


def ports(text: str) -> set[int]:
    """Ports of an nftables set or of one port."""
    found: set[int] = set()
    for part in text.strip("{} ").split(","):
        first, _dash, last = part.strip().partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found


def test_the_firewall_opens_only_what_the_contract_says(production: Environment) -> None:
    lines = production.written("base")["/etc/nftables.conf"].lines
    assert "type filter hook input priority filter; policy drop;" in lines
    assert "type filter hook forward priority filter; policy drop;" in lines
    assert "elements = { 192.0.2.11, 192.0.2.12, 192.0.2.13 }" in lines
    opened = [re.search(r"(.*?)\b(tcp|udp) dport (\{[^}]*\}|\d+) accept$", line) for line in lines]
    found = [(match[1].strip(), match[2], ports(match[3])) for match in opened if match]
    assert found == [
        ("", "tcp", {80, 443}),
        ("ip saddr @nodes", "tcp", NODE_PORTS),
        ("ip saddr @nodes", "udp", {4567}),
        ("ip saddr 0.0.0.0/0", "tcp", {22}),
    ]
    # What remains accepts no port: lo, the hand-over's mark, VRRP of the nodes, known connections, ICMP.
    others = [line for line in lines if "accept" in line and " dport " not in line]
    assert all(re.match(r'iif "lo"|meta mark|ip saddr @nodes|ct state established|icmp', line) for line in others)
    assert not {3304, 3306, *range(6370, 6374), 3305, 6368, 6369} & NODE_PORTS


def test_the_firewall_takes_ssh_from_the_admin_networks_only(production: Environment) -> None:
    files = production.written("base", trivet_admin_networks=["198.51.100.0/24", "2001:db8::/32"])
    lines = [line for line in files["/etc/nftables.conf"].lines if line.endswith("dport { 22 } accept")]
    assert lines == [
        "ip saddr 198.51.100.0/24 tcp dport { 22 } accept",
        "ip6 saddr 2001:db8::/32 tcp dport { 22 } accept",
    ]


def test_the_firewall_replaces_its_own_table_only(production: Environment) -> None:
    lines = production.written("base")["/etc/nftables.conf"].lines
    assert not any(line.startswith("flush") for line in lines)
    assert [line for line in lines if line.startswith("delete")] == ["delete table inet trivet"]


# keepalived


def instances(environment: Environment, node: str) -> list[dict[str, Any]]:
    """The gateway addresses as keepalived of the node has them."""
    text = "\n".join(environment.written("gateway", node)["/etc/keepalived/keepalived.conf"].lines)
    found = []
    for block in re.findall(r"^vrrp_instance .*?(?=^vrrp_instance |\Z)", text, re.MULTILINE | re.DOTALL):
        peers = re.search(r"unicast_peer \{(.*?)\}", block, re.DOTALL)
        address = re.search(r"virtual_ipaddress \{\s*(\S+)", block)
        router = re.search(r"virtual_router_id (\d+)", block)
        priority = re.search(r"priority (\d+)", block)
        assert peers and address and router and priority
        found.append(
            {
                "address": address[1],
                "router": int(router[1]),
                "priority": int(priority[1]),
                "peers": peers[1].split(),
                "nopreempt": "nopreempt" in block.split(),
                "settling": "settling" in block.split(),
            }
        )
    return found


def test_keepalived_gives_each_address_a_home_and_a_ring_of_successors(production: Environment) -> None:
    by_node = {node: instances(production, node) for node in NODES}
    for number, address in enumerate(["192.0.2.21/32", "192.0.2.22/32", "192.0.2.23/32"]):
        here = [by_node[node][number] for node in NODES]
        assert {entry["address"] for entry in here} == {address}
        assert len({entry["router"] for entry in here}) == 1
        ring = NODES[number:] + NODES[:number]
        assert sorted(NODES, key=lambda node: -by_node[node][number]["priority"]) == ring
        assert len({entry["priority"] for entry in here}) == 3
        # Only the home takes the address at once; the others wait until they have settled.
        assert [node for node in NODES if not by_node[node][number]["settling"]] == ring[:1]


@pytest.mark.parametrize("node", NODES)
def test_keepalived_of_a_node(node: str, production: Environment) -> None:
    found = instances(production, node)
    assert len({entry["router"] for entry in found}) == 3
    assert all(entry["nopreempt"] for entry in found)
    peers = [address for name, address in ADDRESSES.items() if name != node]
    assert all(entry["peers"] == peers for entry in found)
    lines = production.written("gateway", node)["/etc/keepalived/keepalived.conf"].lines
    assert lines.count(f"unicast_src_ip {ADDRESSES[node]}") == 3


def test_keepalived_repeats_itself_before_a_former_holder_forwards_no_more(production: Environment) -> None:
    lines = production.written("gateway", NODES[0])["/etc/keepalived/keepalived.conf"].lines
    delays = {line.split()[1] for line in lines if line.startswith("vrrp_garp_master_delay")}
    assert {float(delay) + 0.5 for delay in delays} == {ANNOUNCED_SECONDS}


def test_keepalived_of_one_node_tells_nobody(integration: Environment) -> None:
    assert [entry["peers"] for entry in instances(integration, "integration-1")] == [["127.0.0.1"]]


def test_keepalived_gives_the_sign_of_life_that_the_agents_look_for(production: Environment) -> None:
    text = production.written("gateway", NODES[0])["/etc/keepalived/keepalived.conf"].content
    script = re.search(r"vrrp_script alive \{\s+script \"/usr/bin/touch (\S+)\"\s+interval (\d+)", text)
    assert script and script[1] == str(KEEPALIVED_ALIVE)
    assert 3 * int(script[2]) < KEEPALIVED_SILENCE_SECONDS
    # A script that nobody tracks is never run.
    assert len(re.findall(r"track_script \{[^}]*\balive\b", text)) == 1


def test_every_node_has_all_gateway_addresses_on_lo(production: Environment) -> None:
    files = production.written("gateway", NODES[2])
    assert 'wanted="192.0.2.21 192.0.2.22 192.0.2.23"' in files["/usr/local/lib/trivet/gateway-addresses"].lines
    sysctl = files["/etc/sysctl.d/60-trivet-gateway.conf"].settings
    # Only the holder may answer ARP for an address that every node has.
    assert sysctl["net.ipv4.conf.all.arp_ignore"] == "1"
    assert sysctl["net.ipv4.conf.eth0.arp_announce"] == "2"


# PHP-FPM and nginx


@pytest.mark.parametrize(("cpus", "memory"), [(1, 1920), (2, 3840), (32, 61440)])
def test_php_fpm_follows_the_size(cpus: int, memory: int, sized: Callable[[int, int], Environment]) -> None:
    environment = sized(cpus, memory)
    node = environment.nodes[0]
    files = environment.written("php_fpm", node)
    pool = files["/etc/php/8.2/fpm/php-fpm.conf"].settings
    children = environment.value("php_fpm", node, "trivet_sizing.php_fpm_max_children")
    assert pool["pm.max_children"] == str(children)
    # PHP-FPM refuses to start otherwise.
    least, start, most = (int(pool[f"pm.{n}"]) for n in ("min_spare_servers", "start_servers", "max_spare_servers"))
    assert 1 <= least <= start <= most <= children
    opcache = environment.value("php_fpm", node, "trivet_sizing.opcache_mib")
    assert files["/etc/php/8.2/fpm/conf.d/99-trivet.ini"].settings["opcache.memory_consumption"] == str(opcache)


def test_php_fpm_runs_as_the_shop_and_only_nginx_may_talk_to_it(production: Environment) -> None:
    pool = production.written("php_fpm")["/etc/php/8.2/fpm/php-fpm.conf"].settings
    assert (pool["user"], pool["group"]) == ("store", "store")
    assert pool["listen"] == "/run/php/store.sock"
    assert (pool["listen.group"], pool["listen.mode"]) == ("www-data", "0660")


BLOG: dict[str, Any] = {
    "name": "blog",
    "user": "writer",
    "uid": 991,
    "gid": 992,
    "home": "/opt/blog",
    "document_root": "/opt/blog/public",
    "socket": "/run/php/blog.sock",
    "front_controller": "app",
    "entry_points": ["app", "up"],
    "health_page": "/up.php",
    "locations": [{"path": "/files/", "fallback": "/app.php"}],
    "denied": ["/files/private/"],
    "mounts": ["data/uploads"],
}


def test_another_application_leaves_nothing_of_the_demo_behind(production: Environment) -> None:
    own = {"trivet_application": BLOG, "trivet_domains": ["blog.example", "www.blog.example"]}
    roles = ["base", "agent", "files", "php_fpm", "nginx", "haproxy"]
    written = {dest: file for role in roles for dest, file in production.written(role, **own).items()}
    told = {
        dest: line for dest, file in written.items() for line in file.lines if re.search(r"\bstore\b|/srv/store", line)
    }
    assert told == {}
    assert written["/etc/sysusers.d/trivet.conf"].lines[-1].startswith("u writer 991:992 ")
    pool = written["/etc/php/8.2/fpm/php-fpm.conf"]
    assert "[blog]" in pool.lines and pool.settings["user"] == "writer"
    assert pool.settings["listen"] == "/run/php/blog.sock"
    nginx = written["/etc/nginx/nginx.conf"].lines
    assert {"server unix:/run/php/blog.sock;", "root /opt/blog/public;", "location /files/ {"} <= set(nginx)
    assert "location ~ ^/files/private/ { return 403; }" in nginx
    assert not any("/media/" in line or "/static/" in line for line in nginx)
    proxy = written["/etc/haproxy/haproxy.cfg"].content
    assert "GET uri /up.php ver HTTP/1.1 hdr Host blog.example" in proxy
    node = NodeConfig.from_mapping(json.loads(written["/etc/trivet/node.json"].content))
    assert (node.health_page, node.domain, node.log_directory) == ("/up.php", "blog.example", None)
    (first, second) = production.value("files", NODES[0], "__files_directories", **own)
    assert (first["path"], second["path"], second["owner"]) == (
        "/srv/shared/data",
        "/srv/shared/data/uploads",
        "writer",
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"user": None}, "lacks user"),
        ({"name": "My Shop"}, "simple name"),
        ({"uid": 0}, "a number above 0"),
        ({"health_page": "up.php"}, "no absolute path: up.php"),
        ({"locations": [{"path": "/a/", "fallback": "x; }"}]}, "no absolute path: x; }"),
        ({"entry_points": ["app", "../x"]}, "without .php"),
        ({"front_controller": "index"}, "none of the entry_points"),
        ({"mounts": ["../etc"]}, "relative to the shared volume"),
        ({"mounts": ["/etc"]}, "relative to the shared volume"),
        ({"secrets": ["blog_key"]}, "what trivet_application.secrets names: blog_key"),
    ],
)
def test_an_application_that_does_not_fit_is_refused(
    changes: dict[str, Any], words: str, production: Environment
) -> None:
    application = {name: value for name, value in {**BLOG, **changes}.items() if value is not None}
    problems = production.value("base", NODES[0], "__base_problems", trivet_application=application)
    assert any(words in problem for problem in problems), problems


def test_the_description_of_the_demo_and_that_of_the_test_are_whole(production: Environment) -> None:
    for own in ({}, {"trivet_application": BLOG}):
        problems = production.value("base", NODES[0], "__base_problems", **own)
        assert not any("trivet_application" in problem for problem in problems), problems


def test_nginx_executes_the_two_entry_points_and_no_other_file(production: Environment) -> None:
    text = production.written("nginx")["/etc/nginx/nginx.conf"].content
    locations = dict(re.findall(r"^ {8}location (.*?) \{(.*?)^ {8}\}", text, re.MULTILINE | re.DOTALL))
    to_php = [pattern for pattern, body in locations.items() if "fastcgi_pass" in body]
    assert to_php == [r"~ ^/(?:index|health_check)\.php$", "~ ^/fpm-(?:status|ping)$"]
    assert "$server_addr != 127.0.0.1" in locations["~ ^/fpm-(?:status|ping)$"]
    assert re.search(r"location ~\* \\\.php\(\?:/\|\$\) \{ return 404; \}", text)
    # The first pattern that matches wins: the entry points come before the refusal.
    assert text.index("(?:index|health_check)") < text.index(r"~* \.php")


@pytest.mark.parametrize("node", NODES)
def test_nginx_listens_on_the_node_and_believes_the_proxies_only(node: str, production: Environment) -> None:
    lines = production.written("nginx", node)["/etc/nginx/nginx.conf"].lines
    listening = [line.split()[1].rstrip(";") for line in lines if line.startswith("listen ")]
    assert listening == [f"{ADDRESSES[node]}:8080", "127.0.0.1:8080"]
    believed = [line.split()[1].rstrip(";") for line in lines if line.startswith("set_real_ip_from")]
    assert believed == ["127.0.0.1", *ADDRESSES.values()]


# Search


def search(environment: Environment, node: str | None = None, **overrides: Any) -> dict[str, Any]:
    engine = overrides.get("search_engine", "opensearch")
    loaded = yaml.safe_load(environment.written("search", node, **overrides)[f"/etc/{engine}/{engine}.yml"].content)
    assert isinstance(loaded, dict)
    return loaded


@pytest.mark.parametrize(
    ("engine", "setting"),
    [("opensearch", "cluster.initial_cluster_manager_nodes"), ("elasticsearch", "cluster.initial_master_nodes")],
)
@pytest.mark.parametrize("node", NODES)
def test_search_names_its_first_members_only_while_it_is_formed(
    engine: str, setting: str, node: str, production: Environment
) -> None:
    settings = search(production, node, search_engine=engine)
    # The list comes from a file in memory that only the first formation writes; empty is no setting at all.
    assert settings[setting] == "${TRIVET_INITIAL_NODES:}"
    unit = production.written("search", node, search_engine=engine)
    formation = f"/etc/systemd/system/{engine}.service.d/trivet.conf"
    assert "EnvironmentFile=-/run/trivet-search.env" in unit[formation].lines
    assert settings["discovery.seed_hosts"] == [f"{address}:9300" for address in ADDRESSES.values()]
    assert settings["gateway.recover_after_data_nodes"] == 2
    assert settings["network.host"] == ADDRESSES[node]
    assert settings["node.name"] == node


def test_search_of_one_node(integration: Environment) -> None:
    settings = search(integration)
    assert settings["discovery.type"] == "single-node"
    assert not [name for name in settings if "initial" in name or "seed" in name]


def test_search_without_its_kernel_limit_uses_no_mmap(production: Environment) -> None:
    assert search(production)["node.store.allow_mmap"] is True
    seen = {"stdout": "map_count 65530", "stdout_lines": ["map_count 65530"]}
    environment = {"__search_look": seen}
    assert search(production, **environment)["node.store.allow_mmap"] is False


# GlusterFS


@pytest.mark.parametrize("node", NODES)
def test_the_shared_volume_is_mounted_from_this_node_first(node: str, production: Environment) -> None:
    files = production.written("files", node)
    assert f"option transport.socket.bind-address {ADDRESSES[node]}" in files["/etc/glusterfs/glusterd.vol"].lines
    unit = files["/etc/systemd/system/trivet-shared.service"]
    asked = re.findall(r"--volfile-server=(\S+)", unit.content)
    assert asked[0] == ADDRESSES[node]
    assert sorted(asked) == sorted(ADDRESSES.values())
    wait = files["/usr/local/lib/trivet/glusterfs-wait-for-mount"]
    assert f"shared-client-{NODES.index(node)}/private" in wait.content
    assert "-ge 2 ]" in wait.content
    after = next(line for line in unit.lines if line.startswith("After="))
    assert "glusterd.service" in after
    assert unit.settings["Restart"] == "always"


def test_the_volume_refuses_writes_without_a_majority(production: Environment, integration: Environment) -> None:
    options = production.value("files", NODES[0], "__files_options")
    assert options["cluster.quorum-type"] == "auto"
    assert options["auth.allow"] == ",".join(ADDRESSES.values())
    assert "cluster.quorum-type" not in integration.value("files", "integration-1", "__files_options")


# Agent


@pytest.mark.parametrize("node", NODES)
def test_the_agent_knows_the_whole_environment(node: str, production: Environment) -> None:
    file = production.written("agent", node)["/etc/trivet/node.json"]
    assert (file.owner, file.mode) == ("root", "0600")
    known = json.loads(file.content)
    assert (known["name"], known["id"], known["address"]) == (node, NODES.index(node) + 1, ADDRESSES[node])
    assert [(peer["name"], peer["address"]) for peer in known["nodes"]] == list(ADDRESSES.items())
    assert known["gateways"] == ["192.0.2.21", "192.0.2.22", "192.0.2.23"]
    assert known["redis_password"] == SECRETS["redis_password"]


@pytest.mark.parametrize("node", NODES)
def test_the_agents_share_a_secret_that_only_root_can_read(node: str, production: Environment) -> None:
    file = production.written("agent", node)["/etc/trivet/heal.json"]
    assert (file.owner, file.mode) == ("root", "0600")
    settings = json.loads(file.content)
    assert settings["secret"] == SECRETS["agent_channel_secret"]
    assert Settings.from_mapping(settings) == Settings(SECRETS["agent_channel_secret"], 5.0, 60.0, Alerts())


def test_the_healer_is_watched_and_limited(production: Environment) -> None:
    unit = production.written("agent")["/etc/systemd/system/trivet-heal.service"].settings
    assert unit["ExecStart"] == "/usr/local/bin/trivet-agent heal"
    assert (unit["Type"], unit["WatchdogSec"], unit["MemoryMax"]) == ("notify", "60", "128M")
    assert unit["Restart"] == "always"
    # It must see the mount of the shared files come and go: no file system of its own.
    assert not {
        name for name in unit if name.startswith(("ProtectSystem", "PrivateTmp", "ProtectHome", "ReadWritePaths"))
    }


def test_only_service_nodes_heal(production: Environment, integration: Environment, scaled_out: Environment) -> None:
    assert all(production.value("agent", node, "__agent_heals") for node in NODES)
    assert integration.value("agent", "integration-1", "__agent_heals")
    assert not scaled_out.value("agent", "production-serving", "__agent_heals")
    assert not production.value("agent", NODES[0], "__agent_heals", agent_heal=False)


def test_a_node_says_whether_its_healer_should_run(production: Environment, scaled_out: Environment) -> None:
    """The verdict goes by it: where healing is switched off, or there is no healer, none is missed."""
    for environment, node, heals, settings in (
        (production, NODES[0], True, {}),
        (production, NODES[0], False, {"agent_heal": False}),
        (scaled_out, "production-serving", False, {}),
    ):
        file = environment.written("agent", node, **settings)["/etc/trivet/node.json"]
        assert json.loads(file.content)["heals"] is heals
        assert ("trivet-heal" in NodeConfig.from_mapping(json.loads(file.content)).units) is heals


# Web nodes

WEB_ADDRESSES = {
    f"production-{progress}": f"192.0.2.{30 + n}"
    for n, progress in enumerate(["joining", "entering", "serving", "draining", "leaving"], 1)
}
IN_SERVICE = ["production-draining", "production-entering", "production-serving"]
WEB_ROLES = ["base", "agent", "haproxy", "files", "store", "php_fpm", "nginx"]


def test_the_proxies_use_web_nodes_that_are_in_service_only(scaled_out: Environment) -> None:
    for node in NODES:
        sections = haproxy(scaled_out, node)
        assert [words[1] for words in servers(sections["backend web"])] == [*NODES, *IN_SERVICE, "hold"]
        assert {line.split()[1] for line in sections["peers trivet"]} == {*NODES, *IN_SERVICE}
        for backend in BACKENDS.keys() - {"web"}:
            assert {words[1] for words in servers(sections[f"backend {backend}"])} <= {*NODES, "hold"}


@pytest.mark.parametrize("node", ["production-serving", "production-joining"])
def test_the_proxy_of_a_web_node_has_the_local_frontends_and_no_other(node: str, scaled_out: Environment) -> None:
    sections, member = haproxy(scaled_out, node), haproxy(scaled_out)
    listeners = {
        name.split()[1]: [line.split()[1] for line in lines if line.startswith("bind ")]
        for name, lines in sections.items()
        if name.startswith("frontend ")
    }
    assert listeners == {name: binds for name, binds in LISTENERS.items() if name != "public"}
    assert "backend web" not in sections
    for backend in BACKENDS.keys() - {"web"}:
        assert sections[f"backend {backend}"] == member[f"backend {backend}"]
    switches = [words[1] for words in servers(member["backend handover"])]
    assert [words[1] for words in servers(sections["backend handover"])] == [name for name in switches if name != "web"]
    # HAProxy turns a peers section off that does not name itself.
    assert f"peer {node} {WEB_ADDRESSES[node]}:10000" in sections["peers trivet"]
    assert f"localpeer {node}" in sections["global"]


def firewall(environment: Environment, node: str) -> list[tuple[str, str, set[int]]]:
    lines = environment.written("base", node)["/etc/nftables.conf"].lines
    opened = [re.search(r"(.*?)\b(tcp|udp) dport (\{[^}]*\}|\d+) accept$", line) for line in lines]
    return [(match[1].strip(), match[2], ports(match[3])) for match in opened if match]


def test_web_nodes_reach_the_services_and_no_port_of_a_cluster(scaled_out: Environment) -> None:
    lines = scaled_out.written("base")["/etc/nftables.conf"].lines
    assert "elements = { 192.0.2.11, 192.0.2.12, 192.0.2.13 }" in lines
    allowed = [WEB_ADDRESSES[f"production-{state}"] for state in ("draining", "entering", "joining", "serving")]
    assert f"elements = {{ {', '.join(allowed)} }}" in lines
    opened = {source: found for source, _protocol, found in firewall(scaled_out, NODES[0])}
    clients = {3307, 6380, 6390, 9200, 9700, 10000, 24007, *range(49152, 49252)}
    assert opened["ip saddr @web"] == clients
    assert not clients & {4444, 4567, 4568, 9300, 26379, 8080}


def test_a_web_node_is_open_to_the_nodes_only(scaled_out: Environment) -> None:
    assert firewall(scaled_out, "production-serving") == [
        ("ip saddr @nodes", "tcp", {8080, 9700, 10000}),
        ("ip saddr @web", "tcp", {8080, 9700, 10000}),
        ("ip saddr 0.0.0.0/0", "tcp", {22}),
    ]
    lines = scaled_out.written("base", "production-serving")["/etc/nftables.conf"].lines
    assert not any("112" in line for line in lines), "no VRRP"


def test_an_environment_without_web_nodes_names_none(production: Environment) -> None:
    assert "@web" not in production.written("base")["/etc/nftables.conf"].content
    assert "web" not in production.value("files", NODES[0], "__files_options['auth.allow']")


def test_one_that_leaves_is_let_in_no_more(scaled_out: Environment) -> None:
    gone, others = (
        WEB_ADDRESSES["production-leaving"],
        set(WEB_ADDRESSES.values()) - {WEB_ADDRESSES["production-leaving"]},
    )
    names = scaled_out.written("base")["/etc/hosts"].lines
    assert not any(line.startswith(gone) for line in names)
    assert {line.split()[0] for line in names} >= others | set(ADDRESSES.values())
    allowed = set(scaled_out.value("files", NODES[0], "__files_options['auth.allow']").split(","))
    assert allowed == others | set(ADDRESSES.values())
    accounts = set(scaled_out.value("database", NODES[0], "__database_client_hosts"))
    assert accounts == others | set(ADDRESSES.values()) | {"localhost", "127.0.0.1"}


def test_a_web_node_mounts_the_volume_and_has_no_brick(scaled_out: Environment) -> None:
    files = scaled_out.written("files", "production-serving")
    assert set(files) == {
        "/etc/systemd/system/trivet-shared.service",
        "/usr/local/lib/trivet/glusterfs-wait-for-mount",
    }
    unit = files["/etc/systemd/system/trivet-shared.service"].content
    assert "glusterd.service" not in unit
    assert re.findall(r"--volfile-server=(\S+)", unit) == list(ADDRESSES.values())
    wait = files["/usr/local/lib/trivet/glusterfs-wait-for-mount"].content
    assert "$own" not in wait
    assert "-ge 2 ]" in wait
    assert scaled_out.value("files", "production-serving", "files_packages") == ["glusterfs-client"]
    assert "glusterfs-server" in scaled_out.value("files", NODES[0], "files_packages")


def test_the_agent_of_a_web_node_knows_the_members(scaled_out: Environment) -> None:
    config = json.loads(scaled_out.written("agent", "production-serving")["/etc/trivet/node.json"].content)
    assert (config["name"], config["id"], config["address"]) == ("production-serving", 13, "192.0.2.33")
    assert [node["name"] for node in config["nodes"]] == NODES
    # Web nodes come and go without a restart of the members' agents.
    member = json.loads(scaled_out.written("agent", NODES[0])["/etc/trivet/node.json"].content)
    assert [node["name"] for node in member["nodes"]] == NODES


def test_php_has_the_memory_of_a_web_node_to_itself(scaled_out: Environment) -> None:
    web = int(scaled_out.value("php_fpm", "production-serving", "php_fpm_max_children"))
    assert web > int(scaled_out.value("php_fpm", NODES[0], "php_fpm_max_children"))


@pytest.mark.parametrize("role", WEB_ROLES)
def test_a_web_node_gets_whole_files_without_secrets_for_everybody(role: str, scaled_out: Environment) -> None:
    files = scaled_out.written(role, "production-serving").values()
    assert [file.dest for file in files if "{{" in file.content or "{%" in file.content] == []
    readable = [file for file in files if int(file.mode, 8) & 0o007]
    assert [file.dest for file in readable for value in SECRETS.values() if value in file.content] == []


# Every fact once

MOVED: dict[str, Any] = {
    "nginx_port": 8181,
    "database_port": 3407,
    "redis_cache_port": 7380,
    "redis_session_port": 7390,
    "redis_sentinel_port": 27379,
    "search_http_port": 9210,
    "search_transport_port": 9310,
    "search_engine": "elasticsearch",
    "search_version": "8.15.0",
    "rabbitmq_enabled": True,
    "rabbitmq_port": 5772,
    "rabbitmq_virtual_host": "orders",
    "rabbitmq_user": "clerk",
    "files_volume": "pool",
    "files_mount": "/data/pool",
    "files_brick": "/data/bricks/pool/copy",
    "php_fpm_version": "8.4",
}
# 9200 and 5672 are also where the local HAProxy has search and RabbitMQ, which is fixed.
GONE = (
    "8080",
    "3307",
    "6380",
    "6390",
    "26379",
    "9300",
    "/srv/shared",
    "/srv/glusterfs",
    "opensearch",
    "php8.2",
    "php/8.2",
)


def test_every_setting_is_moved() -> None:
    assert MOVED.keys() == SETTINGS.keys()


@pytest.mark.parametrize("role", ROLES)
def test_nothing_of_a_setting_that_was_moved_is_left_in_a_file(role: str, production: Environment) -> None:
    files = production.written(role, search_package_files=[], **MOVED)
    left = [
        (file.dest, word, line)
        for file in files.values()
        for line in file.lines
        for word in GONE
        if re.search(rf"(?<![\w.]){re.escape(word)}(?!\w)", line)
    ]
    assert left == []


def test_the_agent_is_told_the_settings(production: Environment) -> None:
    text = production.written("agent", **MOVED)["/etc/trivet/node.json"].content
    assert NodeConfig.from_mapping(json.loads(text)).terms == terms_of(MOVED)
