# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may be sent away when a service leaves its node, and who would be cut."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from trivet.node import clients
from trivet.node.clients import STAYS_SECONDS, Seen, Watch
from trivet.services.database import clients as database
from trivet.services.database.collect import facts_of
from trivet.services.database.facts import HUGE_ROWS, LONG_SECONDS, Client
from trivet.services.proxy.half_closed import left_by, sessions_of
from trivet.services.redis import clients as redis


def seen(number: int, *, free: bool = True, age: float = 0.0) -> Seen:
    return Seen(number=number, free=free, words=f"client {number}", age=age)


# --- the watch


class Watching(RuleBasedStateMachine):
    """Connections come, go, are busy and are free, while they are watched."""

    @initialize(first=st.lists(st.booleans(), max_size=5))
    def begin(self, first: list[bool]) -> None:
        self.now = 100.0
        self.busy = dict(enumerate(first))
        self.first = set(self.busy)
        self.ever_free = {number for number, busy in self.busy.items() if not busy}
        self.watch = Watch(self._look(), self.now)

    def _look(self) -> list[Seen]:
        return [seen(number, free=not busy) for number, busy in self.busy.items()]

    def _see(self) -> None:
        self.ever_free |= {number for number, busy in self.busy.items() if not busy}
        self.watch.see(self._look(), self.now)

    @rule(seconds=st.floats(0, 30))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self._see()

    @rule(busy=st.booleans())
    def one_comes(self, busy: bool) -> None:
        self.busy[max(self.busy, default=max(self.first, default=0)) + 1000] = busy
        self._see()

    @rule(data=st.data())
    def one_goes(self, data: st.DataObject) -> None:
        if self.busy:
            del self.busy[data.draw(st.sampled_from(sorted(self.busy)))]
            self._see()

    @rule(data=st.data(), busy=st.booleans())
    def one_changes(self, data: st.DataObject, busy: bool) -> None:
        if self.busy:
            self.busy[data.draw(st.sampled_from(sorted(self.busy)))] = busy
            self._see()

    @invariant()
    def only_those_of_the_begin_count(self) -> None:
        staying = {item.number for item in self.watch.staying}
        assert staying == self.first & set(self.busy)
        assert {item.number for item in self.watch.kept} == staying - self.ever_free

    @invariant()
    def it_is_over_when_all_that_stay_are_old_and_were_free(self) -> None:
        staying = self.first & set(self.busy)
        assert self.watch.over == (not staying or (staying <= self.ever_free and self.now - 100.0 >= STAYS_SECONDS))

    @invariant()
    def no_later_connection_may_be_closed(self) -> None:
        newest = clients.answer(self.watch)["newest"]
        assert isinstance(newest, int)
        assert newest in self.first or newest == 0


TestWatching = Watching.TestCase


def test_a_server_that_tells_ages_need_not_be_watched() -> None:
    assert Watch([seen(1, age=STAYS_SECONDS)], 0.0).over
    assert not Watch([seen(1, age=STAYS_SECONDS - 1)], 0.0).over
    assert not Watch([seen(1, free=False, age=3600)], 0.0).over


# --- closing


@dataclass
class Server:
    """Connections, each busy for so many looks, then free, until it is closed."""

    busy: dict[int, int]
    closed: list[int] = field(default_factory=list)

    def look(self) -> list[Seen]:
        self.busy = {number: max(0, left - 1) for number, left in self.busy.items()}
        return [seen(number, free=left == 0) for number, left in self.busy.items()]

    def end(self, numbers: Collection[int]) -> None:
        assert all(self.busy[number] == 0 for number in numbers)
        self.closed += numbers
        self.busy = {number: left for number, left in self.busy.items() if number not in numbers}


@given(st.dictionaries(st.integers(1, 20), st.integers(1, 4), max_size=8), st.integers(0, 20))
def test_each_is_closed_when_it_is_free_and_no_later_one(busy: dict[int, int], newest: int) -> None:
    server = Server(busy)
    older = {number for number in busy if number <= newest}
    answer = clients.close(server.look, server.end, newest, seconds=5.0, poll=0.0)
    assert set(server.closed) == older
    assert answer == {"closed": len(older), "left": []}


def test_who_is_busy_to_the_end_is_left_and_named() -> None:
    server = Server({1: 10**9, 2: 1})
    answer = clients.close(server.look, server.end, 5, seconds=0.0, poll=0.0)
    assert server.closed == [2]
    assert answer["left"] == ["client 1", "client 2"]


# --- the database


def client(**row: object) -> str:
    base = {"number": 7, "user": "shop", "host": "10.0.0.11:4711", "idle": 1, "seconds": 40.0, "statement": None}
    return f"trivet_client\t{json.dumps({**base, 'transaction': None, 'rows': None, **row})}"


def lock(kind: str, schema: str | None, table: str = "") -> str:
    values = {"number": 7, "kind": kind, "schema": schema, "table": table, "seconds": 33.0}
    return f"trivet_lock\t{json.dumps(values)}"


KEEPING = {
    "nothing": ([client()], "idle for 40 s", True),
    "a moment ago": ([client(seconds=0.2)], "idle for 0 s", False),
    "a transaction": (
        [client(transaction=45, rows=3), lock("Table metadata lock", "shop", "a")],
        "in a transaction with 3 changed rows for 45 s, idle for 40 s",
        False,
    ),
    "GET_LOCK": (
        [client(), lock("User lock", "cron")],
        "holds the lock «GET_LOCK cron» for 33 s, idle for 40 s",
        False,
    ),
    "LOCK TABLES": (
        [client(), lock("Table metadata lock", "shop", "a")],
        "holds the lock «table shop.a» for 33 s, idle for 40 s",
        False,
    ),
    "a statement": ([client(idle=0, statement="SELECT\n  SLEEP(90)")], "runs «SELECT SLEEP(90)» for 40 s", False),
}


@pytest.mark.parametrize("case", KEEPING)
def test_only_an_idle_client_that_keeps_nothing_is_free(case: str) -> None:
    lines, told, free = KEEPING[case]
    (found,) = database.read(["threads_running\t3", *lines])
    assert database.words(found, {"10.0.0.11": "node-1"}) == f"shop from node-1 (connection 7): {told}"
    assert database.is_free(found) == free


@pytest.mark.parametrize(
    ("host", "proxied"), [("10.0.0.11:4711", True), ("127.0.0.1:4711", False), ("localhost", False), ("", False)]
)
def test_a_client_of_the_socket_is_no_proxys(host: str, proxied: bool) -> None:
    assert database.comes_by_proxy(Client(number=1, host=host)) == proxied


def test_the_facts_tell_of_who_keeps_something_for_long_and_of_huge_transactions() -> None:
    long = Client(number=1, host="10.0.0.11:1", idle=True, transaction_seconds=LONG_SECONDS)
    idle = Client(number=2, host="10.0.0.11:2", idle=True, seconds=3600)
    huge = Client(number=3, host="localhost", transaction_seconds=2, rows=HUGE_ROWS)
    facts = facts_of({}, {}, "active", None, (long, idle, huge))
    assert facts.lasting == (long,)
    assert facts.huge == (huge,)


# --- Redis

LINE = "id=7 addr=10.0.0.11:4711 name= age=90 idle=5 flags=N db=0 sub=0 psub=0 multi=-1 qbuf=0 cmd=get"


@pytest.mark.parametrize(
    ("change", "free"),
    [
        ({}, True),
        ({"idle": "0"}, False),
        ({"flags": "b", "cmd": "blpop"}, False),
        ({"flags": "x", "multi": "2"}, False),
        ({"flags": "P", "cmd": "subscribe"}, False),
        ({"cmd": "watch"}, False),
        ({"watch": "1"}, False),
        ({"qbuf": "12"}, False),
    ],
)
def test_only_an_idle_client_of_redis_is_free(change: dict[str, str], free: bool) -> None:
    assert redis.is_free({**redis.read(LINE), **change}) == free


def test_a_client_of_redis_is_named() -> None:
    blocked = {**redis.read(LINE), "flags": "b", "cmd": "blpop"}
    assert redis.words(blocked, {"10.0.0.11": "node-1"}) == (
        "client from node-1 (connection 7): waits for a blocking command for 5 s, last command BLPOP"
    )
    assert not redis.is_customer({**redis.read(LINE), "name": "sentinel-1-cmd"})


# --- half-closed sessions, as HAProxy 2.6.12 and the kernel told of them

SOCKETS = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
  25: 0100007F:84C7 0100007F:9488 01 00000000:00000000 00:00000000 00000000     0        0 7272784 1 0 20 0 0 10 -1
  27: 0100007F:947A 0100007F:84C7 08 00000000:00000000 00:00000000 00000000     0        0 7272783 1 0 20 4 0 11 -1
  28: 0100007F:9488 0100007F:84C7 01 00000000:00000000 00:00000000 00000000     0        0 7272788 2 0 20 0 0 10 -1
  29: 0100007F:947C 0100007F:0016 08 00000000:00000000 00:00000000 00000000     0        0 7272789 2 0 20 0 0 10 -1
"""
SESSIONS = """\
0x55556b8a03c0: [30/Nov/2026:22:50:12.850476] id=0 proto=tcpv4 source=127.0.0.1:36366
  frontend=fe (id=2 mode=tcp), listener=? (id=1) addr=127.0.0.1:33990
  backend=db_writer (id=3 mode=tcp) addr=127.0.0.1:38010
  server=node-1 (id=1) addr=127.0.0.1:33991
0x7f7b30039d90: [30/Nov/2026:22:50:12.850476] id=1 proto=tcpv4 source=127.0.0.1:36376
  frontend=fe (id=2 mode=tcp), listener=? (id=1) addr=127.0.0.1:33990
  backend=db_writer (id=3 mode=tcp) addr=127.0.0.1:38024
  server=node-1 (id=1) addr=127.0.0.1:33991
0x555587a68410: [30/Nov/2026:22:49:59.660256] id=2 proto=unix_stream source=unix:1
  backend=<NONE> (id=-1 mode=-)
"""


def test_a_session_that_its_server_has_left_is_found() -> None:
    ends = left_by(SOCKETS, {("127.0.0.1", 33991)})
    assert ends == {"127.0.0.1:38010"}
    assert sessions_of(SESSIONS, {"db_writer"}, ends) == ["0x55556b8a03c0"]
    assert sessions_of(SESSIONS, {"db_reader"}, ends) == []
