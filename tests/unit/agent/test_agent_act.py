# SPDX-License-Identifier: GPL-3.0-or-later
"""What the agent's acts order of systemd, GlusterFS, Redis and the search cluster."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from trivet.agent import act, pulse
from trivet.health.config import Member, NodeConfig
from trivet.health.external import Deadline
from trivet.health.facts import Flag
from trivet.node import command as node_command
from trivet.node.errors import AgentError
from trivet.node.repair import Question
from trivet.node.symptom import KILL, START, Remedy
from trivet.services.contract import Terms
from trivet.services.database.repair import BOOTSTRAP, SETTLE
from trivet.services.files import collect as files
from trivet.services.files import pulse as files_pulse
from trivet.services.files import repair as files_repair
from trivet.services.files.repair import RESTART_BRICK, START_BRICK
from trivet.services.gateway import repair as gateway
from trivet.services.proxy.haproxy import Server, parse_stat
from trivet.services.rabbitmq.repair import GROW, JOIN, TAKE_PART
from trivet.services.redis.repair import FOLLOW, FRESH_COPY
from trivet.services.search import command as search
from trivet.services.search.repair import ALLOW_ALLOCATION, RETRY_ALLOCATION

MEMBERS = tuple(Member(f"n{n}", n, f"127.0.0.{n}") for n in (1, 2, 3))
CONFIG = NodeConfig("test", "n1", 1, "127.0.0.1", "lo", MEMBERS)
UUID = "7d1a3c52-0a6e-11ef-9f3e-0242ac120002"


@pytest.fixture
def orders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The commands that were run."""
    made: list[str] = []

    def command(words: list[str], _seconds: float) -> subprocess.CompletedProcess[str]:
        made.append(" ".join(words))
        return subprocess.CompletedProcess(words, 0, "", "")

    (tmp_path / "wants").mkdir()
    (tmp_path / "wants" / "php8.2-fpm.service").touch()
    monkeypatch.setattr(act, "WANTED", tmp_path / "wants")
    monkeypatch.setattr(act, "INSTALLED", tmp_path / "installed")
    monkeypatch.setattr(act, "run_command", command)
    monkeypatch.setattr(node_command, "run_command", command)
    monkeypatch.setattr(files_repair, "gluster", lambda *words: made.append(f"gluster {' '.join(words)}"))
    return made


def perform(kind: str, *arguments: str, config: NodeConfig = CONFIG, data: dict[str, Any] | None = None) -> str:
    return act.perform(Remedy(kind, arguments), config, data or {})


def test_every_remedy_can_be_done() -> None:
    assert set(act.ACTS) == {
        START,
        KILL,
        START_BRICK,
        RESTART_BRICK,
        ALLOW_ALLOCATION,
        RETRY_ALLOCATION,
        JOIN,
        GROW,
        TAKE_PART,
        FOLLOW,
        FRESH_COPY,
        SETTLE,
        BOOTSTRAP,
    }


def test_a_start_is_ordered_and_not_waited_for(orders: list[str]) -> None:
    assert "mariadb.service" in perform(START, "mariadb")
    assert orders == ["systemctl reset-failed mariadb.service", "systemctl start --no-block mariadb.service"]


def test_a_unit_that_systemd_has_forgotten_is_started(orders: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    run = act.run_command  # type: ignore[attr-defined]

    def forgotten(words: list[str], seconds: float) -> subprocess.CompletedProcess[str]:
        if "reset-failed" in words:
            raise AgentError("Failed to reset failed state of unit nginx.service: Unit nginx.service not loaded.")
        return run(words, seconds)

    monkeypatch.setattr(act, "run_command", forgotten)
    perform(START, "nginx")
    assert orders == ["systemctl start --no-block nginx.service"]


def test_php_fpm_is_the_one_that_starts_with_the_machine(orders: list[str]) -> None:
    perform(START, "php-fpm")
    assert orders[-1] == "systemctl start --no-block php8.2-fpm.service"
    (act.WANTED / "php8.2-fpm.service").unlink()
    act.INSTALLED.mkdir()
    for version in ("8.2", "8.10", "8.9"):
        (act.INSTALLED / f"php{version}-fpm.service").touch()
    perform(START, "php-fpm")
    assert orders[-1] == "systemctl start --no-block php8.10-fpm.service", "disabled: the latest is meant"
    for unit in act.INSTALLED.iterdir():
        unit.unlink()
    with pytest.raises(AgentError, match="PHP-FPM"):
        perform(START, "php-fpm")


def test_what_hangs_is_killed_first(orders: list[str]) -> None:
    perform(KILL, "php-fpm", "nginx")
    assert orders == [
        "systemctl kill --signal=SIGKILL --kill-whom=all php8.2-fpm.service",
        "systemctl kill --signal=SIGKILL --kill-whom=all nginx.service",
        "systemctl restart --no-block php8.2-fpm.service nginx.service",
        "systemctl is-active --quiet php8.2-fpm.service nginx.service",
    ]


def test_the_bricks_outlive_the_management_daemon(orders: list[str]) -> None:
    perform(KILL, "glusterd")
    assert orders[0] == "systemctl kill --signal=SIGKILL --kill-whom=main glusterd.service"


def test_a_unit_that_does_not_come_back_is_told(orders: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    plain = act.run_command  # type: ignore[attr-defined]

    def command(words: list[str], seconds: float) -> subprocess.CompletedProcess[str]:
        if words[1] == "is-active":
            raise AgentError("inactive")
        return plain(words, seconds)

    monkeypatch.setattr(act, "run_command", command)
    monkeypatch.setattr(act, "SERVING_SECONDS", 0.1)
    monkeypatch.setattr(act, "POLL_SECONDS", 0.02)
    assert "not active yet" in perform(KILL, "mariadb")
    assert orders[-1] == "systemctl restart --no-block mariadb.service"


def test_a_position_is_recovered_and_bootstrapped_in_units_of_their_own(orders: list[str]) -> None:
    perform(SETTLE)
    perform(BOOTSTRAP, f"{UUID}:9")
    run = "systemd-run --wait --pipe --quiet --collect /usr/local/bin/trivet-agent galera"
    assert orders == [f"{run} settle", f"{run} bootstrap --position {UUID}:9"]


def test_missing_bricks_are_started(orders: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    perform(START_BRICK)
    assert orders == ["gluster volume start shared force"]
    monkeypatch.setattr(files, "RUN_DIRECTORY", tmp_path)
    (tmp_path / "vols" / "shared").mkdir(parents=True)
    # Its own process is no brick, and lives on.
    (tmp_path / "vols" / "shared" / "brick.pid").write_text(str(os.getpid()))
    perform(RESTART_BRICK)
    with subprocess.Popen(["bash", "-c", "exec -a /usr/sbin/glusterfsd sleep 60"]) as brick:
        for _ in range(200):
            if Path(f"/proc/{brick.pid}/cmdline").read_bytes().startswith(b"/usr/sbin/glusterfsd"):
                break
            threading.Event().wait(0.01)
        (tmp_path / "vols" / "shared" / "brick.pid").write_text(f"{brick.pid}\n")
        perform(RESTART_BRICK)
        assert brick.wait(5) == -signal.SIGKILL


def test_a_limit_that_somebody_owns_by_now_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    removed: list[str] = []
    monkeypatch.setattr(search, "allow_all", lambda _data: removed.append("all"))
    monkeypatch.setattr(search, "allocation", lambda _data: ("primaries", Flag(owner="alice", expires=9e9)))
    with pytest.raises(AgentError, match="alice"):
        perform(ALLOW_ALLOCATION)
    monkeypatch.setattr(search, "allocation", lambda _data: ("all", None))
    perform(ALLOW_ALLOCATION)
    assert removed == []
    monkeypatch.setattr(search, "allocation", lambda _data: ("primaries", None))
    assert "instead of primaries" in perform(ALLOW_ALLOCATION)
    assert removed == ["all"]


def test_exhausted_retries_are_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []
    monkeypatch.setattr(search, "request", lambda _data, method, path: asked.append((method, path)))
    perform(RETRY_ALLOCATION)
    assert asked == [("POST", "/_cluster/reroute?retry_failed=true&metric=none")]


class Redis:
    """A server that knows its role and notes what it is told."""

    def __init__(self, address: str, role: str, port: int = 0) -> None:
        self.role = role
        self.told: list[str] = []
        self._listener = socket.create_server((address, port))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                while data := connection.recv(4096):
                    words = data.decode().split("\r\n")[2::2]
                    self.told.append(" ".join(words).strip())
                    info = f"role:{self.role}\r\n"
                    reply = f"${len(info)}\r\n{info}\r\n" if words[0] == "INFO" else "+PONG\r\n"
                    connection.sendall(reply.encode())

    def close(self) -> None:
        self._listener.close()


def test_a_second_primary_follows_a_primary_only() -> None:
    own = Redis("127.0.0.1", "master")
    other = Redis("127.0.0.2", "slave", own.port)
    config = replace(CONFIG, terms=Terms({"redis_cache_port": own.port}))
    with pytest.raises(AgentError, match="no primary"):
        perform(FOLLOW, "cache", "127.0.0.2", config=config)
    assert own.told == []
    other.role = "master"
    assert perform(FOLLOW, "cache", "127.0.0.2", config=config) == "cache follows 127.0.0.2"
    assert own.told == [f"REPLICAOF 127.0.0.2 {own.port}", "CONFIG REWRITE"]
    own.close()
    other.close()


# ---------------------------------------------------------------- the cheap look


HEADER = "# pxname,svname,sid,status,bck,weight,scur,qcur,addr,last_chk,check_status,lastchg\n"
WELL = {
    ("web", "n1"): "UP",
    ("web", "n2"): "UP",
    ("db_writer", "n1"): "UP",
    ("db_writer", "hold"): "no check",
    ("search", "n1"): "UP",
    ("redis_cache_primary", "n1"): "UP",
    ("redis_cache_primary", "n2"): "DOWN",
    ("redis_cache_primary", "hold"): "no check",
    ("redis_cache_replica", "n1"): "DOWN",
    ("redis_session_primary", "n1"): "DOWN",
    ("redis_session_primary", "n2"): "UP",
    ("redis_session_replica", "n1"): "UP",
}
Servers = dict[tuple[str, str], str]


def seen(changed: Servers, weight: int = 1) -> list[Server]:
    rows = {**WELL, **changed}.items()
    return parse_stat(HEADER + "".join(f"{b},{s},1,{status},0,{weight},0,0,,,L7OK\n" for (b, s), status in rows))


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({}, ()),
        ({("db_writer", "n1"): "DOWN 1/2"}, ("db_writer",)),
        ({("db_writer", "n1"): "MAINT"}, ("db_writer",)),
        ({("web", "n1"): "DOWN", ("search", "n1"): "DOWN"}, ("web", "search")),
        ({("redis_session_replica", "n1"): "DOWN"}, ("redis-session",)),
        ({("redis_cache_primary", "n2"): "UP"}, ("redis-cache",)),
        ({("redis_cache_primary", "n1"): "DOWN"}, ("redis-cache",)),
    ],
)
def test_the_proxy_says_what_this_node_serves(changed: Servers, found: tuple[str, ...]) -> None:
    assert pulse.unserved(CONFIG, seen(changed)) == found
    assert pulse.unserved(CONFIG, seen(changed, weight=0)) == found, "drained is no fault"


def test_a_unit_without_a_process_is_named(tmp_path: Path) -> None:
    for unit, processes in (("nginx", "7\n"), ("haproxy", ""), ("php8.1-fpm", ""), ("php8.2-fpm", "8\n9\n")):
        (tmp_path / f"{unit}.service").mkdir()
        (tmp_path / f"{unit}.service" / "cgroup.procs").write_text(processes)
    units = ("nginx", "haproxy", "php-fpm", "keepalived")
    assert pulse.without_processes(units, (tmp_path / "none", tmp_path)) == ("haproxy", "keepalived")


def test_a_start_of_a_unit_is_seen_by_its_control_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pid_file = tmp_path / "glusterd.pid"
    pid_file.write_text("7")
    monkeypatch.setattr(pulse, "STARTED", (pid_file,))
    for unit in ("nginx", "php8.2-fpm"):
        (tmp_path / f"{unit}.service").mkdir()
    units = ("nginx", "php-fpm", "mariadb")
    first = pulse.runs(units, (tmp_path / "none", tmp_path))
    assert {Path(path).name for path in first} == {"glusterd.pid", "nginx.service", "php8.2-fpm.service"}
    assert pulse.runs(units, (tmp_path,)) == first
    (tmp_path / "nginx.service").rename(tmp_path / "old")
    (tmp_path / "nginx.service").mkdir()
    changed = {path for path, number in pulse.runs(units, (tmp_path,)).items() if first[path] != number}
    assert changed == {str(tmp_path / "nginx.service")}


def test_a_daemon_that_gives_no_sign_any_more_is_named(tmp_path: Path) -> None:
    sign = tmp_path / "keepalived.alive"
    assert gateway.silent_file("keepalived", sign, 10.0) == ()
    sign.touch()
    assert gateway.silent_file("keepalived", sign, 10.0) == ()
    long_ago = time.time() - 11
    os.utime(sign, (long_ago, long_ago))
    assert gateway.silent_file("keepalived", sign, 10.0) == ("keepalived",)


def test_files_that_wait_to_be_healed_are_seen_in_the_index_of_the_brick(tmp_path: Path) -> None:
    index = tmp_path / "xattrop"
    assert not files_pulse.heal_waits(index)
    index.mkdir()
    (index / "xattrop-2f0c0f1e-9f0b-4f0e-8d0e-000000000000").touch()
    assert not files_pulse.heal_waits(index)
    (index / "00000000-0000-0000-0000-000000000001").touch()
    assert files_pulse.heal_waits(index)


def test_what_does_not_answer_is_named_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = threading.Event()

    def hang() -> tuple[str, ...]:
        hanging.wait(5)
        return ()

    asked: dict[str, Question] = {
        "well": lambda: (),
        "hangs": hang,
        "fails": lambda: json.loads("no"),
        "says no": lambda: ("nginx", "brick"),
    }
    monkeypatch.setattr(pulse, "questions", lambda *_unused: asked)
    monkeypatch.setattr(pulse, "SECONDS", 0.3)
    assert pulse.silent(CONFIG) == ("brick", "fails", "hangs", "nginx")
    hanging.set()


def test_the_sentinel_is_asked_on_its_port() -> None:
    sentinel = Redis("127.0.0.1", "master")
    config = replace(CONFIG, terms=Terms({"redis_sentinel_port": sentinel.port}))
    assert pulse.questions(config, Deadline(2.0))["pulse of the Sentinel"]() == ()
    sentinel.close()
    alone = NodeConfig("test", "n1", 1, "127.0.0.1", "lo", MEMBERS[:1])
    assert "pulse of the Sentinel" not in pulse.questions(alone, Deadline(2.0))
