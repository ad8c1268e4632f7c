# SPDX-License-Identifier: GPL-3.0-or-later
"""A Redis replica with damaged files: who may set them aside, when, and what is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit import agent_views as views
from trivet.agent.symptoms import symptoms
from trivet.node.errors import AgentError
from trivet.node.symptom import Remedy, Symptom
from trivet.services.redis import fresh_copy as redis_copy
from trivet.services.redis.facts import RedisFacts, RedisInstance, SentinelView
from trivet.services.redis.repair import FRESH_COPY

PRIMARY = RedisInstance(role="master", used_memory=1000)
REPLICA = RedisInstance(role="slave", primary_address="10.0.0.1", primary_link_up=True)


def flapping(cluster: views.Cluster, name: str, unit: str = "redis-session") -> Symptom:
    moments = (views.CLOCK - 20.0, views.CLOCK - 10.0)
    fallen = views.change(views.unit(cluster, name, unit, "activating"), name, "host", falls={unit: moments})
    [found] = [item for item in symptoms(views.view(fallen, name)) if item.problem == "flapping"]
    return found


def test_a_replica_that_falls_over_and_over_takes_a_whole_copy_one_node_at_a_time() -> None:
    found = flapping(views.healthy(), "n2")
    assert found.remedy == Remedy(FRESH_COPY, ("session", "10.0.0.1"))
    assert found.alone


@pytest.mark.parametrize("unit", ["redis-sentinel", "nginx", "mariadb"])
def test_nothing_else_that_falls_is_helped(unit: str) -> None:
    assert flapping(views.healthy(), "n2", unit).remedy is None


def test_a_primary_is_never_set_aside() -> None:
    assert flapping(views.healthy(), "n1").remedy is None
    assert flapping(views.healthy(count=1), "n1").remedy is None


def test_without_a_primary_that_serves_nothing_is_set_aside() -> None:
    cluster = views.healthy()
    redis = cluster["n1"].of(RedisFacts)
    loading = {**redis.instances, "session": RedisInstance(role="master", loading=True)}
    assert flapping(views.change(cluster, "n1", "redis", instances=loading), "n2").remedy is None
    silent = {**redis.instances, "session": RedisInstance(error="no answer in 1.0 s")}
    assert flapping(views.change(cluster, "n1", "redis", instances=silent), "n2").remedy is None


def test_during_a_failover_nothing_is_set_aside() -> None:
    cluster = views.healthy()
    busy = SentinelView(address="10.0.0.1", flags=("master", "failover_in_progress"), other_sentinels=2, quorum="OK")
    sentinels = {**cluster["n3"].of(RedisFacts).sentinels, "session": busy}
    assert flapping(views.change(cluster, "n3", "redis", sentinels=sentinels), "n2").remedy is None


# ---- the act


class Node:
    """A node whose Redis instances answer, and whose programs are noted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ran: list[str] = []
        self.fails: set[str] = {"redis-check-aof"}
        self.instances = {"10.0.0.1": PRIMARY, "10.0.0.2": REPLICA}
        home = folder / "session"
        (home / "appendonlydir").mkdir(parents=True)
        (home / "appendonlydir" / "appendonly.aof.manifest").write_text("damaged")
        (home / "dump.rdb").write_text("old")
        (home / "redis.conf").write_text("# Owned by Redis\nreplicaof 10.0.0.1 6390\n")
        self.home = home

    def command(self, words: list[str], _seconds: float) -> None:
        self.ran.append(" ".join([words[0].rpartition("/")[2], *words[1:2]]))
        if words[0] in self.fails:
            raise AgentError(f"{words[0]}: AOF is not valid")

    def ask(self, _name: str, address: str, _config: object) -> RedisInstance | None:
        return self.instances.get(address)

    def take_anew(self, primary: str = "10.0.0.1") -> str:
        return redis_copy.take_anew("session", primary, views.config(2), self.folder)

    @property
    def untouched(self) -> bool:
        """Whether its files are where they were, and it was started again if it was stopped."""
        stopped, started = self.ran.count("systemctl stop"), self.ran.count("systemctl start")
        return (self.home / "appendonlydir").is_dir() and not (self.home / "damaged").exists() and stopped == started


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    made = Node(tmp_path)
    monkeypatch.setattr(redis_copy, "run_command", made.command)
    monkeypatch.setattr(redis_copy, "_ask", made.ask)
    monkeypatch.setattr(redis_copy, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(redis_copy, "COPY_SECONDS", 0.1)
    return made


def test_damaged_files_are_kept_and_the_instance_starts_without_them(node: Node) -> None:
    said = node.take_anew()
    assert node.ran == [
        "systemctl stop",
        f"redis-check-aof {node.home / 'appendonlydir/appendonly.aof.manifest'}",
        "redis-node role",
        "systemctl start",
    ]
    [place] = (node.home / "damaged").iterdir()
    assert (place / "appendonlydir" / "appendonly.aof.manifest").read_text() == "damaged"
    assert (place / "dump.rdb").read_text() == "old"
    assert not (node.home / "appendonlydir").exists()
    assert said.startswith(
        f"appendonly.aof.manifest is damaged; set aside in {place}; session has a whole copy of 10.0.0.1"
    )


def test_an_instance_without_an_append_only_file_has_its_snapshot_checked(node: Node) -> None:
    (node.home / "appendonlydir" / "appendonly.aof.manifest").unlink()
    assert list(redis_copy.checks(node.home)) == [["redis-check-rdb", str(node.home / "dump.rdb")]]


def test_files_in_order_are_left_and_the_instance_is_started(node: Node) -> None:
    node.fails = set()
    with pytest.raises(AgentError, match="are in order"):
        node.take_anew()
    assert node.untouched


def test_a_check_that_does_not_end_is_no_proof_of_damage(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    def command(words: list[str], _seconds: float) -> None:
        node.command(words, 1.0) if words[0] == "systemctl" else None
        if words[0] == "redis-check-aof":
            raise AgentError("redis-check-aof: Command timed out after 120 seconds")

    monkeypatch.setattr(redis_copy, "run_command", command)
    with pytest.raises(AgentError, match="timed out"):
        node.take_anew()
    assert node.untouched


@pytest.mark.parametrize(
    "role", ["", "replicaof 10.0.0.3 6390\n", "replicaof 10.0.0.1 6390\nreplicaof 10.0.0.3 6390\n"]
)
def test_what_would_not_start_as_a_replica_of_the_primary_is_left(node: Node, role: str) -> None:
    (node.home / "redis.conf").write_text(f"# Owned by Redis\n{role}")
    with pytest.raises(AgentError, match="it may be a primary"):
        node.take_anew()
    assert node.untouched


@pytest.mark.parametrize("instance", [None, REPLICA, RedisInstance(role="master", loading=True)])
def test_a_primary_that_is_none_any_more_leaves_everything(node: Node, instance: RedisInstance | None) -> None:
    if instance is None:
        del node.instances["10.0.0.1"]
    else:
        node.instances["10.0.0.1"] = instance
    with pytest.raises(AgentError, match="nothing was set aside"):
        node.take_anew()
    assert node.untouched


@pytest.mark.parametrize("primary", ["10.0.0.2", "192.0.2.1"])
def test_only_another_member_can_be_the_primary(node: Node, primary: str) -> None:
    with pytest.raises(AgentError, match="is no other member"):
        node.take_anew(primary)
    assert node.ran == []


def test_a_copy_that_has_no_room_leaves_everything(node: Node) -> None:
    node.instances["10.0.0.1"] = RedisInstance(role="master", used_memory=2**60)
    with pytest.raises(AgentError, match="MiB free"):
        node.take_anew()
    assert node.untouched


def test_a_copy_that_does_not_come_is_told(node: Node) -> None:
    node.instances["10.0.0.2"] = RedisInstance(role="slave", primary_address="10.0.0.1", primary_link_up=False)
    with pytest.raises(AgentError, match="has no whole copy"):
        node.take_anew()
    assert node.ran[-1] == "systemctl start"


def test_a_bounded_number_of_sets_is_kept(node: Node) -> None:
    for moment in ("20260101T000000Z", "20260102T000000Z", "20260103T000000Z"):
        (node.home / "damaged" / moment).mkdir(parents=True)
    place = Path(redis_copy.set_aside(node.home))
    assert sorted(path.name for path in (node.home / "damaged").iterdir()) == ["20260103T000000Z", place.name]
