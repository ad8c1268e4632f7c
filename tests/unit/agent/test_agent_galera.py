# SPDX-License-Identifier: GPL-3.0-or-later
"""This node's part in forming a primary component: files are real, MariaDB and systemd a small model."""

from __future__ import annotations

import argparse
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from trivet.health.config import NodeConfig
from trivet.node.errors import AgentError
from trivet.services.database import collect as database
from trivet.services.database import command as galera
from trivet.services.database.election import MemberReport
from trivet.services.database.facts import DatabaseFacts

UUID = "7d1a3c52-0a6e-11ef-9f3e-0242ac120002"
OTHER_UUID = "8e2b4d63-0a6e-11ef-9f3e-0242ac120002"
CONFIG = NodeConfig.from_mapping(
    {
        "environment": "test",
        "id": 1,
        "name": "n1",
        "address": "10.0.0.1",
        "interface": "eth0",
        "nodes": [{"name": f"n{n}", "id": n, "address": f"10.0.0.{n}"} for n in (1, 2, 3)],
    }
)


class World:
    """A data directory, and the server that it belongs to."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "mysql"
        self.data.mkdir()
        for name in ("ibdata1", "ib_logfile0"):
            (self.data / name).write_bytes(b"InnoDB")
        (self.data / "store").mkdir()
        (self.data / "mysql").mkdir()
        self.unit = "inactive"
        self.values: dict[str, str] = {}
        self.transfer: str | None = None
        self.innodb = f"{UUID}:41"
        self.elsewhere: set[str] = set()
        self.deaf = False
        self.commands: list[str] = []
        self.save(f"uuid:    {UUID}", "seqno:   -1", "safe_to_bootstrap: 0")

    def save(self, *lines: str) -> None:
        (self.data / "grastate.dat").write_text("\n".join(("# GALERA saved state", "version: 2.1", *lines, "")))

    @property
    def saved(self) -> dict[str, str]:
        return database.saved_state(self.data / "grastate.dat")

    def collect(self, *_unused: object) -> DatabaseFacts:
        running = self.unit in ("active", "activating")
        error = None if self.values else "no server"
        saved = {**self.saved, "seqno": "-1"} if running else self.saved
        return database.facts_of(self.values, saved, self.unit, self.transfer, error=error)

    def command(self, words: list[str], _seconds: float) -> subprocess.CompletedProcess[str]:
        self.commands.append(" ".join(words))
        told = ""
        if words[:2] == ["systemctl", "kill"] or (words[:2] == ["systemctl", "stop"] and not self.deaf):
            self.unit, self.values = "inactive", {}
        elif words[0] == "mariadbd":
            told = f"2026-01-01  0:00:00 0 [Note] WSREP: Recovered position: {self.innodb}\n"
        elif words == ["galera_new_cluster"]:
            if self.saved.get("safe_to_bootstrap") != "1":
                raise AgentError("galera_new_cluster: It may not be safe to bootstrap the cluster from this node")
            self.unit = "active"
            self.values = {"wsrep_on": "ON", "wsrep_cluster_status": "Primary"}
        return subprocess.CompletedProcess(words, 0, "", told)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path)
    monkeypatch.setattr(galera, "MARIADB_DIRECTORY", made.data)
    monkeypatch.setattr(galera, "POSITION_FILE", tmp_path / "run" / "position.json")
    monkeypatch.setattr(database, "collect", made.collect)
    monkeypatch.setattr(galera, "run_command", made.command)
    monkeypatch.setattr(galera, "server_runs", lambda: made.unit in ("active", "activating"))
    monkeypatch.setattr(galera, "listens", lambda address: address in made.elsewhere)
    return made


def test_a_clean_stop_tells_its_position(world: World) -> None:
    world.save(f"uuid:    {UUID}", "seqno:   41", "safe_to_bootstrap: 1")
    said = galera.report(CONFIG)
    assert (said.position, said.source, said.safe_to_bootstrap) == (f"{UUID}:41", "saved", True)
    assert said.databases == ("store",)
    assert galera.settle(CONFIG) == said
    assert world.commands == []


def test_after_a_crash_innodb_is_asked_once(world: World) -> None:
    assert galera.report(CONFIG).position is None
    assert (galera.settle(CONFIG).position, galera.report(CONFIG).source) == (f"{UUID}:41", "recovered")
    galera.settle(CONFIG)
    assert [words.split()[0] for words in world.commands] == ["mariadbd"]


def test_a_recovered_position_is_forgotten_when_a_server_ran_since(world: World) -> None:
    galera.settle(CONFIG)
    (world.data / "ib_logfile0").write_bytes(b"written by a server")
    assert galera.report(CONFIG).position is None


def test_a_damaged_state_file_is_made_good_by_innodb(world: World) -> None:
    (world.data / "grastate.dat").write_bytes(b"\0\xff\0")
    assert galera.settle(CONFIG).position == f"{UUID}:41"


def test_two_histories_on_one_disk_are_unreadable(world: World) -> None:
    world.innodb = f"{OTHER_UUID}:41"
    said = galera.settle(CONFIG)
    assert said.position is None
    assert said.unreadable and OTHER_UUID in said.unreadable


def test_data_without_a_position_is_unreadable(world: World) -> None:
    (world.data / "grastate.dat").unlink()
    world.innodb = "00000000-0000-0000-0000-000000000000:-1"
    assert "no position" in (galera.settle(CONFIG).unreadable or "")


def test_a_server_that_waits_for_its_cluster_is_stopped_for_its_position(world: World) -> None:
    world.unit = "activating"
    assert galera.settle(CONFIG).position == f"{UUID}:41"
    assert world.commands[:2] == ["systemctl stop --no-block mariadb.service", "systemctl stop mariadb.service"]


@pytest.mark.parametrize(("listens", "transfer"), [(True, False), (False, False), (True, True)])
def test_only_one_that_waits_and_does_not_end_is_killed(
    world: World, monkeypatch: pytest.MonkeyPatch, listens: bool, transfer: bool
) -> None:
    monkeypatch.setattr(galera, "WAITING_SECONDS", 0.0)
    monkeypatch.setattr(galera, "STOP_POLL_SECONDS", 0.01)
    monkeypatch.setattr(galera, "STOP_SECONDS", 0.1)
    world.unit, world.deaf = "activating", True
    world.elsewhere = {"10.0.0.1"} if listens else set()
    killed = listens and not transfer

    def found_its_cluster(_address: str) -> bool:
        world.transfer = "wsrep_sst_mariabackup" if transfer else None
        return listens

    monkeypatch.setattr(galera, "listens", found_its_cluster)
    if killed:
        assert galera.settle(CONFIG).position == f"{UUID}:41"
    else:
        with pytest.raises(AgentError, match="a server still runs"):
            galera.settle(CONFIG)
    assert [words for words in world.commands if " kill " in words] == (
        ["systemctl kill --signal=KILL mariadb.service"] if killed else []
    )


def test_a_server_that_answers_is_never_killed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(galera, "WAITING_SECONDS", 0.0)
    monkeypatch.setattr(galera, "STOP_POLL_SECONDS", 0.01)
    monkeypatch.setattr(galera, "STOP_SECONDS", 0.1)
    world.unit, world.deaf, world.elsewhere = "active", True, {"10.0.0.1"}
    world.values = {"wsrep_on": "ON", "wsrep_cluster_status": "non-Primary"}
    with pytest.raises(AgentError, match="a server still runs"):
        galera.settle(CONFIG)
    assert not [words for words in world.commands if " kill " in words]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"unit": "active", "values": {"wsrep_on": "ON", "wsrep_cluster_status": "Primary"}}, "primary component"),
        ({"unit": "activating", "transfer": "wsrep_sst_mariabackup"}, "state transfer"),
        ({"unit": "active"}, "does not answer"),
    ],
)
def test_what_may_be_part_of_a_cluster_is_not_stopped(world: World, changes: dict[str, Any], words: str) -> None:
    for name, value in changes.items():
        setattr(world, name, value)
    with pytest.raises(AgentError, match=words):
        galera.settle(CONFIG)
    assert world.commands == []


def test_the_elected_position_is_bootstrapped_and_nothing_is_left_behind(world: World) -> None:
    galera.settle(CONFIG)
    assert galera.bootstrap(CONFIG, f"{UUID}:41").primary
    assert world.commands[-2:] == ["galera_new_cluster", "systemctl unset-environment _WSREP_NEW_CLUSTER"]
    assert world.saved["uuid"] == UUID


def test_a_damaged_state_file_does_not_stop_the_elected(world: World) -> None:
    (world.data / "grastate.dat").write_bytes(b"\0\xff\0")
    galera.settle(CONFIG)
    assert galera.bootstrap(CONFIG, f"{UUID}:41").primary
    assert world.saved == {"version": "2.1", "uuid": UUID, "seqno": "-1", "safe_to_bootstrap": "1"}


@pytest.mark.parametrize(
    ("position", "changes", "words"),
    [
        (f"{UUID}:42", {}, "not at"),
        (f"{OTHER_UUID}:41", {}, "not at"),
        (f"{UUID}:41", {"unit": "activating"}, "a server runs"),
        (f"{UUID}:41", {"elsewhere": {"10.0.0.3"}}, "MariaDB runs on n3"),
    ],
)
def test_nothing_else_is_bootstrapped(world: World, position: str, changes: dict[str, Any], words: str) -> None:
    galera.settle(CONFIG)
    world.commands.clear()
    for name, value in changes.items():
        setattr(world, name, value)
    with pytest.raises(AgentError, match=words):
        galera.bootstrap(CONFIG, position)
    assert world.commands == []
    assert world.saved["safe_to_bootstrap"] == "0"


def test_an_interrupted_bootstrap_leaves_no_order_to_bootstrap(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    galera.settle(CONFIG)
    plain = world.command

    def interrupted(words: list[str], seconds: float) -> subprocess.CompletedProcess[str]:
        if words == ["galera_new_cluster"]:
            raise KeyboardInterrupt
        return plain(words, seconds)

    monkeypatch.setattr(galera, "run_command", interrupted)
    with pytest.raises(KeyboardInterrupt):
        galera.bootstrap(CONFIG, f"{UUID}:41")
    assert world.commands[-1] == "systemctl unset-environment _WSREP_NEW_CLUSTER"


def test_an_election_can_be_asked_for(world: World) -> None:
    del world
    reports = {
        f"n{n}": replace(MemberReport(node=f"n{n}"), unit="inactive", uuid=UUID, seqno=n).to_dict() for n in (1, 2, 3)
    }
    config = {
        "environment": "test",
        "id": 1,
        "name": "n1",
        "address": "10.0.0.1",
        "interface": "eth0",
        "nodes": [{"name": f"n{n}", "id": n, "address": f"10.0.0.{n}"} for n in (1, 2, 3)],
    }
    answer = galera.run_elect(argparse.Namespace(reports=reports), config)
    assert (answer["outcome"], answer["winner"], answer["formation"]) == ("elected", "n3", None)
    with pytest.raises(AgentError, match="does not fit"):
        galera.run_elect(argparse.Namespace(reports={"n1": {"node": 7}}), config)
