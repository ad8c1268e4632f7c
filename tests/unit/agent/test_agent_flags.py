# SPDX-License-Identifier: GPL-3.0-or-later
"""What Trivet has set on a node: listed, cleared, expired. Files are real, the daemons small models."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trivet.agent import announce, flags, serve, units
from trivet.agent import lease as lease_module
from trivet.health.config import SEARCH_ALLOCATION, SEARCH_ALLOCATION_FLAG
from trivet.node.errors import AgentError
from trivet.node.flag_files import FlagFiles
from trivet.services.gateway import command as gateway
from trivet.services.proxy import flags as proxy_flags
from trivet.services.proxy.hold import AsyncRuntime
from trivet.services.search import command as search

ADDRESS = "203.0.113.11"
CONFIG: dict[str, Any] = {
    "environment": "test",
    "id": 1,
    "name": "n1",
    "address": "10.0.0.1",
    "interface": "eth0",
    "gateways": [ADDRESS],
    "nodes": [{"name": f"n{n}", "id": n, "address": f"10.0.0.{n}"} for n in (1, 2, 3)],
}


class World:
    """The daemons of a node, and where its flags are."""

    def __init__(self, folder: Path) -> None:
        self.drains = FlagFiles(folder / "drain")
        self.units = FlagFiles(folder / "units")
        self.enabled = {"mariadb": True, "opensearch": True}
        self.settings: dict[str, dict[str, Any]] = {"persistent": {}, "transient": {}}
        self.search_answers = True
        self.held = False
        self.systemd_fails = False

    def systemctl(self, verb: str, *names: str) -> None:
        for name in names:
            if self.systemd_fails or name not in self.enabled:
                raise AgentError(f"systemctl {verb} {name}: no")
            self.enabled[name] = verb == "enable"

    def request(self, _config: Any, method: str, _path: str, body: Any = None) -> dict[str, Any]:
        if not self.search_answers:
            raise AgentError("no search node answers")
        if method == "PUT":
            for layer, changes in body.items():
                merged = {**self.settings[layer], **changes}
                self.settings[layer] = {key: value for key, value in merged.items() if value is not None}
        return self.settings

    # HAProxy's stats socket.

    def ask(self, command: str) -> str:
        assert "handover" in command
        status = "MAINT" if self.held else "no check"
        header = "# pxname,svname,sid,status,bck,weight,scur,addr,check_status,lastchg\n"
        return f"{header}handover,db_writer,1,{status},0,1,0,127.0.0.1:9,\n"

    def tell(self, command: str) -> None:
        assert command == "set server handover/db_writer state ready"
        self.held = False


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = World(tmp_path)
    monkeypatch.setattr(flags, "DRAIN_DIRECTORY", made.drains.directory)
    for module in (flags, units):
        monkeypatch.setattr(module, "DISABLED_UNITS_DIRECTORY", made.units.directory)
    monkeypatch.setattr(units, "systemctl", made.systemctl)
    monkeypatch.setattr(search, "request", made.request)
    monkeypatch.setattr(proxy_flags, "Runtime", lambda: made)
    monkeypatch.setattr(proxy_flags, "unit_state", lambda _unit, _deadline: "active")
    monkeypatch.setattr(gateway, "DIRECTORY", tmp_path / "gateway")
    monkeypatch.setattr(gateway, "held_addresses", lambda _config: [])
    monkeypatch.setattr(lease_module, "LEASE_FILE", tmp_path / "lease.json")
    yield made


def run(*words: str) -> dict[str, Any]:
    parser = argparse.ArgumentParser()
    module = {"flags": flags, "units": units, "search": search, "gateway": gateway}[words[0]]
    module.add_commands(parser.add_subparsers(required=True))
    args = parser.parse_args(words)
    answer: dict[str, Any] = args.run(args, CONFIG)
    return answer


def listed() -> set[tuple[str, str, str]]:
    return {(item["kind"], item["subject"], item["owner"]) for item in run("flags", "list")["flags"]}


def set_everything(world: World, seconds: float = 600) -> None:
    """One flag of each kind, all but the hold of the owner ``one``."""
    world.drains.set("web", "one", seconds)
    run("units", "disable", "mariadb", "--owner", "one", "--expires", "600")
    world.units.set("mariadb", "one", seconds)
    run("search", "allocation", "primaries", "--owner", "one", "--expires", "600")
    flag = json.loads(world.settings["persistent"][SEARCH_ALLOCATION_FLAG])
    world.settings["persistent"][SEARCH_ALLOCATION_FLAG] = json.dumps(flag | {"expires": flag["since"] + seconds})
    run("gateway", "release", ADDRESS, "--owner", "one", "--expires", str(seconds))
    world.held = True


EVERYTHING = {
    ("drain", "web", "one"),
    ("unit", "mariadb", "one"),
    ("allocation", "primaries", "one"),
    ("release", ADDRESS, "one"),
    ("hold", "db_writer", "unknown"),
}


def test_every_kind_is_listed_with_owner_end_and_words(world: World) -> None:
    assert run("flags", "list") == {"flags": [], "unknown": {}, "lease": None}
    set_everything(world)
    answer = run("flags", "list")
    assert listed() == EVERYTHING
    for item in answer["flags"]:
        assert item["what"]
        assert item["scope"] == ("cluster" if item["kind"] == "allocation" else "node")
        if item["kind"] != "hold":
            assert item["expires"] - item["since"] == pytest.approx(600, abs=1)
            assert not item["expired"]


def test_clear_undoes_what_is_named_and_is_harmless_when_repeated(world: World) -> None:
    set_everything(world)
    world.drains.set("redis", "two", 600)
    done = run("flags", "clear", "--owner", "one")
    assert {item["kind"] for item in done["cleared"]} == {"drain", "unit", "allocation", "release"}
    assert all(item["did"] for item in done["cleared"])
    assert listed() == {("drain", "redis", "two"), ("hold", "db_writer", "unknown")}
    assert world.enabled["mariadb"]
    assert world.settings == {"persistent": {}, "transient": {}}
    assert (gateway.DIRECTORY / "1.release").read_text() == "0\n"
    assert run("flags", "clear", "--owner", "one") == {"cleared": [], "changed": False}
    run("flags", "clear", "--kind", "hold")
    assert not world.held
    run("flags", "clear", "--all")
    assert listed() == set()


def test_clear_without_a_word_of_what_is_refused(world: World) -> None:
    set_everything(world)
    with pytest.raises(AgentError, match="say which flags"):
        run("flags", "clear", "--expired")
    assert listed() == EVERYTHING


def test_only_what_has_expired_is_undone_by_the_timer(world: World) -> None:
    set_everything(world, seconds=-1)
    world.drains.set("redis", "two", 600)
    run("units", "disable", "opensearch", "--owner", "two", "--expires", "600")
    run("flags", "expire")
    assert listed() == {("drain", "redis", "two"), ("unit", "opensearch", "two"), ("hold", "db_writer", "unknown")}
    assert world.enabled == {"mariadb": True, "opensearch": False}
    assert world.settings["persistent"] == {}


def test_a_renewed_limit_of_the_allocation_does_not_expire(world: World) -> None:
    set_everything(world, seconds=-1)
    before = json.loads(world.settings["persistent"][SEARCH_ALLOCATION_FLAG])
    after = run("search", "allocation", "primaries", "--owner", "one", "--expires", "600")
    assert after["since"] == before["since"]
    run("flags", "expire")
    assert world.settings["persistent"][SEARCH_ALLOCATION] == "primaries"


def test_a_limit_without_an_owner_is_listed_and_stays_until_it_is_cleared(world: World) -> None:
    world.settings["transient"][SEARCH_ALLOCATION] = "none"
    assert listed() == {("allocation", "none", "unknown")}
    run("flags", "expire")
    assert listed() == {("allocation", "none", "unknown")}
    run("flags", "clear", "--owner", "unknown")
    assert world.settings == {"persistent": {}, "transient": {}}


def test_what_cannot_be_looked_at_is_told_and_hides_nothing_else(world: World) -> None:
    set_everything(world, seconds=-1)
    world.search_answers = False
    assert run("flags", "list")["unknown"] == {"allocation": "no search node answers"}
    assert run("flags", "expire")["unknown"] == {"allocation": "no search node answers"}
    assert listed() == {("hold", "db_writer", "unknown")}
    with pytest.raises(AgentError, match=r"no search node answers .*hold db_writer: released"):
        run("flags", "clear", "--all")
    assert not world.held


def test_a_unit_that_cannot_be_enabled_keeps_its_mark(world: World) -> None:
    set_everything(world, seconds=-1)
    world.systemd_fails = True
    with pytest.raises(AgentError, match="unit mariadb: systemctl enable mariadb: no"):
        run("flags", "expire")
    assert ("unit", "mariadb", "one") in listed()
    world.systemd_fails = False
    run("flags", "expire")
    assert world.enabled["mariadb"] and world.units.names() == []


def test_a_unit_that_cannot_be_disabled_has_a_mark_all_the_same(world: World) -> None:
    world.systemd_fails = True
    with pytest.raises(AgentError):
        run("units", "disable", "mariadb", "--owner", "one", "--expires", "60")
    assert world.units.names() == ["mariadb"]


@pytest.mark.parametrize("name", ["", "../x", "a.timer", "a b", "-x;y"])
def test_only_services_are_disabled(name: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        units.service_name(name)


def test_a_flag_that_cannot_be_read_is_listed_and_cleared(world: World) -> None:
    world.drains.directory.mkdir()
    (world.drains.directory / "web").write_text("by hand")
    assert listed() == {("drain", "web", "unknown")}
    run("flags", "expire")
    assert listed() == {("drain", "web", "unknown")}
    run("flags", "clear", "--owner", "unknown")
    assert listed() == set()


def test_a_stopped_proxy_holds_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.held = True
    monkeypatch.setattr(proxy_flags, "unit_state", lambda _unit, _deadline: "inactive")
    assert run("flags", "list")["flags"] == []


def test_the_vote_in_the_lease_is_told_and_never_cleared(world: World) -> None:
    parser = argparse.ArgumentParser()
    lease_module.add_commands(parser.add_subparsers(required=True))
    args = parser.parse_args(["lease", "acquire", "--owner", "one", "--purpose", "upscale", "--seconds", "60"])
    args.run(args, CONFIG)
    run("flags", "clear", "--all")
    vote = run("flags", "list")["lease"]
    assert (vote["owner"], vote["purpose"]) == ("one", "upscale")


@pytest.mark.parametrize(("seconds", "released"), [(7, False), (8, True)])
def test_the_keeper_ends_a_hold_that_nobody_released(world: World, seconds: int, *, released: bool) -> None:
    class Switches(AsyncRuntime):
        async def ask(self, command: str) -> str:
            answer = world.ask(command) if command.startswith("show") else world.tell(command) or ""
            return answer.replace(":9,", f":9,,{seconds}")

    async def one_round() -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(serve.Keeper(world.drains, Switches()).keep(), 0.2)

    world.held = True
    asyncio.run(one_round())
    assert world.held is not released


def test_the_keeper_removes_expired_drains_within_its_round(world: World, tmp_path: Path) -> None:
    world.drains.set("web", "one", -1)
    world.drains.set("redis", "one", 600)

    async def one_round() -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(serve.Keeper(world.drains, AsyncRuntime(tmp_path / "none")).keep(), 0.2)

    asyncio.run(one_round())
    assert world.drains.names() == ["redis"]


def test_an_announcement_is_a_flag_with_an_owner_and_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (announce, flags):
        monkeypatch.setattr(module, "ANNOUNCED_DIRECTORY", tmp_path)
    said = announce.run_announce(argparse.Namespace(owner="deploy@desk", expires=60.0), {})
    assert said["announced"]["owner"] == "deploy@desk"
    (listed,) = flags.look_announcements({})
    assert (listed.kind, listed.subject, listed.owner) == ("announcement", "application", "deploy@desk")
    assert flags.undo_announcement("application", {}) == "withdrawn"
    assert announce.run_withdraw(argparse.Namespace(), {}) == {"withdrawn": False}
    with pytest.raises(AgentError):
        announce.run_announce(argparse.Namespace(owner="deploy@desk", expires=0.0), {})
