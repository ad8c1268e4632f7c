# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent's command line, and the zip application that it is shipped as."""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from ansible.plugins.loader import init_plugin_loader

from trivet.agent import __main__ as program
from trivet.agent import commands
from trivet.paths import collections_path

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def zipapp() -> ModuleType:
    """The lookup plugin, which builds the zip application."""
    init_plugin_loader(collections_path().split(":"))
    spec = importlib.util.spec_from_file_location("agent_zipapp", ROOT / "plugins/lookup/agent_zipapp.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "words",
    [
        "session proxy galera redis",
        "collect",
        "serve",
        "drain web --owner me --expires 60",
        "undrain all",
        "proxy hold db_writer --wait 5",
        "proxy release db_writer --ready one,two --maint three",
        "galera applied 12 --wait 3",
        "proxy wait node-1 --idle-in web,search --timeout 60",
        "proxy wait node-1 --used-in web --timeout 60",
        "proxy sessions",
        "proxy sessions web",
        "proxy states",
        "proxy save",
        "gateway forward 10.0.0.9 10.0.0.2",
        "redis failover cache",
        "redis status",
        "galera status",
        "galera report",
        "galera settle",
        "galera bootstrap --position 7d1a3c52-0a6e-11ef-9f3e-0242ac120002:9",
        "galera elect {}",
        "search allocation primaries",
        "search allocation primaries --owner me --expires 60",
        "search allocation all --wait 10",
        "units disable mariadb opensearch.service --owner me --expires 60",
        "units enable mariadb",
        "flags list",
        "flags clear --owner me --kind drain --expired",
        "flags clear --all",
        "flags expire",
        "search flush",
        "gluster heal",
        "heal",
        "repair start mariadb --owner me",
        "repair settle --owner me",
        "events --since 1800000000.5",
        "announce --owner me --expires 600",
        "withdraw",
        "pause --owner me --expires 600",
        "resume --owner me",
    ],
)
def test_every_command_of_the_contract_is_known(words: str) -> None:
    arguments = words.split()
    assert callable(commands.build_parser(arguments[0]).parse_args(arguments).run)


def test_a_missing_configuration_is_told_as_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "NODE_FILE", tmp_path / "node.json")
    assert program.main(["redis", "status"]) == 1
    assert "node.json" in json.loads(capsys.readouterr().out)["error"]


def fake_command(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """``fake``: says its word, or fails in a way that nobody expects."""

    def run(args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
        if args.word == "ill":
            raise LookupError("nobody expects this")
        return {"word": args.word, **config}

    fake = subparsers.add_parser("fake")
    fake.add_argument("word")
    fake.set_defaults(run=run)


def test_a_session_answers_one_command_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    node = tmp_path / "node.json"
    node.write_text('{"name": "n1"}')
    monkeypatch.setattr(commands, "NODE_FILE", node)
    monkeypatch.setitem(commands.MODULES, "fake", "agent.fake")
    monkeypatch.setitem(sys.modules, "trivet.agent.fake", SimpleNamespace(add_commands=fake_command))  # type: ignore[arg-type]
    questions = ['["fake", "first"]', '["fake", "ill"]', '["no", "such"]', "nonsense", '["fake", "last"]']
    asked = tmp_path / "questions"
    asked.write_text("\n".join(questions) + "\n")
    with asked.open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert program.main(["session", "fake"]) == 0
        assert stdin.read() == "", "what a command starts does not read the questions"
    ready, first, ill, unknown, nonsense, last, end = map(json.loads, capsys.readouterr().out.splitlines())
    assert ready == {"session": "ready"}
    assert first == {"code": 0, "answer": {"word": "first", "name": "n1"}}
    assert ill == {"code": 1, "answer": {"error": "LookupError: nobody expects this"}}
    assert (unknown["code"], nonsense["code"]) == (2, 2)
    assert 'no command: ["no", "such"]' in unknown["answer"]["error"]
    assert last["answer"]["word"] == "last"
    assert end == {"answered": 5}


def test_the_same_source_gives_the_same_zip_application(zipapp: ModuleType) -> None:
    root = zipapp.package_root()
    assert root == ROOT / "src" / "trivet"
    assert zipapp.archive_module(root).build(root) == zipapp.archive_module(root).build(root)


def test_the_zip_application_runs_isolated(zipapp: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "agent.pyz"
    root = zipapp.package_root()
    path.write_bytes(zipapp.archive_module(root).build(root))
    done = subprocess.run(
        [sys.executable, "-I", "-S", path, "--help"], capture_output=True, text=True, timeout=60, check=True
    )
    for name in commands.MODULES:
        assert name in done.stdout
