# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemons accept what the roles write: each file's own `validate` command, run in a Debian root."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.templates.conftest import SECRETS, Environment, Written
from tests.templates.daemons import Daemons

CHECKED = {
    "base": {"/etc/nftables.conf"},
    "gateway": {
        "/etc/keepalived/keepalived.conf",
        "/usr/local/lib/trivet/gateway-addresses",
        "/usr/local/lib/trivet/gateway-settle",
    },
    "haproxy": {"/etc/haproxy/haproxy.cfg"},
    "database": {"/etc/mysql/mariadb.conf.d/90-trivet.cnf", "/etc/mysql/mariadb.conf.d/91-trivet-live.cnf"},
    "nginx": {"/etc/nginx/nginx.conf"},
    "php_fpm": {"/etc/php/8.2/fpm/php-fpm.conf"},
}
CERTIFICATE = (
    "mkdir -p /etc/haproxy/certs && cd /etc/haproxy/certs && openssl req -x509 -newkey ec -nodes -days 1 "
    "-pkeyopt ec_paramgen_curve:P-256 -subj /CN=shop.example -keyout key.pem -out public.pem 2>/dev/null && "
    "cat key.pem >> public.pem"
)
# They would wait for one another in several workers.
pytestmark = pytest.mark.xdist_group("daemons")
# What other roles bring to a node before: the pool user, folders that packages or systemd make at run time.
NODE = (
    "mkdir -p /run/haproxy /run/php /run/mysqld /run/trivet/gateway /srv/store/pub /etc/nftables.d && "
    "(id store >/dev/null 2>&1 || useradd --system --no-create-home store)"
)


@pytest.fixture(scope="session")
def prepared(daemons: Daemons) -> Daemons:
    with daemons.locked():
        result = daemons.check(f"{NODE} && {CERTIFICATE}", "192.0.2.11")
    assert result.returncode == 0, result.stderr
    return daemons


@pytest.fixture
def root(prepared: Daemons) -> Iterator[Daemons]:
    """The root, for one test alone."""
    with prepared.locked():
        yield prepared


def refusals(root: Daemons, files: dict[str, Written], address: str) -> dict[str, str]:
    """What the commands that check the files say, by file; nothing when they accept them."""
    root.write({name: file.content for name, file in files.items()})
    found = {}
    for name, file in files.items():
        if file.validate is not None:
            result = root.check(file.validate.replace("%s", name), address)
            if result.returncode != 0:
                found[name] = result.stdout[-2000:] + result.stderr[-2000:]
    return found


@pytest.mark.parametrize("role", CHECKED)
def test_the_daemon_accepts_the_configuration(
    role: str, root: Daemons, production: Environment, integration: Environment
) -> None:
    for environment in (production, integration):
        node = environment.nodes[0]
        files = environment.written(role, node)
        assert {name for name, file in files.items() if file.validate} == CHECKED[role]
        assert refusals(root, files, environment.address(node)) == {}


@pytest.mark.parametrize("node", ["production-1", "production-serving", "production-joining"])
@pytest.mark.parametrize("role", ["base", "haproxy", "nginx", "php_fpm"])
def test_the_daemon_accepts_web_nodes(role: str, node: str, root: Daemons, scaled_out: Environment) -> None:
    assert refusals(root, scaled_out.written(role, node), scaled_out.address(node)) == {}


@pytest.mark.parametrize(
    ("role", "name", "good", "bad"),
    [
        ("base", "/etc/nftables.conf", "policy drop", "policy dorp"),
        ("gateway", "/etc/keepalived/keepalived.conf", "virtual_router_id 51", "virtual_router_id 512"),
        ("haproxy", "/etc/haproxy/haproxy.cfg", "default_backend web", "default_backend wob"),
        ("database", "/etc/mysql/mariadb.conf.d/90-trivet.cnf", "skip_name_resolve", "skip_name_resolved"),
        ("nginx", "/etc/nginx/nginx.conf", "try_files", "try_flies"),
        ("php_fpm", "/etc/php/8.2/fpm/php-fpm.conf", "pm.max_children", "pm.max_childs"),
    ],
)
def test_the_daemon_refuses_a_mistake(
    role: str, name: str, good: str, bad: str, root: Daemons, production: Environment
) -> None:
    files = production.written(role)
    spoilt = Written(**{**vars(files[name]), "content": files[name].content.replace(good, bad)})
    assert spoilt.content != files[name].content
    assert list(refusals(root, {name: spoilt}, production.address(production.nodes[0]))) == [name]


def test_redis_and_sentinel_start_with_their_settings(root: Daemons, production: Environment) -> None:
    # Redis has no command that checks a configuration, so it is started; on node 1, which begins as the primary.
    files = production.written("redis")
    root.write({name: file.content for name, file in files.items()})
    etc, state = "/etc/redis/trivet", "/var/lib/redis"
    servers = [
        f"redis-server {state}/{name}/redis.conf --include {etc}/{name}.conf --include {etc}/{name}-live.conf"
        for name in ("cache", "session")
    ]
    servers.append(f"redis-sentinel {state}/sentinel/sentinel.conf")
    starts = " ".join(f'{server} --daemonize no & started="$started $!";' for server in servers)
    asked = {6380: "CONFIG GET maxmemory-policy", 6390: "CONFIG GET maxmemory-policy", 26379: "SENTINEL masters"}
    questions = "".join(
        f" until redis-cli -h 192.0.2.11 -p {port} {question}; do sleep 0.1; done;" for port, question in asked.items()
    )
    secret = SECRETS["redis_password"]
    command = f"{starts} export REDISCLI_AUTH={secret};{questions} kill $started; wait"
    result = root.check(command, production.address(production.nodes[0]))
    answers = result.stdout.splitlines()
    assert {"allkeys-lru", "noeviction"} <= set(answers), result.stdout + result.stderr
    # Sentinel lists its masters in the order of a hash that is seeded anew at each start.
    assert {answers[index + 1] for index, line in enumerate(answers) if line == "name"} == {"cache", "session"}
