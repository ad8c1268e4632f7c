# SPDX-License-Identifier: GPL-3.0-or-later
"""The provider that calls the operator's own program."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
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
        domains=("shop.example",),
        variables={"trivet_provider": "command", "trivet_provider_command": program},
        web_nodes=(Node("web-2", 12, "192.0.2.31"),),
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


def test_a_program_that_never_ends_is_ended_with_its_children(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program.write_text(f"#!/bin/sh\nsleep 60 & echo $! > {tmp_path}/child\nwait\n")
    monkeypatch.setattr("trivet.providers.command.TIMEOUT_SECONDS", 1.5)
    with pytest.raises(TrivetError, match="stop node-2 did not end within"):
        CommandProvider(environment(str(program))).stop(NODE)
    assert not alive(int((tmp_path / "child").read_text()))


def test_a_program_that_ignores_the_polite_signal_is_killed(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program.write_text(f"#!/bin/sh\ntrap '' TERM\necho $$ > {tmp_path}/self\nwhile :; do sleep 0.1; done\n")
    monkeypatch.setattr("trivet.providers.command.TIMEOUT_SECONDS", 1.5)
    monkeypatch.setattr("trivet.providers.command.GRACE_SECONDS", 0.5)
    with pytest.raises(TrivetError, match="did not end within"):
        CommandProvider(environment(str(program))).stop(NODE)
    assert not alive(int((tmp_path / "self").read_text()))


@pytest.mark.parametrize("program", ["", "/nowhere/machines"])
def test_a_program_that_is_not_there_is_found_before_anything_is_touched(program: str) -> None:
    with pytest.raises(InputError, match="trivet_provider_command"):
        provider_for(environment(program))


def test_an_unknown_provider_is_named() -> None:
    unknown = replace(environment("true"), variables={"trivet_provider": "clouds"})
    with pytest.raises(InputError, match="'clouds'; it takes incus, command or aws"):
        provider_for(unknown)


EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "command_provider.py"


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the example of the documentation keeps its machines."""
    folder = tmp_path / "machines"
    monkeypatch.setenv("MACHINES", str(folder))
    return folder


def test_the_example_does_every_verb_and_every_verb_twice(machines: Path) -> None:
    said: list[str] = []
    provider = CommandProvider(environment(str(EXAMPLE)), said.append)
    address = provider.create("web-1", "6")
    assert provider.create("web-1", "6") == address == "192.0.2.100"
    assert provider.create("web-2", "6") == "192.0.2.101"
    node = Node("web-1", 11, address)
    for _ in range(2):
        provider.check(node)
    for _ in range(2):
        provider.stop(node)
    for _ in range(2):
        provider.resize(node, "24")
    for _ in range(2):
        provider.start(node)
    machine = json.loads((machines / "web-1.json").read_text())
    assert machine == {
        "address": address,
        "size": {"name": "24", "cpus": 8, "memory_mib": 15360},
        "runs": True,
    }
    assert said == ["shutting web-1 down"] * 2
    for _ in range(2):
        provider.delete(node)
    assert [path.name for path in machines.glob("*.json")] == ["web-2.json"]


def test_the_example_gives_a_replaced_machine_its_address_again(machines: Path) -> None:
    provider = CommandProvider(environment(str(EXAMPLE)))
    provider.create("node-2", "6", NODE.address)
    # Also while the old machine is still there, which has the address.
    provider.check_create("node-2", "6", NODE.address)
    provider.delete(NODE)
    provider.check_create("node-2", "6", NODE.address)
    assert provider.create("node-2", "6", NODE.address) == NODE.address
    with pytest.raises(TrivetError, match=r"check-create node-3 .*: 192\.0\.2\.2 is the address of another machine"):
        provider.check_create("node-3", "6", NODE.address)


def test_the_example_says_why_it_refuses(machines: Path) -> None:
    provider = CommandProvider(environment(str(EXAMPLE)))
    with pytest.raises(TrivetError, match="check node-2 failed with exit code 1: there is no machine node-2"):
        provider.check(NODE)
    address = provider.create("node-2", "6")
    with pytest.raises(TrivetError, match="resize node-2 failed with exit code 1: node-2 runs; stop it first"):
        provider.resize(replace(NODE, address=address), "12")


def test_a_program_that_makes_no_machines_refuses_to_make_one(program: Path) -> None:
    program.write_text('#!/bin/sh\necho "$1 is not made by this program" >&2; exit 64\n')
    with pytest.raises(TrivetError, match="check-create node-2 failed with exit code 64: check-create is not made"):
        CommandProvider(environment(str(program))).check_create("node-2", "6", NODE.address)


def test_the_request_is_one_line_of_json(program: Path, tmp_path: Path) -> None:
    program.write_text(f'#!/bin/sh\ncat > {tmp_path}/request-$1\necho \'{{"address": "192.0.2.9"}}\'\n')
    provider = CommandProvider(environment(str(program)))
    size = {"name": "12", "cpus": 4, "memory_mib": 7680}
    for name, address in (("web-1", None), ("node-2", "192.0.2.2")):
        provider.create(name, "12", address)
        assert [json.loads(line) for line in (tmp_path / "request-create").read_text().splitlines()] == [
            {"verb": "create", "node": name, "address": address, "size": size, "environment": "test"}
        ]
    provider.stop(NODE)
    assert json.loads((tmp_path / "request-stop").read_text()) == {
        "verb": "stop",
        "node": "node-2",
        "address": "192.0.2.2",
        "size": None,
        "environment": "test",
    }


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        ("", "answered no address; expected is a line such as"),
        ("made it", "answered no address"),
        ('{"address": "web-1.example"}', "'web-1.example', which is no IPv4 address"),
        ('{"address": 17}', "17, which is no IPv4 address"),
        ('{"address": "192.0.2.9"', "which is not JSON"),
        ('{"address": "192.0.2.2"}', "192.0.2.2, which is the address of node-2"),
        ('{"address": "192.0.2.31"}', "192.0.2.31, which is the address of web-2"),
        ('{"address": "192.0.2.22"}', "192.0.2.22, which is the address of a gateway"),
    ],
)
def test_an_answer_without_a_usable_address_says_what_was_expected(program: Path, answer: str, complaint: str) -> None:
    program.write_text(f"#!/bin/sh\nprintf '%s' '{answer}'\n")
    with pytest.raises(TrivetError, match="create web-1") as raised:
        CommandProvider(environment(str(program))).create("web-1", "6")
    assert complaint in raised.value.message


def test_progress_is_told_while_the_program_runs(program: Path) -> None:
    told: list[float] = []
    program.write_text('#!/bin/sh\necho \'{"progress": "waiting"}\'\nsleep 1\n')
    begun = time.monotonic()
    CommandProvider(environment(str(program)), lambda words: told.append(time.monotonic())).stop(NODE)
    assert len(told) == 1
    assert time.monotonic() - told[0] > 0.5, f"told after the end, {told[0] - begun:.1f} s after the start"


def test_ctrl_c_ends_trivet_and_not_the_program(program: Path, tmp_path: Path) -> None:
    program.write_text(
        f"#!/bin/sh\ntouch {tmp_path}/begun\nsleep 1\necho words\necho more >&2\ntouch {tmp_path}/ended\n"
    )
    caller = (
        "from tests_environment import environment, NODE\n"
        "from trivet.providers.command import CommandProvider\n"
        f"CommandProvider(environment({str(program)!r})).stop(NODE)\n"
    )
    (tmp_path / "tests_environment.py").write_text(Path(__file__).read_text())
    path = os.pathsep.join([str(tmp_path), *sys.path])
    process = subprocess.Popen(
        [sys.executable, "-c", caller],
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: (tmp_path / "begun").exists())
    # As the terminal does: to the whole group in the foreground.
    os.killpg(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=30)
    assert process.returncode != 0 and "KeyboardInterrupt" in error
    assert not (tmp_path / "ended").exists()
    until(lambda: (tmp_path / "ended").exists())


def test_a_file_that_cannot_be_executed_is_named(program: Path) -> None:
    program.write_text("#!/nowhere/shell\n")
    with pytest.raises(TrivetError, match="stop node-2 could not be started"):
        CommandProvider(environment(str(program))).stop(NODE)


def alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def until(condition: object, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
