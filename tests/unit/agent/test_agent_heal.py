# SPDX-License-Identifier: GPL-3.0-or-later
"""Three agents that talk over the loopback, look at a made-up cluster and repair it."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.unit import agent_views as views
from tests.unit.agent_views import NAMES, UUID, Cluster
from trivet.agent import act, heal, pulse
from trivet.agent.alerts import Alerts
from trivet.agent.events import EventJournal
from trivet.agent.heal import Healer, Places, Settings
from trivet.agent.lease import LeaseRefused, VoteFile
from trivet.health.config import Member, NodeConfig
from trivet.health.facts import LeaseMode
from trivet.node.errors import AgentError
from trivet.node.flag_files import FlagFiles
from trivet.node.symptom import START, Remedy
from trivet.services.database import command as galera
from trivet.services.database.repair import BOOTSTRAP
from trivet.services.files import collect as files

SECRET = "a-secret-of-this-environment"
MEMBERS = tuple(Member(name, number, f"127.0.0.{number}") for number, name in enumerate(NAMES, 1))


class World:
    """The machines under three agents, each with its own disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cluster: Cluster = views.healthy()
        self.acts: list[tuple[str, Remedy]] = []
        self.alerts: list[dict[str, Any]] = []
        self.pulse: tuple[str, ...] = ("something",)
        self.runs: dict[str, int] = {}
        self.looks: list[str] = []
        self.heal_reports: list[str] = []
        self.slow = 0.0
        self.look_seconds = 0.0
        self.doing: set[str] = set()
        self.most_at_once = 0
        self.healers: dict[str, Healer] = {}
        self.listeners: dict[str, socket.socket] = {}

    # In the place of the functions that would touch a machine.

    def collect(self, config: NodeConfig, collectors: Mapping[str, tuple[object, object]]) -> dict[str, Any]:
        self.looks.append(config.name)
        if collectors["files"][0] is files.collect:
            self.heal_reports.append(config.name)
        return self.cluster[config.name].to_dict()

    def report(self, config: NodeConfig) -> Any:
        return views.reports(self.cluster)[config.name]

    def perform(self, remedy: Remedy, config: NodeConfig, _data: Mapping[str, Any]) -> str:
        self.doing.add(config.name)
        self.most_at_once = max(self.most_at_once, len(self.doing))
        time.sleep(self.slow)
        self.acts.append((config.name, remedy))
        self.doing.discard(config.name)
        return "done"

    def kill(self, name: str) -> None:
        """End an agent; nobody is told."""
        self.healers.pop(name, None)
        if listener := self.listeners.pop(name, None):
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def rounds(self, count: int) -> None:
        """Let every agent look so often, and wait for its repairs."""
        for _ in range(count):
            threads = [threading.Thread(target=healer.step) for healer in self.healers.values()]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(20)
            end = time.monotonic() + 20
            while any(healer.busy for healer in self.healers.values()) and time.monotonic() < end:
                time.sleep(0.01)

    def places(self, name: str) -> Places:
        folder = self.folder / name
        return Places(folder / "events", folder / "pause", folder / "lease.json", folder / "memory.json")

    def events(self, name: str) -> list[str]:
        return [event["kind"] for event in EventJournal(self.places(name).events).read()]


class Recorder(Alerts):
    """Keeps alerts instead of sending them."""

    sent: list[dict[str, Any]] = []  # noqa: RUF012

    def send(self, alert: Mapping[str, Any]) -> list[str]:
        self.sent.append(dict(alert))
        return []


@contextmanager
def agents(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The agents of the three nodes, listening; what would touch a machine is the world's."""
    monkeypatch.setattr(heal, "collect_node", world.collect)
    monkeypatch.setattr(galera, "report", world.report)
    monkeypatch.setattr(galera, "report_of", lambda node, _facts: views.reports(world.cluster)[node])
    monkeypatch.setattr(act, "perform", world.perform)
    monkeypatch.setattr(pulse, "silent", lambda _config: world.pulse)
    monkeypatch.setattr(pulse, "runs", lambda _units: world.runs)
    Recorder.sent = world.alerts
    with contextlib.ExitStack() as stack:
        port = free_port()
        for name in NAMES:
            config = NodeConfig("test", name, int(name[1:]), f"127.0.0.{name[1:]}", "lo", MEMBERS)
            settings = Settings(SECRET, 0.0, world.look_seconds, Recorder())
            healer = Healer(config, {}, settings, port, world.places(name))
            listener = healer.listen()
            world.healers[name] = healer
            world.listeners[name] = listener
            stack.callback(world.kill, name)
        yield world


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with agents(World(tmp_path), monkeypatch) as made:
        yield made


def test_a_healthy_cluster_is_looked_at_and_left_alone(world: World) -> None:
    world.rounds(3)
    assert world.acts == []
    assert set(world.looks) == set(NAMES)


def test_a_node_that_is_well_is_not_looked_at_thoroughly_every_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = World(tmp_path)
    made.look_seconds = 3600.0
    made.pulse = ()
    with agents(made, monkeypatch) as world:
        world.rounds(1)
        first = len(world.looks)
        world.rounds(5)
        assert len(world.looks) == first
        world.pulse = ("mariadb",)
        world.rounds(1)
        assert len(world.looks) > first


def test_a_unit_that_was_started_anew_between_two_pulses_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = World(tmp_path)
    made.look_seconds = 3600.0
    made.pulse = ()
    made.runs = {"nginx.service": 1, "haproxy.service": 2}
    with agents(made, monkeypatch) as world:
        world.rounds(2)
        looked = len(world.looks)
        world.rounds(2)
        assert len(world.looks) == looked
        world.runs = {"nginx.service": 3, "haproxy.service": 2}
        world.rounds(2)
        assert len(world.looks) == looked + len(NAMES)


def test_a_unit_that_falls_over_and_over_is_told_at_the_first_look_and_left_to_a_human(world: World) -> None:
    moments = (views.CLOCK - 20.0, views.CLOCK - 10.0)
    fallen = views.change(world.cluster, "n2", "host", falls={"nginx": moments})
    world.cluster = views.unit(fallen, "n2", "nginx", "activating")
    world.rounds(1)
    assert world.acts == []
    assert "noticed" in world.events("n2")
    end = time.monotonic() + 5
    while not world.alerts and time.monotonic() < end:
        time.sleep(0.01)
    [alert] = world.alerts
    assert (alert["service"], alert["subject"], alert["problem"], alert["human_needed"]) == (
        "web",
        "nginx",
        "flapping",
        True,
    )
    assert alert["reason"] == "nginx falls over and over: 2 starts in 20 s"
    assert alert["next_command"] == "ssh 127.0.0.2 journalctl -u nginx -n 50 --no-pager"


def test_what_is_to_heal_is_asked_for_now_and_then_and_always_while_something_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = World(tmp_path)
    made.pulse = ()
    with agents(made, monkeypatch) as world:
        world.rounds(4)
        assert world.looks.count("n1") >= 4
        assert world.heal_reports.count("n1") == 1
        world.pulse = ("heal",)
        world.rounds(2)
        assert world.heal_reports.count("n1") == 3


def test_what_does_not_change_is_not_looked_at_thoroughly_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = World(tmp_path)
    made.look_seconds = 3600.0
    monkeypatch.setattr(heal, "RESTLESS_SECONDS", 0.5)
    with agents(made, monkeypatch) as world:
        world.kill("n3")
        world.rounds(2)
        time.sleep(0.6)
        world.rounds(1)
        looked = len(world.looks)
        world.rounds(5)
        assert len(world.looks) == looked
        # A change of what is silent is worth a look again.
        world.pulse = ("something", "mariadb")
        world.rounds(1)
        assert len(world.looks) > looked


def test_a_lease_that_only_others_voted_for_stops_the_repair(world: World) -> None:
    world.cluster = views.stopped(world.cluster, "n2", "nginx")
    for name in ("n1", "n3"):
        VoteFile(world.places(name).lease).acquire("rotation-1", "upscale", 60.0)
    world.rounds(3)
    assert world.acts == []
    assert "repair failed" in world.events("n2")


def test_beside_a_backup_a_node_is_repaired(world: World) -> None:
    world.cluster = views.stopped(world.cluster, "n2", "nginx")
    for name in ("n1", "n2", "n3"):
        VoteFile(world.places(name).lease).acquire("backup", "nightly", 60.0, LeaseMode.NO_CHANGE)
    world.rounds(4)
    assert world.acts == [("n2", Remedy(START, ("nginx",)))]


def test_beside_a_backup_the_elected_bootstraps(world: World) -> None:
    world.cluster = views.outage(7, 9, 8)
    files = [VoteFile(world.places(name).lease) for name in ("n1", "n2", "n3")]
    for file in files:
        file.acquire("backup", "nightly", 60.0, LeaseMode.NO_CHANGE)
    world.rounds(5)
    assert world.acts == [("n2", Remedy(BOOTSTRAP, (f"{UUID}:9",)))]
    # The healer gave its vote back, and the backup still has its own.
    for file in files:
        assert [file.release("agent@n2"), file.release("backup")] == [False, True]


def test_a_rotation_is_refused_while_a_healer_repairs(world: World) -> None:
    file = VoteFile(world.places("n1").lease)
    file.acquire("agent@n2", "repair of galera", 60.0, LeaseMode.REPAIR)
    with pytest.raises(LeaseRefused, match="agent@n2"):
        file.acquire("rotation-1", "upscale", 60.0)
    file.acquire("backup", "nightly", 60.0, LeaseMode.NO_CHANGE)


def test_a_stopped_service_is_started_once_and_told_once(world: World) -> None:
    world.cluster = views.stopped(world.cluster, "n2", "nginx")
    world.rounds(4)
    assert world.acts == [("n2", Remedy(START, ("nginx",)))]
    world.cluster = views.healthy()
    world.rounds(1)
    assert world.events("n2") == ["noticed", "repairs", "repaired", "resolved"]
    assert world.events("n1") == []
    wait_for(lambda: len(world.alerts) == 2)
    assert [alert["state"] for alert in world.alerts] == ["noticed", "resolved"]


def test_the_elected_bootstraps_and_nobody_else(world: World) -> None:
    world.cluster = views.outage(7, 9, 8)
    world.rounds(5)
    assert world.acts == [("n2", Remedy(BOOTSTRAP, (f"{UUID}:9",)))]
    wait_for(lambda: len(world.alerts) == 1)
    assert world.alerts[0]["incident"] == "test/cluster/database/galera/no primary component"
    assert (world.alerts[0]["node"], world.alerts[0]["human_needed"]) == ("n1", False)


def test_what_changed_since_the_look_is_not_bootstrapped(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.cluster = views.outage(7, 9, 8)
    further = views.reports(views.outage(7, 9, 11))
    monkeypatch.setattr(galera, "report", lambda config: further[config.name])
    world.rounds(5)
    assert world.acts == []
    assert "repair failed" in world.events("n2")


def test_with_a_dead_agent_nobody_bootstraps(world: World) -> None:
    world.cluster = views.outage(7, 9, 8)
    world.kill("n3")
    world.rounds(5)
    assert world.acts == []
    wait_for(lambda: len(world.alerts) == 1)
    assert world.alerts[0]["human_needed"] and "no report of n3" in world.alerts[0]["reason"]


def test_two_nodes_do_not_take_the_same_service_away_at_once(world: World) -> None:
    world.cluster = views.silent(views.silent(world.cluster, "n1", "search"), "n2", "search")
    world.slow = 0.3
    world.rounds(6)
    assert world.acts
    assert world.most_at_once == 1


def test_a_lease_taken_after_the_look_stops_the_repair(world: World) -> None:
    world.cluster = views.stopped(world.cluster, "n2", "nginx")
    VoteFile(world.places("n2").lease).acquire("rotation-1", "upscale", 60.0)
    world.rounds(3)
    assert world.acts == []
    assert "repair failed" in world.events("n2")


def test_a_rotation_that_has_a_majority_keeps_an_agent_from_the_lease(world: World) -> None:
    world.cluster = views.silent(world.cluster, "n1", "search")
    for name in ("n2", "n3"):
        VoteFile(world.places(name).lease).acquire("rotation-1", "upscale", 60.0)
    world.rounds(5)
    assert world.acts == []
    # The vote that the agent did get is given back.
    assert VoteFile(world.places("n1").lease).vote() is None


def test_a_pause_set_after_the_look_stops_the_repair_and_the_vote(world: World) -> None:
    world.cluster = views.stopped(world.cluster, "n2", "nginx")
    FlagFiles(world.places("n2").pause).set("agent", "alice", 60.0)
    world.rounds(3)
    assert world.acts == []
    with pytest.raises(AgentError, match="paused by alice"):
        world.healers["n2"].answer("n1", "vote", {"purpose": "x", "seconds": 5})


def test_an_agent_votes_for_the_asker_only_and_not_for_long(world: World) -> None:
    given = world.healers["n2"].answer("n1", "vote", {"purpose": "x", "seconds": 1e9})
    assert given["owner"] == "agent@n1" and given["expires"] - time.time() < 1000
    with pytest.raises(RuntimeError, match="held by agent@n1"):
        world.healers["n2"].answer("n3", "vote", {"purpose": "y", "seconds": 5})
    assert world.healers["n2"].answer("n3", "return vote", {}) is False
    assert world.healers["n2"].answer("n1", "return vote", {}) is True
    with pytest.raises(AgentError, match="unknown question"):
        world.healers["n2"].answer("n1", "reboot", {})


def test_attempts_end_over_a_restart_of_the_agent_too(world: World) -> None:
    world.cluster = views.stopped(world.cluster, "n2", "nginx")
    world.rounds(2)
    old = world.healers["n2"]
    again = Healer(old._config, {}, old._settings, 1, world.places("n2"))
    assert [incident.attempts for incident in again._memory.values()] == [1]


def test_a_memory_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    for text in ("", "[]", '{"a": 1}', '{"a": {"symptom": {}}}'):
        (tmp_path / "memory.json").write_text(text)
        assert heal.load_memory(tmp_path / "memory.json") == {}
    assert heal.load_memory(tmp_path / "none.json") == {}


def test_settings_must_fit() -> None:
    data = {"secret": SECRET, "pulse_seconds": 5, "look_seconds": 30, "alert_command": [], "alert_webhook": ""}
    assert Settings.from_mapping(data) == Settings(SECRET, 5.0, 30.0, Alerts())
    with pytest.raises(ValueError, match="secret"):
        Settings.from_mapping({})


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
