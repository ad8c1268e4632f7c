# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases of held backends, and the state that a reload keeps."""

from __future__ import annotations

import argparse
import socket

import pytest

from trivet.node.errors import AgentError
from trivet.services.proxy import command as proxy
from trivet.services.proxy.command import configured_places, release, settle, still_true
from trivet.services.proxy.haproxy import DRAINED_ANSWER, TAKING_ANSWER, Runtime, Server

HEADER = "# pxname,svname,scur,status,weight,bck,sid,check_status,addr,lastchg\n"


class FakeRuntime(Runtime):
    """HAProxy with three servers in every backend."""

    def __init__(self, entry: str, up: tuple[str, ...] = ("one", "two", "three")) -> None:
        super().__init__()
        self.entry = entry
        self.up = up
        self.weights = dict.fromkeys(("one", "two", "three"), 1)
        self.orders: list[str] = []

    def ask(self, command: str) -> str:
        if command.startswith("show stat"):
            backend = command.split()[2].replace("-1", "web")
            return HEADER + "".join(
                f"{backend},{name},0,{'UP' if name in self.up else 'DOWN'},{weight},0,{number},,10.0.0.{number}:1\n"
                for number, (name, weight) in enumerate(self.weights.items(), 1)
            )
        if command.startswith("show table"):
            return f"0x1: key=1 server_id=0 server_key={self.entry}\n" if self.entry else ""
        self.orders.append(command)
        return "\n"


def test_the_writer_leaves_a_server_that_is_taken_out() -> None:
    runtime = FakeRuntime("one")
    release(runtime, "db_writer", ["two", "three"], ["one"])
    assert runtime.orders == [
        "set server db_writer/one state maint",
        "set server db_writer/two state ready",
        "set server db_writer/three state ready",
        "clear table db_writer",
        "set table db_writer key 1 data.server_id 2",
        "set server handover/db_writer state ready",
    ]


def test_the_writer_stays_where_it_can() -> None:
    runtime = FakeRuntime("three")
    answer = release(runtime, "db_writer", ["one", "two", "three"], [])
    assert not any("table" in order for order in runtime.orders)
    assert answer == {"backend": "db_writer", "held": False, "settled": True, "writer": "three"}


def test_the_writer_moves_to_the_first_that_is_up() -> None:
    runtime = FakeRuntime("one", up=("three",))
    release(runtime, "db_writer", ["two", "three"], [])
    assert "set table db_writer key 1 data.server_id 3" in runtime.orders


def test_haproxy_is_told_the_new_primary_and_the_others_lose_it_first() -> None:
    runtime = FakeRuntime("", up=("two",))
    answer = release(runtime, "redis_session_primary", ["two"], [])
    assert answer["settled"]
    assert runtime.orders == [
        "set server redis_session_primary/two state ready",
        "set server redis_session_primary/one health down",
        "set server redis_session_primary/three health down",
        "set server redis_session_primary/two health up",
        "set server handover/redis_session_primary state ready",
    ]


def test_without_a_new_primary_the_checks_decide() -> None:
    runtime = FakeRuntime("", up=("one",))
    release(runtime, "redis_session_primary", ["one", "two", "three"], [])
    assert not any("health" in order for order in runtime.orders)


@pytest.mark.parametrize(("ready", "maint"), [(["four"], []), (["one"], ["five"]), ([], ["one"]), (["one"], ["one"])])
def test_a_release_that_makes_no_sense_changes_nothing(ready: list[str], maint: list[str]) -> None:
    runtime = FakeRuntime("one")
    with pytest.raises(AgentError):
        release(runtime, "db_writer", ready, maint)
    assert runtime.orders == []


def test_a_redis_backend_settles_when_one_server_alone_is_the_primary() -> None:
    def seen(*up: str) -> list[Server]:
        return [
            Server("redis_cache_primary", name, 1, "UP" if name in up else "DOWN", False, 1, 0, "10.0.0.1:1", "")
            for name in ("one", "two", "three")
        ]

    views = [seen("one"), seen("one", "two"), seen("two")]
    assert settle(lambda: views.pop(0), "redis_cache_primary", ["two"])
    assert views == []
    assert not settle(lambda: seen("one", "two"), "redis_cache_primary", ["two"], seconds=0.06)
    assert settle(lambda: seen("one", "two"), "db_writer", ["two"])


CONFIGURATION = """
frontend public
  bind *:80
backend web
  server one 10.0.0.1:8080 check
  server two 10.0.0.2:8081
"""
STATE = """1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_port srv_agent_addr srv_agent_port
3 web 1 one 10.0.0.1 0 8080 10.0.0.1 9700
3 web 2 two 10.0.0.2 2 8080 10.0.0.2 9700
3 web 3 three 10.0.0.3 2 8080 10.0.0.3 9700
"""


def test_only_servers_that_stay_where_they_are_keep_their_state() -> None:
    places = configured_places(CONFIGURATION)
    assert places == {("web", "one"): "10.0.0.1:8080", ("web", "two"): "10.0.0.2:8081"}
    kept = still_true(STATE, places).splitlines()
    assert kept[:2] == STATE.splitlines()[:2]
    assert [line.split()[:7] for line in kept[2:]] == [["3", "web", "1", "one", "10.0.0.1", "0", "8080"]]


def server(backend: str, *, weight: int = 100, sessions: int = 0, status: str = "UP") -> Server:
    return Server(backend, "one", 1, status, False, weight, sessions, "10.0.0.1:1", "")


def test_a_server_is_used_when_it_gets_work_in_every_backend_asked_for() -> None:
    servers = [server("web"), server("db_reader"), server("redis_cache_primary", status="DOWN")]
    assert proxy.not_used(servers, ["web", "db_reader"]) == ""
    assert proxy.not_used(servers, ["web", "search"]) == "search missing"
    assert proxy.not_used([server("web", weight=0)], ["web"]) == "web DRAIN"


def test_a_server_is_idle_when_it_gets_no_work_and_has_none() -> None:
    drained = [server("web", weight=0), server("redis_cache_primary", weight=0, sessions=3)]
    assert proxy.not_idle(drained, ["web"]) == ""
    assert proxy.not_idle([server("web", weight=0, sessions=1)], ["web"]) == "web: 1 sessions"
    assert proxy.not_idle([server("web", weight=0), server("search")], ["web"]) == "search UP"


def test_a_wait_ends_with_the_reason_when_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "Runtime", lambda: FakeRuntime("", up=("one",)))
    arguments = {"server": "two", "used_in": ("web",), "idle_in": None, "timeout": 0.0}
    assert proxy.run_wait(argparse.Namespace(**arguments), {}) == {"done": False, "why": "web DOWN"}
    assert proxy.run_wait(argparse.Namespace(**{**arguments, "server": "one"}), {}) == {"done": True, "why": ""}


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> FakeRuntime:
    fake = FakeRuntime("", up=("one", "two"))
    monkeypatch.setattr(proxy, "Runtime", lambda: fake)
    monkeypatch.setattr(proxy, "WAIT_POLL_SECONDS", 0.01)
    return fake


def wait_idle(server: str) -> dict[str, object]:
    arguments = {"server": server, "used_in": None, "idle_in": ("web",), "timeout": 0.1}
    return proxy.run_wait(argparse.Namespace(**arguments), {})


def test_a_server_that_is_to_be_idle_gets_nothing_new_at_once(
    monkeypatch: pytest.MonkeyPatch, runtime: FakeRuntime
) -> None:
    asked: list[tuple[str, str]] = []

    def drained(question: str, address: str) -> str:
        asked.append((question, address))
        return DRAINED_ANSWER

    monkeypatch.setattr(proxy, "agent_answer", drained)
    assert wait_idle("two") == {"done": False, "why": "web UP"}
    # Once, however long it waits: an undrain meanwhile would be overruled.
    assert runtime.orders == ["set server web/two weight 0%"]
    assert asked == [("web", "10.0.0.2")]
    runtime.weights["two"] = 0
    assert wait_idle("two") == {"done": True, "why": ""}
    wait_idle("three")
    proxy.run_wait(argparse.Namespace(server="one", used_in=("web",), idle_in=None, timeout=0.1), {})
    assert len(runtime.orders) == 1


@pytest.mark.parametrize("said", [None, "", TAKING_ANSWER])
def test_a_server_whose_agent_does_not_confirm_the_drain_is_left_in_use(
    said: str | None, monkeypatch: pytest.MonkeyPatch, runtime: FakeRuntime
) -> None:
    monkeypatch.setattr(proxy, "agent_answer", lambda *_: said)
    assert wait_idle("two") == {"done": False, "why": "web UP"}
    assert runtime.orders == []


def test_an_agent_that_does_not_run_gives_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        monkeypatch.setattr(proxy, "CHECK_PORT", free.getsockname()[1])
    assert proxy.agent_answer("web", "127.0.0.1") is None
    assert proxy.ask_agent("held") is None
