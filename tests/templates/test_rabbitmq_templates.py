# SPDX-License-Identifier: GPL-3.0-or-later
"""What role rabbitmq writes, and what HAProxy does with it where the environment has it."""

from __future__ import annotations

import pytest

from tests.templates.conftest import SECRETS, Environment

CONF = "/etc/rabbitmq/rabbitmq.conf"
ENV = "/etc/rabbitmq/rabbitmq-env.conf"
LIVE = "/etc/rabbitmq/conf.d/90-trivet-live.conf"
COOKIE = "/var/lib/rabbitmq/.erlang.cookie"
ON = {"rabbitmq_enabled": True}


def test_a_broker_listens_on_the_node_s_own_address_alone(production: Environment) -> None:
    node = production.nodes[1]
    files = production.written("rabbitmq", node)
    assert files[CONF].settings["listeners.tcp.1"] == "192.0.2.12:5672"
    assert "DIST_PORT=25672" in files[ENV].lines
    assert 'SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {192,0,2,12}"' in files[ENV].lines
    listens = [line for line in files["/etc/systemd/system/epmd.socket.d/trivet.conf"].lines if "ListenStream" in line]
    assert listens == ["ListenStream=", "ListenStream=127.0.0.1:4369", "ListenStream=192.0.2.12:4369"]


def test_a_broker_is_called_as_its_node_is(production: Environment) -> None:
    lines = production.written("rabbitmq", production.nodes[2])[ENV].lines
    assert "NODENAME=rabbit@production-3" in lines
    assert not [line for line in lines if "LONGNAME" in line]


def test_a_minority_pauses_where_there_can_be_one(production: Environment, integration: Environment) -> None:
    assert production.written("rabbitmq")[CONF].settings["cluster_partition_handling"] == "pause_minority"
    assert integration.written("rabbitmq")[CONF].settings["cluster_partition_handling"] == "ignore"


def test_the_log_that_is_kept_in_memory_fits_into_the_limit(production: Environment) -> None:
    files = production.written("rabbitmq")
    limit = int(files[LIVE].settings["vm_memory_high_watermark.absolute"])
    assert limit == 256 * 2**20
    assert int(files[CONF].settings["raft.wal_max_size_bytes"]) == limit // 4


def test_only_the_broker_reads_its_secret(production: Environment) -> None:
    cookie = production.written("rabbitmq")[COOKIE]
    assert (cookie.owner, cookie.mode) == ("rabbitmq", "0400")
    assert cookie.content == SECRETS["rabbitmq_erlang_cookie"]


@pytest.mark.parametrize("plugin", ["rabbitmq_management", "rabbitmq_prometheus"])
def test_a_plugin_with_a_port_listens_on_127_0_0_1(plugin: str, production: Environment) -> None:
    files = production.written("rabbitmq", rabbitmq_plugins=[plugin])
    assert files["/etc/rabbitmq/enabled_plugins"].content == f"[{plugin}].\n"
    assert files[CONF].settings[f"{plugin.removeprefix('rabbitmq_')}.tcp.ip"] == "127.0.0.1"
    assert production.written("rabbitmq")["/etc/rabbitmq/enabled_plugins"].content == "[].\n"


def test_the_proxies_have_it_only_where_the_environment_has_it(production: Environment) -> None:
    path = "/etc/haproxy/haproxy.cfg"
    assert "rabbitmq" not in production.written("haproxy")[path].content
    lines = production.written("haproxy", **ON)[path].lines
    assert "bind 127.0.0.1:5672" in lines
    servers = [line.split()[:3] for line in lines if 'agent-send "rabbitmq' in line]
    assert servers == [["server", name, f"{production.address(name)}:5672"] for name in production.nodes]
