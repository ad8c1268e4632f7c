# SPDX-License-Identifier: GPL-3.0-or-later
"""Every failure that issue 4 names is there, and what every scenario does to a lab."""

from __future__ import annotations

import ast
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.unit.chaos.fake_lab import NODES, FakeClock, FakeGround
from trivet.chaos.aim import aim_at
from trivet.chaos.scenario import Aim, Scenario, Where
from trivet.chaos.scenarios import catalogue, chosen
from trivet.chaos.scenarios.network import between, ruleset
from trivet.errors import ChaosHalted, InputError
from trivet.services.files.faults import SPLIT
from trivet.services.parts import having

SERVICES = [
    "nginx",
    "php-fpm",
    "haproxy",
    "keepalived",
    "mariadb-reader",
    "mariadb-writer",
    "redis-cache",
    "redis-session",
    "sentinel",
    "search",
    "rabbitmq",
    "glusterd",
    "brick",
    "mount",
    "agent",
]
KINDS = ("kill", "freeze", "stop", "disable")
OTHERS = [
    "power-off-quiet",
    "power-off-writer",
    "power-off-session-primary",
    "power-off-all",
    "galera-all-stopped",
    "galera-all-killed",
    "galera-member-missing",
    "partition-1-2",
    "partition-1-1-1",
    "loss",
    "latency",
    "disk-full-reader",
    "disk-full-writer",
    "memory-exhausted",
    "clock-off",
    "galera-state-corrupted",
    "galera-stale-transfer",
    "redis-cache-two-primaries",
    "redis-session-two-primaries",
    "redis-session-damaged",
    "files-split-brain",
]
UNITS = {
    "nginx": "nginx",
    "haproxy": "haproxy",
    "keepalived": "gateway",
    "redis-cache": "redis",
    "trivet-shared": "files",
    "trivet-agent": "agent",
    "mariadb": "database",
}


def aim(scenario: Scenario) -> Aim:
    return Aim(NODES, ()) if scenario.where is Where.ALL else Aim(NODES[1:2], (NODES[0], NODES[2]))


def by_name(name: str) -> Scenario:
    (scenario,) = chosen([name])
    return scenario


def test_the_catalogue_is_complete() -> None:
    names = [scenario.name for scenario in catalogue()]
    assert sorted(names) == sorted([f"{kind}-{service}" for kind in KINDS for service in SERVICES] + OTHERS)


@pytest.mark.parametrize("scenario", catalogue(), ids=lambda scenario: scenario.name)
def test_a_scenario_is_bounded_undone_twice_without_harm_and_lives_where_it_says(scenario: Scenario) -> None:
    ground = FakeGround(FakeClock())
    assert 0 <= scenario.lasts <= 60 and 0 < scenario.limit <= 300
    assert scenario.sentence and str(scenario.goal).startswith("0 orders lost")
    told_by_services = {"services", "data"}
    places = {f"trivet.chaos.scenarios.{scenario.group}"}
    if scenario.group in told_by_services:
        places |= {"trivet.chaos.faults", *(f"trivet.services.{folder}.faults" for folder in having("faults"))}
    assert scenario.inject.__module__ in places
    scenario.inject(ground, aim(scenario))
    acted = list(ground.done)
    assert acted or scenario.obstacle(ground)
    if scenario.undo is not None:
        for _ in range(2):
            scenario.undo(ground, aim(scenario))
        assert len(ground.done) > len(acted)
        assert scenario.lasts > 0 or scenario.obstacle(ground)
    if scenario.mend is not None:
        scenario.mend(ground, aim(scenario))
    # A scenario that fails closed is ended by what a human would do: without it the suite would stop there.
    assert scenario.mend is not None or not scenario.human


@pytest.mark.parametrize("scenario", catalogue(), ids=lambda scenario: scenario.name)
def test_what_runs_on_a_node_is_a_shell_script(scenario: Scenario) -> None:
    ground = FakeGround(FakeClock())
    for act in (scenario.inject, scenario.undo, scenario.mend):
        if act is not None:
            act(ground, aim(scenario))
    for line in ground.done:
        node, _, script = line.partition(": ")
        if node in NODES:
            subprocess.run(["sh", "-n", "-c", script], check=True, timeout=10)


def test_only_what_fails_closed_expects_a_human() -> None:
    assert [scenario.name for scenario in catalogue() if scenario.human] == [
        "galera-member-missing",
        "files-split-brain",
    ]


def test_goals_are_those_of_the_issue() -> None:
    for service in ("nginx", "php-fpm", "search", "mariadb-reader"):
        assert by_name(f"kill-{service}").goal.failed == 0
    assert by_name("kill-mariadb-writer").goal.gap == 1
    assert by_name("kill-redis-session").goal.gap == 3
    assert by_name("power-off-writer").goal.other_gap == by_name("power-off-writer").goal.home_gap == 3
    assert by_name("power-off-all").goal.orders_again == 90


def test_units_that_are_broken_are_written_by_roles() -> None:
    roles = Path(__file__).parents[3] / "roles"
    ground = FakeGround(FakeClock())
    for scenario in chosen(["kill-*"]):
        scenario.inject(ground, aim(scenario))
    for unit, role in UNITS.items():
        assert any(f"'{unit}.service'" in line for line in ground.done), unit
        texts = (path.read_text(encoding="utf-8") for path in (roles / role).rglob("*.yml"))
        assert any(unit in text for text in texts), unit


def test_a_frozen_glusterd_leaves_its_bricks_alone() -> None:
    ground = FakeGround(FakeClock())
    by_name("freeze-glusterd").inject(ground, Aim(("lab-1",), ()))
    by_name("freeze-nginx").inject(ground, Aim(("lab-1",), ()))
    assert "--kill-whom=main" in ground.done[0] and "--kill-whom=all" in ground.done[1]


def test_a_partition_is_between_ports_of_the_bridge_alone() -> None:
    assert between([["a"], ["b", "c"]]) == [
        'iifname { "a" } oifname { "b", "c" } drop',
        'iifname { "b", "c" } oifname { "a" } drop',
    ]
    assert len(between([["a"], ["b"], ["c"]])) == 6
    ground = FakeGround(FakeClock())
    by_name("loss").inject(ground, Aim(("lab-2",), ("lab-1", "lab-3")))
    assert (
        'iifname { "veth-lab-2" } oifname { "veth-lab-1", "veth-lab-3" } numgen random mod 100 < 30' in ground.done[0]
    )
    assert ground.done[0].count("iifname") == 1


@pytest.mark.skipif(not shutil.which("unshare") or not shutil.which("nft"), reason="needs unshare and nft")
def test_the_kernel_takes_the_rules() -> None:
    rules = ruleset(
        "trivet_chaos_test", between([["a"], ["b"]]) + between([["a"], ["b"]], "numgen random mod 100 < 30 drop")
    )
    taken = subprocess.run(
        ["unshare", "--net", "nft", "-f", "-"], input=rules, capture_output=True, text=True, timeout=30, check=False
    )
    if "not permitted" in taken.stderr:
        pytest.skip("no right to make a network namespace")
    assert taken.returncode == 0, taken.stderr


def test_the_program_of_the_split_brain_is_python() -> None:
    ast.parse(SPLIT)


def test_scenarios_are_chosen_by_name_pattern_and_group() -> None:
    assert [item.name for item in chosen(["loss", "power"])][-1] == "loss"
    assert len(chosen(["kill-*"])) == len(SERVICES)
    assert len(chosen([])) == len(catalogue())
    with pytest.raises(InputError, match="no scenario 'kill-all'"):
        chosen(["kill-all"])


def test_the_node_that_is_struck(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trivet.chaos.aim.writer", lambda _facts: "lab-2")
    primaries = {"cache": "lab-2", "session": "lab-3"}
    monkeypatch.setattr("trivet.chaos.aim.redis_primary", lambda _facts, instance: primaries[instance])
    struck = {where: aim_at(where, NODES, {}).victims for where in Where}
    assert struck == {
        Where.QUIET: ("lab-1",),
        Where.WRITER: ("lab-2",),
        Where.READER: ("lab-1",),
        Where.CACHE_PRIMARY: ("lab-2",),
        Where.CACHE_REPLICA: ("lab-1",),
        Where.SESSION_PRIMARY: ("lab-3",),
        Where.SESSION_REPLICA: ("lab-1",),
        Where.ALL: NODES,
    }
    assert aim_at(Where.WRITER, NODES, {}).others == ("lab-1", "lab-3")
    monkeypatch.setattr("trivet.chaos.aim.writer", lambda _facts: None)
    for where in (Where.WRITER, Where.READER):
        with pytest.raises(ChaosHalted, match="not known"):
            aim_at(where, NODES, {})
