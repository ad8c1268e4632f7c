# SPDX-License-Identifier: GPL-3.0-or-later
"""Drain flags, and what HAProxy is told because of them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from trivet.agent.drain import SERVICES, selected
from trivet.agent.serve import answer
from trivet.node.flag_files import FlagFiles
from trivet.services.proxy.haproxy import BACKEND_SERVICES


@pytest.fixture
def flags(tmp_path: Path) -> FlagFiles:
    return FlagFiles(tmp_path / "drain")


def test_a_flag_drains_its_service_alone(flags: FlagFiles) -> None:
    flags.set("web", "rotation-1", 60)
    assert answer("web", flags) == "up 0%"
    assert [answer(service, flags) for service in SERVICES[1:]] == ["up 100%"] * len(SERVICES[1:])
    assert flags.clear("web")
    assert not flags.clear("web")
    assert answer("web", flags) == "up 100%"


def test_an_owner_renews_its_flag_and_another_one_begins_anew(flags: FlagFiles) -> None:
    first = flags.set("web", "one", 60)
    time.sleep(0.01)
    assert flags.set("web", "one", 120).since == first.since
    assert flags.set("web", "two", 60).since > first.since


def test_an_expired_flag_counts_no_more_and_is_removed(flags: FlagFiles) -> None:
    flags.set("web", "one", -1)
    flags.set("redis", "one", 60)
    assert answer("web", flags) == "up 100%"
    assert flags.remove_expired() == ["web"]
    assert not (flags.directory / "web").exists()
    assert flags.get("redis") is not None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"owner": "x"}', '{"owner": "x", "since": 1, "expires": "soon"}'])
def test_a_flag_that_cannot_be_read_drains_nothing(flags: FlagFiles, content: str) -> None:
    flags.directory.mkdir()
    (flags.directory / "web").write_text(content, encoding="utf-8")
    assert answer("web", flags) == "up 100%"
    assert flags.remove_expired() == []


@pytest.mark.parametrize("question", ["", "unknown", "../web", "web\0"])
def test_whatever_is_no_service_is_not_drained(flags: FlagFiles, question: str) -> None:
    flags.set("web", "one", 60)
    assert answer(question, flags) == "up 100%"


def test_no_drain_takes_a_primary_of_redis_out(flags: FlagFiles) -> None:
    for service in SERVICES:
        flags.set(service, "one", 60)
    answers = {backend: answer(service, flags) for backend, service in BACKEND_SERVICES.items()}
    taken = {backend for backend, said in answers.items() if said == "up 100%"}
    assert taken == {"redis_cache_primary", "redis_session_primary"}
    assert set(answers.values()) == {"up 0%", "up 100%"}


def test_all_means_every_service() -> None:
    assert selected("all") == SERVICES
    assert selected("web") == ("web",)
