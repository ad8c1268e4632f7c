# SPDX-License-Identifier: GPL-3.0-or-later
"""A unit that falls over and over: what systemd and its journal say of it, the rule, and the verdict."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.unit.health.clusters import NOW, change, expectation, healthy
from trivet.health.external import Deadline, NoAnswer, Output
from trivet.health.facts import HostFacts
from trivet.health.findings import State
from trivet.health.flaps import flapping
from trivet.services.host import falls
from trivet.verdict.assess import assess

SHOWN = """\
Id=redis-cache.service
NRestarts=12
InactiveExitTimestampMonotonic=995000000

Id=nginx.service
NRestarts=12
InactiveExitTimestampMonotonic=700000000

Id=haproxy.service
NRestarts=0
InactiveExitTimestampMonotonic=999000000
"""


def entry(unit: str, moment: float) -> str:
    return json.dumps({"UNIT": unit, "__REALTIME_TIMESTAMP": str(int(moment * 1e6)), "__CURSOR": "s=1"})


def host(state: str, *ages: float) -> HostFacts:
    moments = tuple(NOW - age for age in ages)
    return HostFacts(clock=NOW, units={"redis-cache": state}, falls={"redis-cache": moments} if ages else {})


def test_only_what_systemd_has_started_again_lately_is_looked_up_in_the_journal() -> None:
    assert falls.fallen_lately(SHOWN, 1000.0) == ["redis-cache.service"]


def test_the_moments_of_the_journal_are_those_of_the_units() -> None:
    names = falls.full_names(["redis-cache", "php-fpm"], {"php8.2-fpm.service": "active", "cron.service": "active"})
    assert names == {"redis-cache.service": "redis-cache", "php8.2-fpm.service": "php-fpm"}
    lines = "\n".join(
        [entry("redis-cache.service", 20.5), "torn", entry("php8.2-fpm.service", 3), entry("redis-cache.service", 12)]
    )
    assert falls.starts(names, lines) == {"redis-cache": (12.0, 20.5), "php-fpm": (3.0,)}


def test_the_journal_is_asked_only_when_something_fell(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def run(arguments: list[str], _deadline: Deadline) -> Output:
        asked.append(arguments[0])
        return Output(0, SHOWN if "redis-cache.service" in arguments else "", "")

    monkeypatch.setattr(falls, "run", run)
    monkeypatch.setattr(falls, "monotonic", lambda: 1000.0)
    assert falls.collect(["nginx"], {}, 4.0) == {}
    assert asked == ["systemctl"]
    falls.collect(["redis-cache"], {}, 4.0)
    assert asked == ["systemctl", "systemctl", "journalctl"]


def test_a_systemd_that_does_not_say_spoils_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(_arguments: list[str], _deadline: Deadline) -> Output:
        raise NoAnswer("systemctl did not end in 3.0 s")

    monkeypatch.setattr(falls, "run", run)
    assert falls.collect(["nginx"], {}, 4.0) == {}


def test_nobody_is_asked_when_no_time_is_left() -> None:
    assert falls.collect(["nginx"], {}, 0.2) == {}


@pytest.mark.parametrize(
    ("state", "ages", "words"),
    [
        ("activating", (23, 15, 7), "falls over and over: 3 starts in 23 s"),
        # A service that needs most of a minute to fail.
        ("activating", (52, 1), "falls over and over: 2 starts in 52 s"),
        # The moment in which it is up.
        ("active", (23, 15, 7), "falls over and over: 3 starts in 23 s"),
        ("active", (90, 60, 30), "falls over and over: 3 starts in 90 s"),
    ],
)
def test_what_is_started_again_and_again_flaps(state: str, ages: tuple[float, ...], words: str) -> None:
    assert {unit: str(flap) for unit, flap in flapping(host(state, *ages)).items()} == {"redis-cache": words}


@pytest.mark.parametrize(
    ("state", "ages"),
    [
        ("active", ()),
        ("active", (5,)),
        ("active", (5, 3)),
        ("activating", (5,)),
        # It has run for longer than between its falls.
        ("active", (60, 50, 40, 30)),
        ("active", (175, 120, 65)),
        # Told as down.
        ("failed", (15, 10, 5)),
        ("inactive", (15, 10, 5)),
        # Long ago.
        ("activating", (1000, 900, 800)),
    ],
)
def test_what_has_got_over_its_falls_does_not_flap(state: str, ages: tuple[float, ...]) -> None:
    assert flapping(host(state, *ages)) == {}


def test_the_verdict_names_the_unit_and_the_command() -> None:
    fallen = change(healthy(), "node-2.host.falls", {"redis-cache": (NOW - 40.0, NOW - 20.0, NOW - 2.0)})
    fallen = change(fallen, "node-2.host.units.redis-cache", "activating")
    verdict = assess(expectation(), fallen)
    [finding] = [item for item in verdict.problems if "over and over" in item.reason]
    assert (finding.service, finding.node, finding.state) == ("redis", "node-2", State.BROKEN)
    assert finding.reason == "redis-cache falls over and over: 3 starts in 41 s"
    assert finding.next_command == "ssh 10.0.0.12 journalctl -u redis-cache -n 50 --no-pager"


def test_facts_of_an_earlier_agent_say_nothing_of_falls() -> None:
    assert flapping(replace(HostFacts(error="facts not understood"), clock=NOW)) == {}
