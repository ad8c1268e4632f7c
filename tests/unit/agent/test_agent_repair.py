# SPDX-License-Identifier: GPL-3.0-or-later
"""What the agents do about failures, and above all what they leave alone."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit import agent_views as views
from tests.unit.agent_views import CLOCK, NAMES, UUID, Cluster
from trivet.agent.repair import (
    Action,
    Decision,
    Memory,
    News,
    Policy,
    decide,
    memory_from_dict,
    memory_to_dict,
    owner,
)
from trivet.agent.symptoms import symptoms
from trivet.health.facts import Flag, LeaseMode
from trivet.node.symptom import KILL, START, Remedy, View
from trivet.services.database.election import elect
from trivet.services.database.facts import HUGE_ROWS, Client, DatabaseFacts
from trivet.services.database.repair import BOOTSTRAP, SETTLE
from trivet.services.files.facts import FilesFacts
from trivet.services.files.repair import RESTART_BRICK, START_BRICK
from trivet.services.redis.facts import RedisFacts, RedisInstance, SentinelView
from trivet.services.redis.repair import FOLLOW
from trivet.services.search.facts import SearchFacts
from trivet.services.search.repair import ALLOW_ALLOCATION, RETRY_ALLOCATION

POLICY = Policy()
LOOK_SECONDS = 5.0
UNITS = views.config(1).units
NODE = views.node(1)


def watch(view: View, looks: int, memory: Memory | None = None, start: float = 1000.0) -> list[Decision]:
    """The decisions of several looks that find the same."""
    decisions = []
    for number in range(looks):
        decisions.append(decide(view, memory or {}, start + number * LOOK_SECONDS, POLICY))
        memory = decisions[-1].memory
    return decisions


def acts(view: View, looks: int = 14) -> list[Action]:
    return [action for decision in watch(view, looks) for action in decision.actions]


def remedies(view: View, looks: int = 15) -> set[tuple[str, tuple[str, ...]]]:
    return {
        (action.symptom.remedy.kind, action.symptom.remedy.arguments)
        for action in acts(view, looks)
        if action.symptom.remedy
    }


# ---------------------------------------------------------------- anything that may be found

DATABASES = [
    NODE.of(DatabaseFacts),
    replace(NODE.of(DatabaseFacts), state="Donor/Desynced"),
    replace(NODE.of(DatabaseFacts), state="Joined"),
    replace(NODE.of(DatabaseFacts), state="Initialized", cluster_status="non-Primary", ready=False, connected=False),
    replace(NODE.of(DatabaseFacts), error="mariadb did not end in 3.0 s", cluster_status="", ready=False),
    replace(NODE.of(DatabaseFacts), error="mariadb: ERROR 1040 (HY000): Too many connections", cluster_status=""),
    replace(NODE.of(DatabaseFacts), error="ERROR 2002", down=True, cluster_status="", saved_uuid=UUID, saved_seqno=7),
    replace(NODE.of(DatabaseFacts), error="ERROR 2002", down=True, cluster_status="", saved_uuid=UUID, saved_seqno=-1),
    replace(NODE.of(DatabaseFacts), error="ERROR 2002", cluster_status="", transfer="wsrep_sst_mariabackup"),
]
INSTANCES = [
    RedisInstance(role="slave", primary_address="10.0.0.1", primary_link_up=True),
    RedisInstance(role="master"),
    RedisInstance(role="slave", loading=True),
    RedisInstance(role="slave", primary_sync_in_progress=True),
    RedisInstance(error="10.0.0.1:6380: timed out"),
    RedisInstance(role="master", failover_state="waiting-for-sync"),
]
SEARCHES = [
    NODE.of(SearchFacts),
    replace(NODE.of(SearchFacts), allocation="primaries"),
    replace(NODE.of(SearchFacts), allocation="primaries", allocation_flag=Flag(owner="rotation-1", expires=CLOCK + 60)),
    replace(NODE.of(SearchFacts), unassigned_shards=3),
    replace(NODE.of(SearchFacts), unassigned_shards=3, initializing_shards=1),
    replace(NODE.of(SearchFacts), error="10.0.0.1:9200/: timed out"),
]
FILES = [
    NODE.of(FilesFacts),
    replace(NODE.of(FilesFacts), brick_online=False),
    replace(NODE.of(FilesFacts), mounted=False, writable=False),
    replace(NODE.of(FilesFacts), writable=False, mount_error="no answer in 4.2 s"),
    replace(NODE.of(FilesFacts), writable=False, mount_error="[Errno 30] Read-only file system"),
]
STATES = ["active"] * 8 + ["inactive", "failed", "activating", "deactivating", "reloading", "unknown"]


@st.composite
def clusters(draw: st.DrawFn) -> Cluster:
    """Three nodes in any state at all."""
    cluster = views.healthy()
    for name in NAMES:
        found = draw(st.sampled_from(DATABASES))
        units = {unit: draw(st.sampled_from(STATES)) for unit in UNITS}
        cluster = views.change(cluster, name, "host", units=units)
        instances = {instance: draw(st.sampled_from(INSTANCES)) for instance in ("cache", "session")}
        sentinel = draw(st.sampled_from([SentinelView(address=f"10.0.0.{n}", flags=("master",)) for n in (1, 2, 3)]))
        facts = cluster[name]
        redis = replace(facts.of(RedisFacts), instances=instances, sentinels={"cache": sentinel, "session": sentinel})
        cluster[name] = facts.having(
            replace(found, unit=units["mariadb"]),
            redis,
            draw(st.sampled_from(SEARCHES)),
            draw(st.sampled_from(FILES)),
        )
        if draw(st.booleans()):
            for other in NAMES:
                cluster = views._proxies_see(cluster, other, "DOWN")
    return cluster


def everybody(cluster: Cluster) -> dict[str, list[Action]]:
    return {name: acts(views.view(cluster, name)) for name in NAMES}


# ---------------------------------------------------------------- what is left alone


def test_the_healer_does_nothing_about_a_healer() -> None:
    """The verdict misses one that does not run; who could start it here is the one that is missing."""
    cluster = views.healthy()
    for state in ("inactive", "failed", "masked"):
        assert symptoms(views.view(views.unit(cluster, "n1", "trivet-heal", state), "n1")) == []


def test_a_healthy_cluster_is_left_alone() -> None:
    for count in (1, 3):
        cluster = views.healthy(count)
        for name in cluster:
            assert symptoms(views.view(cluster, name)) == []


@given(clusters(), st.sampled_from(NAMES), st.sampled_from(NAMES))
def test_nothing_is_repaired_during_a_rotation(cluster: Cluster, voter: str, name: str) -> None:
    assert acts(views.view(views.leased(cluster, voter), name)) == []


@given(clusters(), st.sampled_from(NAMES), st.sampled_from(NAMES))
def test_a_backup_keeps_no_repair_from_being_made(cluster: Cluster, voter: str, name: str) -> None:
    beside = views.leased(cluster, voter, by="backup", mode=LeaseMode.NO_CHANGE)
    assert acts(views.view(beside, name)) == acts(views.view(cluster, name))


@given(clusters(), st.sampled_from(NAMES))
def test_nothing_is_repaired_during_a_pause(cluster: Cluster, name: str) -> None:
    assert acts(views.view(views.paused(cluster, name), name)) == []


@given(clusters(), st.sampled_from(NAMES), st.sampled_from(NAMES))
def test_nothing_of_the_cluster_is_repaired_while_a_member_is_paused(cluster: Cluster, idle: str, name: str) -> None:
    for action in acts(views.view(views.paused(cluster, idle), name)):
        assert not action.symptom.cluster_wide


@given(clusters(), st.sampled_from(NAMES), st.sampled_from(["web", "database", "redis", "search"]))
def test_nothing_that_is_drained_is_repaired(cluster: Cluster, name: str, service: str) -> None:
    drained = views.drained(cluster, name, service)
    assert all(action.symptom.service != service for action in acts(views.view(drained, name)))
    for other in set(NAMES) - {name}:
        for action in acts(views.view(drained, other)):
            assert action.symptom.service != service or not action.symptom.cluster_wide


@given(clusters(), st.sampled_from(NAMES))
def test_a_node_that_is_drained_altogether_is_left_alone(cluster: Cluster, name: str) -> None:
    assert acts(views.view(views.drained(cluster, name, "web", "database", "redis", "search"), name)) == []


@given(clusters(), st.sampled_from(NAMES))
def test_nothing_is_repaired_while_packages_are_worked_on(cluster: Cluster, name: str) -> None:
    assert acts(views.view(views.change(cluster, name, "host", package_lock=True), name)) == []


@given(clusters(), st.sampled_from(NAMES))
def test_nothing_is_repaired_where_the_flags_are_not_known(cluster: Cluster, name: str) -> None:
    assert acts(views.view(views.change(cluster, name, "host", error="systemctl did not end in 3.0 s"), name)) == []


def test_a_huge_transaction_is_told_once_however_it_grows() -> None:
    keys = set()
    for rows in (HUGE_ROWS, 2 * HUGE_ROWS):
        client = Client(number=7, user="shop", host="10.0.0.2:4711", transaction_seconds=60, rows=rows)
        cluster = views.change(views.healthy(), "n1", "database", huge=(client,))
        [found] = symptoms(views.view(cluster, "n1"))
        assert found.remedy is None
        assert "shop from n2 (connection 7)" in found.reason
        assert found.next_command == "ssh 10.0.0.1 mariadb-admin kill 7"
        keys.add(found.key)
    assert len(keys) == 1


def test_a_member_that_falls_over_and_over_is_told_with_the_way_to_a_whole_copy_while_others_serve() -> None:
    moments = (views.CLOCK - 30.0, views.CLOCK - 15.0)
    fallen = views.change(
        views.unit(views.healthy(), "n1", "mariadb", "activating"), "n1", "host", falls={"mariadb": moments}
    )
    [found] = [item for item in symptoms(views.view(fallen, "n1")) if item.problem == "flapping"]
    assert found.remedy is None
    assert found.next_command == (
        "ssh 10.0.0.1 journalctl -u mariadb -n 50 --no-pager; if its data is damaged, have it take a whole copy of the "
        "others: ssh 10.0.0.1 'systemctl stop mariadb && mv /var/lib/mysql /var/lib/mysql.damaged && "
        "install -d -o mysql -g mysql /var/lib/mysql && systemctl start mariadb'"
    )
    alone = views.change(
        views.unit(views.healthy(1), "n1", "mariadb", "activating"), "n1", "host", falls={"mariadb": moments}
    )
    [found] = [item for item in symptoms(views.view(alone, "n1")) if item.problem == "flapping"]
    assert found.next_command == "ssh 10.0.0.1 journalctl -u mariadb -n 50 --no-pager"


@pytest.mark.parametrize("unit", ["mariadb", "trivet-shared"])
def test_what_tries_until_the_others_are_there_flaps_only_when_they_are(unit: str) -> None:
    moments = (views.CLOCK - 30.0, views.CLOCK - 15.0)
    cluster = views.change(views.unit(views.healthy(), "n1", unit, "activating"), "n1", "host", falls={unit: moments})
    flaps = [item.subject for item in symptoms(views.view(cluster, "n1")) if item.problem == "flapping"]
    assert flaps == [unit]
    for name in views.NAMES:
        cluster = views.change(cluster, name, "files", mounted=False)
        cluster = views.change(cluster, name, "database", cluster_status="non-Primary", ready=False)
        cluster = views.change(cluster, name, "proxies", servers=())
    assert not [item for item in symptoms(views.view(cluster, "n1")) if item.problem == "flapping"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("unit", ["nginx", "php-fpm", "mariadb", "keepalived"])
def test_a_masked_unit_is_not_started(name: str, unit: str) -> None:
    assert not acts(views.view(views.unit(views.healthy(), name, unit, "masked"), name))


@given(clusters(), st.sampled_from(NAMES), st.sampled_from(UNITS))
def test_a_unit_that_was_disabled_for_a_time_is_not_started(cluster: Cluster, name: str, unit: str) -> None:
    disabled = views.change(cluster, name, "host", disabled_units={unit: Flag(owner="rotation-1")})
    for action in acts(views.view(disabled, name)):
        assert action.symptom.subject != unit


@given(clusters(), st.sampled_from(NAMES))
def test_a_state_transfer_is_never_disturbed(cluster: Cluster, name: str) -> None:
    receiving = views.change(cluster, name, "database", transfer="wsrep_sst_mariabackup")
    assert all(action.symptom.service != "database" for action in acts(views.view(receiving, name)))
    for other in set(NAMES) - {name}:
        for action in acts(views.view(receiving, other)):
            assert action.symptom.remedy and action.symptom.remedy.kind not in (SETTLE, BOOTSTRAP)


@given(clusters(), st.sampled_from(NAMES))
def test_a_unit_on_its_way_is_left_alone_unless_the_whole_cluster_is_down(cluster: Cluster, name: str) -> None:
    for action in acts(views.view(cluster, name)):
        remedy = action.symptom.remedy
        assert remedy is not None
        if remedy.kind in (START, KILL):
            assert all(cluster[name].host.units[unit] in ("active", "inactive", "failed") for unit in remedy.arguments)


@pytest.mark.parametrize(
    "error",
    [
        "mariadb: ERROR 1040 (HY000): Too many connections",
        "no time left to ask",
        "facts not understood: int expected",
        "KeyError: 'name'",
    ],
)
def test_a_server_that_refuses_or_was_not_asked_does_not_hang(error: str) -> None:
    cluster = views.change(views.healthy(), "n2", "database", error=error)
    assert acts(views.view(cluster, "n2")) == []


def test_a_mount_that_refuses_writes_is_not_mounted_anew() -> None:
    cluster = views.change(views.healthy(), "n2", "files", writable=False, mount_error="[Errno 5] Input/output error")
    assert acts(views.view(cluster, "n2")) == []


def test_a_node_that_does_not_answer_for_many_services_is_overloaded() -> None:
    cluster = views.healthy()
    for service in ("database", "cache", "search"):
        cluster = views.silent(cluster, "n2", service)
    assert acts(views.view(cluster, "n2")) == []
    told = [notice for decision in watch(views.view(cluster, "n2"), 5) for notice in decision.notices]
    assert len(told) == 3 and all("overloaded" in notice.symptom.reason for notice in told)


@given(clusters(), st.sampled_from(NAMES))
def test_what_is_taken_away_is_served_by_somebody_else(cluster: Cluster, name: str) -> None:
    view = views.view(cluster, name)
    for action in acts(view):
        remedy = action.symptom.remedy
        if remedy is not None and remedy.kind == KILL:
            assert action.needs_lease
            if remedy.arguments == ("mariadb",):
                assert any(
                    peer.of(DatabaseFacts).ready and peer.of(DatabaseFacts).cluster_status == "Primary"
                    for peer in view.peers.values()
                )


# ---------------------------------------------------------------- what is done


@pytest.mark.parametrize("unit", UNITS)
def test_a_service_that_stays_down_is_started(unit: str) -> None:
    cluster = views.stopped(views.healthy(), "n2", unit)
    if unit == "mariadb":
        cluster = views.database_down(views.healthy(), "n2")
    decisions = watch(views.view(cluster, "n2"), 2)
    assert decisions[0].actions == ()
    assert [action.symptom.remedy.arguments for action in decisions[1].actions if action.symptom.remedy] == [(unit,)]
    assert acts(views.view(cluster, "n1")) == []


@pytest.mark.parametrize(
    ("service", "units"),
    [
        ("database", ("mariadb",)),
        ("cache", ("redis-cache",)),
        ("session", ("redis-session",)),
        ("search", ("opensearch",)),
        ("web", ("php-fpm", "nginx")),
        ("mount", ("trivet-shared",)),
        ("files", ("glusterd",)),
    ],
)
def test_a_service_that_hangs_is_restarted_after_so_many_looks_in_a_row(service: str, units: tuple[str, ...]) -> None:
    hung, healthy = views.view(views.silent(views.healthy(), "n2", service), "n2"), views.view(views.healthy(), "n2")
    memory: Memory = {}
    for number, view in enumerate([hung, hung, hung, healthy, hung, hung, hung]):
        decision = decide(view, memory, 1000.0 + number * LOOK_SECONDS, POLICY)
        memory = decision.memory
        assert decision.actions == ()
    actions = decide(hung, memory, 1100.0, POLICY).actions
    assert [action.symptom.remedy for action in actions] and actions[0].needs_lease
    assert actions[0].symptom.remedy and actions[0].symptom.remedy.arguments == units


def test_a_proxy_that_hangs_is_restarted_sooner_since_nobody_takes_its_address() -> None:
    cluster = views.silent(views.healthy(), "n2", "proxies")
    first, second = watch(views.view(cluster, "n2"), 2)
    assert first.actions == ()
    assert [action.symptom.remedy for action in second.actions] == [Remedy(KILL, ("haproxy",))]
    assert all(action.needs_lease for action in second.actions)
    assert acts(views.view(cluster, "n1")) == []


def test_a_keepalived_that_does_not_turn_is_killed_while_another_takes_the_addresses() -> None:
    cluster = views.change(views.healthy(), "n2", "gateway", keepalived_silent=30.0)
    assert remedies(views.view(cluster, "n2")) == {(KILL, ("keepalived",))}
    assert acts(views.view(cluster, "n1")) == []
    for name in ("n1", "n3"):
        cluster = views.change(cluster, name, "gateway", keepalived_silent=30.0)
    assert acts(views.view(cluster, "n2")) == []


def test_nobody_kills_the_last_one() -> None:
    cluster = views.silent(views.silent(views.healthy(), "n1", "search"), "n2", "search")
    assert remedies(views.view(cluster, "n1")) == {(KILL, ("opensearch",))}
    cluster = views.silent(cluster, "n3", "search")
    for name in NAMES:
        assert acts(views.view(cluster, name)) == []
    decisions = watch(views.view(cluster, "n1"), 5)
    told = [notice for decision in decisions for notice in decision.notices]
    assert [notice.symptom.next_command for notice in told] == ["ssh 10.0.0.1 systemctl restart opensearch"]


def test_a_single_node_has_nobody_to_ask() -> None:
    cluster = views.silent(views.healthy(1), "n1", "search")
    assert remedies(views.view(cluster, "n1")) == {(KILL, ("opensearch",))}
    assert remedies(views.view(views.database_down(views.healthy(1), "n1"), "n1")) == {(START, ("mariadb",))}


def test_brick_self_heal_and_mount_come_back() -> None:
    cluster = views.healthy()
    for facts in ({"brick_online": False}, {"self_heal_online": False}):
        broken = views.change(cluster, "n2", "files", **facts)
        assert remedies(views.view(broken, "n2")) == {(START_BRICK, ())}
    # Seen of a frozen brick: the report of what is to heal does not end either.
    unheard = {"bricks_unheard": ("10.0.0.2",), "heal": (), "heal_error": "gluster did not end in 3.0 s"}
    assert remedies(views.view(views.change(cluster, "n2", "files", **unheard), "n2")) == {(RESTART_BRICK, ())}
    assert remedies(views.view(views.change(cluster, "n1", "files", **unheard), "n1")) == set()
    two = views.change(cluster, "n2", "files", bricks_unheard=("10.0.0.1", "10.0.0.2"))
    assert remedies(views.view(two, "n2")) == set(), "the other two copies must be there"
    lost = views.change(cluster, "n2", "files", mounted=False, writable=False)
    assert remedies(views.view(lost, "n2")) == {(KILL, ("trivet-shared",))}


def test_a_limit_of_the_allocation_that_nobody_owns_is_lifted_by_one_node() -> None:
    cluster = views.healthy()
    for name in NAMES:
        cluster = views.change(cluster, name, "search", allocation="primaries")
    acting = {name: remedies(views.view(cluster, name)) for name in NAMES}
    assert acting == {"n1": {(ALLOW_ALLOCATION, ())}, "n2": set(), "n3": set()}
    owned = Flag(owner="alice", expires=CLOCK + 60)
    for name in NAMES:
        cluster = views.change(cluster, name, "search", allocation_flag=owned)
    assert acts(views.view(cluster, "n1")) == []


def test_exhausted_retries_are_tried_again_when_nothing_moves() -> None:
    cluster = views.healthy()
    for name in NAMES:
        cluster = views.change(cluster, name, "search", unassigned_shards=2, status="yellow")
    assert remedies(views.view(cluster, "n1")) == {(RETRY_ALLOCATION, ())}
    for busy in ({"initializing_shards": 1}, {"relocating_shards": 1}, {"delayed_shards": 1}, {"nodes": 2}):
        assert acts(views.view(views.change(cluster, "n1", "search", **busy), "n1")) == []


def second_primary() -> Cluster:
    cluster = views.healthy()
    instances = {**cluster["n2"].of(RedisFacts).instances, "cache": RedisInstance(role="master")}
    return views.change(cluster, "n2", "redis", instances=instances)


def test_a_second_redis_primary_follows_the_one_that_most_sentinels_name() -> None:
    cluster = second_primary()
    assert remedies(views.view(cluster, "n2")) == {(FOLLOW, ("cache", "10.0.0.1"))}
    assert acts(views.view(cluster, "n1")) == [] == acts(views.view(cluster, "n3"))


def test_a_primary_is_not_demoted_on_the_word_of_a_few() -> None:
    cluster = second_primary()
    assert acts(views.view(cluster, "n2", heard=set())) == []
    doubtful = views.change(
        cluster, "n3", "redis", sentinels={name: SentinelView(error="timed out") for name in ("cache", "session")}
    )
    assert acts(views.view(doubtful, "n2", heard={"n3"})) == []
    for changes in ({"tilt": True}, {"failover_state": "wait_start"}, {"flags": ("master", "failover_in_progress")}):
        sentinels = {name: replace(view, **changes) for name, view in cluster["n3"].of(RedisFacts).sentinels.items()}  # type: ignore[arg-type]
        assert acts(views.view(views.change(cluster, "n3", "redis", sentinels=sentinels), "n2")) == []
    gone = views.change(cluster, "n1", "redis", instances={"cache": RedisInstance(error="timed out")})
    assert acts(views.view(gone, "n2")) == []


@given(clusters())
def test_at_most_one_primary_is_left_without_being_demoted(cluster: Cluster) -> None:
    """Whatever the Sentinels say, the primary that one node is made to follow is not demoted itself."""
    acting = everybody(cluster)
    for instance in ("cache", "session"):
        demoted, followed = set(), set()
        for name, actions in acting.items():
            for action in actions:
                remedy = action.symptom.remedy
                if remedy is not None and remedy.kind == FOLLOW and remedy.arguments[0] == instance:
                    demoted.add(name)
                    followed.add(remedy.arguments[1])
        assert len(followed) <= 1
        assert not {f"10.0.0.{name[1:]}" for name in demoted} & followed


# ---------------------------------------------------------------- two agents


@given(clusters(), st.sets(st.sampled_from(NAMES)))
def test_two_agents_never_act_on_one_incident_of_the_cluster(cluster: Cluster, heard: set[str]) -> None:
    acting: dict[str, set[str]] = {}
    for name in heard:
        for action in acts(views.view(cluster, name, heard)):
            if action.symptom.cluster_wide and not action.symptom.each_its_part:
                assert action.needs_lease
                acting.setdefault(action.symptom.key, set()).add(name)
    assert all(len(names) == 1 for names in acting.values())


@given(clusters(), st.sampled_from(NAMES))
def test_an_agent_alone_does_nothing_for_the_cluster(cluster: Cluster, name: str) -> None:
    for action in acts(views.view(cluster, name, heard=set())):
        assert not action.symptom.cluster_wide


def test_the_lowest_of_those_that_may_act_owns_an_incident() -> None:
    cluster = views.healthy()
    assert owner(views.view(cluster, "n3")) == "n1"
    assert owner(views.view(cluster, "n3", heard={"n2"})) == "n2"
    assert owner(views.view(cluster, "n3", heard=set())) is None
    assert owner(views.view(views.paused(cluster, "n1"), "n3")) == "n2"


# ---------------------------------------------------------------- Galera after an outage


@given(clusters())
def test_only_the_elected_bootstraps_and_only_after_an_outage(cluster: Cluster) -> None:
    reports = views.reports(cluster)
    winners = []
    for name, actions in everybody(cluster).items():
        for action in actions:
            remedy = action.symptom.remedy
            if remedy is None or remedy.kind not in (BOOTSTRAP, SETTLE):
                continue
            assert not any(report.primary for report in reports.values())
            if remedy.kind == BOOTSTRAP:
                election = elect(views.config(1).members, reports)
                assert election.acts(name) and remedy.arguments == (election.position,)
                assert action.needs_lease
                winners.append(name)
    assert len(set(winners)) <= 1


def test_after_a_clean_stop_of_all_the_most_advanced_bootstraps() -> None:
    cluster = views.outage(7, 9, 8)
    acting = {name: remedies(views.view(cluster, name)) for name in NAMES}
    assert acting == {"n1": set(), "n2": {(BOOTSTRAP, (f"{UUID}:9",))}, "n3": set()}


@pytest.mark.parametrize("missing", NAMES)
def test_with_a_missing_member_nobody_bootstraps_and_the_evidence_is_told(missing: str) -> None:
    cluster = views.outage(7, 9, 8)
    others = set(NAMES) - {missing}
    for name in others:
        view = views.view(cluster, name, others)
        assert acts(view) == []
        told = [notice for decision in watch(view, 5) for notice in decision.notices]
        assert len(told) == 1
        assert f"no report of {missing}" in told[0].symptom.reason and "seqno" in told[0].symptom.reason
        assert told[0].symptom.next_command and "galera bootstrap" in told[0].symptom.next_command
        assert told[0].alert == (name == min(others))


def test_who_waits_for_its_cluster_settles_and_then_the_winner_acts() -> None:
    cluster = views.outage(-1, 9, 8)
    waiting = views.database_down(cluster, "n3", 8, state="activating")
    assert remedies(views.view(waiting, "n3")) == {(SETTLE, ())}
    assert remedies(views.view(waiting, "n1")) == {(SETTLE, ())}
    assert remedies(views.view(waiting, "n2")) == set()
    settled = views.outage(10, 9, 8)
    decisions = watch(views.view(waiting, "n1"), 4)
    memory = decisions[-1].memory
    after = decide(views.view(settled, "n1"), memory, 1030.0, POLICY)
    assert [action.symptom.remedy.kind for action in after.actions if action.symptom.remedy] == [BOOTSTRAP]


def test_pc_recovery_comes_first() -> None:
    cluster = views.healthy()
    for name in NAMES:
        cluster = views.database_down(cluster, name, -1, state="activating")
    said = {name: replace(report, view_saved=True) for name, report in views.reports(cluster).items()}
    view = views.view(cluster, "n1", said=said)
    decisions = watch(view, 12)
    assert [bool(decision.actions) for decision in decisions] == [False] * 11 + [True]


def test_a_cluster_whose_agents_are_dead_is_not_down() -> None:
    """The own HAProxy finds the databases of the others ready: a stopped one joins them as always."""
    cluster = views.database_down(views.healthy(), "n2")
    assert remedies(views.view(cluster, "n2", heard=set())) == {(START, ("mariadb",))}


@pytest.mark.parametrize("name", NAMES)
def test_a_drained_or_disabled_member_is_somebodys_work(name: str) -> None:
    for withheld in (
        views.drained(views.outage(7, 9, 8), name, "database"),
        views.change(views.outage(7, 9, 8), name, "host", disabled_units={"mariadb": Flag(owner="rotation-1")}),
    ):
        assert all(acts(views.view(withheld, other)) == [] for other in NAMES)


def test_servers_that_hang_are_not_stopped_for_an_election() -> None:
    cluster = views.outage(7, 9, 8)
    hung = views.unit(cluster, "n1", "mariadb", "active")
    hung = views.change(hung, "n1", "database", unit="active", error="mariadb did not end in 3.0 s", down=False)
    assert all(acts(views.view(hung, name)) == [] for name in NAMES)


# ---------------------------------------------------------------- how often, and what is told


def test_a_repair_that_does_not_help_is_tried_with_growing_pauses_and_ends() -> None:
    view = views.view(views.stopped(views.healthy(), "n2", "nginx"), "n2")
    decisions = watch(view, 1000)
    moments = [number * LOOK_SECONDS for number, decision in enumerate(decisions) if decision.actions]
    pauses = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert pauses == [30, 60, 120, 240]
    news = [(notice.news, notice.attempts) for decision in decisions for notice in decision.notices]
    assert news == [(News.NOTICED, 0), (News.GAVE_UP, 5)]


def test_an_incident_is_told_once_and_its_end_once() -> None:
    broken, healthy = views.view(views.stopped(views.healthy(), "n2", "nginx"), "n2"), views.view(views.healthy(), "n2")
    news, memory = [], {}
    for number, view in enumerate([broken] * 4 + [healthy] * 4):
        decision = decide(view, memory, 1000.0 + 5 * number, POLICY)
        memory = dict(decision.memory)
        news += [notice.news for notice in decision.notices]
    assert news == [News.NOTICED, News.RESOLVED]


def test_a_service_that_crashes_again_and_again_does_not_get_new_attempts() -> None:
    broken, healthy = views.view(views.stopped(views.healthy(), "n2", "nginx"), "n2"), views.view(views.healthy(), "n2")
    memory: Memory = {}
    attempts = 0
    for number in range(600):
        decision = decide(healthy if number % 10 < 5 else broken, memory, 1000.0 + 5 * number, POLICY)
        memory = decision.memory
        attempts += len(decision.actions)
    assert attempts == POLICY.attempts
    quiet = decide(healthy, memory, 9000.0, POLICY)
    assert decide(healthy, quiet.memory, 9000.0 + POLICY.attempts * POLICY.earn_back, POLICY).memory == {}


def test_a_repair_that_held_gives_its_attempt_back() -> None:
    broken, healthy = views.view(views.stopped(views.healthy(), "n2", "nginx"), "n2"), views.view(views.healthy(), "n2")
    memory: Memory = {}
    attempts = []
    now = 1000.0
    for _outage in range(10):
        for view, seconds in ((broken, 20.0), (healthy, POLICY.earn_back + 5.0)):
            end = now + seconds
            while now < end:
                decision = decide(view, memory, now, POLICY)
                memory = decision.memory
                attempts += [action.attempt for action in decision.actions]
                now += 5.0
    assert attempts == [1] * 10


def test_one_that_was_given_up_is_tried_again_after_a_calm_while() -> None:
    broken, healthy = views.view(views.stopped(views.healthy(), "n2", "nginx"), "n2"), views.view(views.healthy(), "n2")
    memory = watch(broken, 1000)[-1].memory
    assert [incident.gave_up for incident in memory.values()] == [True]
    gone = decide(healthy, memory, 10_000.0, POLICY).memory
    again = decide(broken, gone, 10_000.0 + POLICY.earn_back + 1, POLICY).memory
    assert [(incident.attempts, incident.gave_up) for incident in again.values()] == [(4, False)]


def test_the_time_of_a_rotation_does_not_count() -> None:
    cluster = views.stopped(views.healthy(), "n2", "nginx")
    memory = watch(views.view(cluster, "n2"), 1)[-1].memory
    held = decide(views.view(views.leased(cluster, "n1"), "n2"), memory, 1010.0, POLICY)
    assert held.actions == () and held.held_back and "upscale" in held.held_back
    assert decide(views.view(cluster, "n2"), held.memory, 1015.0, POLICY).actions == ()


def test_the_lease_of_another_agent_does_not_stop_what_needs_none() -> None:
    cluster = views.leased(views.stopped(views.healthy(), "n2", "nginx"), "n2", by="agent@n1")
    assert remedies(views.view(cluster, "n2")) == {(START, ("nginx",))}


def test_one_thing_at_a_time_is_taken_away() -> None:
    cluster = views.silent(views.silent(views.healthy(), "n2", "search"), "n2", "cache")
    decisions = watch(views.view(cluster, "n2"), 6)
    assert [len(decision.actions) for decision in decisions] == [0, 0, 0, 1, 1, 0]


def test_a_machine_that_has_just_started_is_given_time() -> None:
    cluster = views.change(views.stopped(views.healthy(), "n2", "nginx"), "n2", "host", uptime_seconds=20.0)
    assert acts(views.view(cluster, "n2")) == []


@given(clusters(), st.sampled_from(NAMES))
def test_the_memory_outlives_the_agent(cluster: Cluster, name: str) -> None:
    view = views.view(cluster, name)
    memory = watch(view, 5)[-1].memory
    again = memory_from_dict(memory_to_dict(memory))
    kept = decide(view, memory, 2000.0, POLICY)
    assert [action.symptom.key for action in decide(view, again, 2000.0, POLICY).actions] == [
        action.symptom.key for action in kept.actions
    ]


def test_a_primary_component_is_taken_on_the_word_of_a_member_too() -> None:
    cluster = views.database_down(views.healthy(), "n2")
    cluster = views.change(cluster, "n2", "proxies", error="nobody listens on /run/haproxy/admin.sock", down=True)
    cluster = views.stopped(cluster, "n2", "haproxy")
    assert remedies(views.view(cluster, "n2")) == {(START, ("mariadb",)), (START, ("haproxy",))}


def test_pages_that_wait_for_the_shared_files_are_not_php_s_fault() -> None:
    cluster = views.silent(views.silent(views.healthy(), "n2", "web"), "n2", "mount")
    assert remedies(views.view(cluster, "n2")) == {(KILL, ("trivet-shared",))}


def test_pages_that_wait_for_a_proxy_that_hangs_are_not_php_s_fault() -> None:
    # As seen of a frozen HAProxy: the queue of its socket is full.
    error = "/run/haproxy/admin.sock: [Errno 11] Resource temporarily unavailable"
    cluster = views.change(views.silent(views.healthy(), "n2", "web"), "n2", "proxies", error=error)
    assert remedies(views.view(cluster, "n2")) == {(KILL, ("haproxy",))}


def test_pages_that_wait_for_a_database_that_nobody_serves_are_not_php_s_fault() -> None:
    web = {("web", "php-fpm", "hangs")}
    for seqnos in ((9, 9, 9), None):
        cluster = views.outage(*seqnos) if seqnos else views.database_down(views.healthy(), "n2")
        found = symptoms(views.view(views.silent(cluster, "n2", "web"), "n2"))
        hangs = {(item.service, item.subject, item.problem) for item in found} & web
        # With one member left there is a writer, and the pages should come.
        assert hangs == (set() if seqnos else web)


def told_of(view: View, looks: int = 8) -> list[tuple[str, bool, str | None]]:
    notices = [notice for decision in watch(view, looks) for notice in decision.notices]
    return [(notice.symptom.key, notice.alert, notice.symptom.next_command) for notice in notices]


def test_a_member_that_is_not_heard_is_told_by_one_of_the_others() -> None:
    cluster = views.healthy()
    command = "ssh 10.0.0.3 systemctl status trivet-heal"
    assert told_of(views.view(cluster, "n1", heard={"n2"})) == [("host/n3/not heard", True, command)]
    assert told_of(views.view(cluster, "n2", heard={"n1"})) == [("host/n3/not heard", False, command)]
    assert acts(views.view(cluster, "n1", heard={"n2"})) == []


def test_a_split_brain_is_left_to_a_human_with_the_command() -> None:
    cluster = views.healthy()
    for name in NAMES:
        heal = tuple(replace(brick, split_brain=2) for brick in cluster[name].of(FilesFacts).heal)
        cluster = views.change(cluster, name, "files", heal=heal)
    command = "ssh 10.0.0.1 gluster volume heal shared info split-brain"
    assert told_of(views.view(cluster, "n1")) == [("files/shared/split-brain", True, command)]
    assert [alert for _, alert, _ in told_of(views.view(cluster, "n3"))] == [False]
    assert all(acts(views.view(cluster, name)) == [] for name in NAMES)
