# SPDX-License-Identifier: GPL-3.0-or-later
"""The provider that calls the operator's own program."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from trivet.errors import InputError, TrivetError
from trivet.model import Environment, Node
from trivet.providers import provider_for
from trivet.providers.command import CommandProvider

NODE = Node("node-2", 2, "192.0.2.2")


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """Logs how it is called; fails for the verb in the file `fails`."""
    path = tmp_path / "machines"
    path.write_text(
        f'#!/bin/sh\ncd {tmp_path}\necho "$*" "$TRIVET_NODE" "$TRIVET_ADDRESS" "$TRIVET_SIZE" "$TRIVET_CPUS"'
        ' "$TRIVET_MEMORY_MIB" >> log\n'
        'if [ "$1" = "$(cat fails 2>/dev/null)" ]; then echo starting; echo quota exceeded >&2; exit 7; fi\n'
    )
    path.chmod(0o755)
    return path


def environment(program: str) -> Environment:
    return Environment(
        name="test",
        inventory=Path("inventories/test"),
        nodes=(NODE,),
        gateways=("192.0.2.22",),
        size="6",
        domain="shop.example",
        variables={"trivet_provider": "command", "trivet_provider_command": program},
    )


def test_each_verb_is_one_call_that_names_the_machine(program: Path) -> None:
    provider = provider_for(environment(str(program)))
    provider.check(NODE)
    provider.stop(NODE)
    provider.resize(NODE, "24")
    provider.start(NODE)
    provider.record("24")
    assert (program.parent / "log").read_text().splitlines() == [
        "check node-2 node-2 192.0.2.2   ",
        "stop node-2 node-2 192.0.2.2   ",
        "resize node-2 node-2 192.0.2.2 24 8 15360",
        "start node-2 node-2 192.0.2.2   ",
    ]


@pytest.mark.parametrize("verb", ["check", "stop", "resize", "start"])
def test_a_verb_that_fails_is_named_with_the_programs_last_words(program: Path, verb: str) -> None:
    (program.parent / "fails").write_text(verb)
    provider = CommandProvider(environment(str(program)))
    calls = {
        "check": lambda: provider.check(NODE),
        "stop": lambda: provider.stop(NODE),
        "resize": lambda: provider.resize(NODE, "12"),
        "start": lambda: provider.start(NODE),
    }
    for name, call in calls.items():
        if name != verb:
            call()
    with pytest.raises(TrivetError) as raised:
        calls[verb]()
    assert raised.value.message == f"{program} {verb} node-2 failed with exit code 7: quota exceeded"


def test_a_program_that_never_ends_is_given_up(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program.write_text("#!/bin/sh\nexec sleep 30\n")
    monkeypatch.setattr("trivet.providers.command.TIMEOUT_SECONDS", 0.2)
    with pytest.raises(TrivetError, match="stop node-2 did not end within"):
        CommandProvider(environment(str(program))).stop(NODE)


@pytest.mark.parametrize("program", ["", "/nowhere/machines"])
def test_a_program_that_is_not_there_is_found_before_anything_is_touched(program: str) -> None:
    with pytest.raises(InputError, match="trivet_provider_command"):
        provider_for(environment(program))


def test_an_unknown_provider_is_named() -> None:
    unknown = replace(environment("true"), variables={"trivet_provider": "clouds"})
    with pytest.raises(InputError, match="'clouds'; it takes incus or command"):
        provider_for(unknown)
