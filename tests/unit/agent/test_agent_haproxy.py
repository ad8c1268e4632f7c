# SPDX-License-Identifier: GPL-3.0-or-later
"""What the agent reads from HAProxy, and which server it takes."""

from __future__ import annotations

import pytest

from trivet.node.errors import AgentError
from trivet.services.proxy.haproxy import Server, choose, entry_commands, parse_entry, parse_stat, real_servers, refused

STAT = """# pxname,svname,scur,status,weight,act,bck,sid,check_status,addr,lastchg
db_writer,one,3,UP,1,1,0,1,L7OK,10.0.0.1:3307,7
db_writer,two,0,DOWN 1/2,1,0,1,2,L4CON,10.0.0.2:3307,
db_writer,three,0,MAINT,0,0,1,3,,10.0.0.3:3307,
db_writer,hold,2,no check,1,0,1,4,,127.0.0.1:3305,

"""


def server(name: str, status: str = "UP", *, backup: bool = True, weight: int = 1) -> Server:
    return Server("db_writer", name, 1, status, backup, weight, 0, "10.0.0.1:3307", "")


def test_servers_are_read_in_order_and_the_hold_server_is_none_of_them() -> None:
    servers = real_servers(parse_stat(STAT), "db_writer")
    assert [item.name for item in servers] == ["one", "two", "three"]
    assert (servers[0].sessions, servers[0].unchanged_seconds) == (3, 7)
    assert servers[0].endpoint == ("10.0.0.1", 3307)
    assert [item.backup for item in servers] == [False, True, True]


def test_statistics_without_a_column_are_an_error() -> None:
    with pytest.raises(AgentError):
        parse_stat("# pxname,svname\nweb,one\n")


@pytest.mark.parametrize(
    ("status", "weight", "state"),
    [
        ("UP", 1, "UP"),
        ("UP 1/2", 1, "UP"),
        ("no check", 1, "UP"),
        ("UP", 0, "DRAIN"),
        ("DRAIN (agent)", 1, "DRAIN"),
        ("MAINT", 1, "MAINT"),
        ("MAINT (via a/b)", 1, "MAINT"),
        ("DOWN", 1, "DOWN"),
        ("DOWN 1/2", 1, "DOWN"),
        ("NOLB", 1, "DOWN"),
    ],
)
def test_state_of_a_server(status: str, weight: int, state: str) -> None:
    assert server("one", status, weight=weight).state == state


@pytest.mark.parametrize(
    ("table", "name"),
    [
        ("# table: db_writer, type: integer, size:1024, used:0\n", None),
        ("0x1: key=1 use=0 exp=0 server_id=2 server_key=two\n", "two"),
        ("0x1: key=1 use=0 exp=0 server_id=2 server_key=-\n", "two"),
        ("0x1: key=1 use=0 exp=0 server_id=9 server_key=-\n", None),
    ],
)
def test_entry_of_the_table(table: str, name: str | None) -> None:
    assert parse_entry(table, parse_stat(STAT)) == name


def test_an_entry_is_cleared_before_it_is_set() -> None:
    second = parse_stat(STAT)[1]
    assert entry_commands(second) == ("clear table db_writer", "set table db_writer key 1 data.server_id 2")


def test_connections_stick_even_to_a_drained_server() -> None:
    servers = [server("one", backup=False), server("two", weight=0)]
    assert choose(servers, "two") == servers[1]


def test_without_its_server_the_active_one_comes_before_the_backups_in_order() -> None:
    one, two, three = server("one", backup=False), server("two"), server("three")
    down = server("one", "DOWN", backup=False)
    assert choose([three, two, one], "gone") == one
    assert choose([down, two, three], "one") == two
    assert choose([down, server("two", weight=0), three]) == three
    assert choose([down, server("two", "MAINT"), server("three", "DRAIN (agent)")]) is None
    assert choose([]) is None


def test_any_answer_to_an_order_is_a_refusal() -> None:
    refused("x", "\n")
    with pytest.raises(AgentError, match="No such server"):
        refused("set server a/b state maint", "No such server.\n\n")
