# SPDX-License-Identifier: GPL-3.0-or-later
"""How commands reach nodes: the words given to ssh, and what becomes of its answers. `ssh` is a script here."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from trivet.errors import RemoteError
from trivet.model import Environment, Node
from trivet.remote import Nodes, session
from trivet.remote.ssh import ssh_command

ENVIRONMENT = Environment(
    name="test",
    inventory=Path("inventories/test"),
    nodes=tuple(Node(f"node-{n}", n, f"192.0.2.{n}") for n in (1, 2, 3)),
    gateways=("192.0.2.21", "192.0.2.22", "192.0.2.23"),
    size="6",
    domains=("shop.example",),
)


def options(words: list[str]) -> dict[str, str]:
    given = [words[index + 1] for index, word in enumerate(words) if word == "-o"]
    return dict(option.split("=", 1) for option in given)


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Puts a script in the place of ssh; it is given the words of ssh and logs them, one JSON list a line."""

    def install(body: str) -> Path:
        folder, log = tmp_path / "bin", tmp_path / "calls"
        folder.mkdir(exist_ok=True)
        script = folder / "ssh"
        script.write_text(
            "#!/bin/sh\n"
            # One write per call: the connections to three nodes are made at the same time.
            f"{{ printf '%s\\0' \"$@\"; printf '\\n'; }} > {log}.$$; cat {log}.$$ >> {log}\n"
            'case "$*" in *"-O exit"*) exit 0 ;; esac\n'
            f'for remote in "$@"; do login=$last; last=$remote; done\n{body}\n'
        )
        script.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
        return log

    return install


def calls(log: Path) -> list[list[str]]:
    return [line.rstrip("\0").split("\0") for line in log.read_text().splitlines()]


def test_ssh_never_asks_and_never_waits_for_ever() -> None:
    words = ssh_command(ENVIRONMENT.nodes[0])
    assert words[0] == "ssh"
    given = options(words)
    assert given["BatchMode"] == "yes"
    assert int(given["ConnectTimeout"]) <= 10
    assert int(given["ServerAliveInterval"]) * int(given["ServerAliveCountMax"]) <= 15


def test_ssh_takes_what_the_inventory_says() -> None:
    variables: dict[str, Any] = {
        "ansible_ssh_private_key_file": "/keys/a key",
        "ansible_port": 2222,
        "ansible_ssh_common_args": "-o UserKnownHostsFile='/a b/known' -J jump",
        "ansible_user": "operator",
        "ansible_host": "node.example",
    }
    node = Node("node-1", 1, "192.0.2.1", variables)
    words = ssh_command(node)
    assert words[words.index("-i") + 1] == "/keys/a key"
    assert words[words.index("-p") + 1] == "2222"
    assert words[words.index("-J") + 1] == "jump"
    assert options(words)["UserKnownHostsFile"] == "/a b/known"
    assert node.login == "operator@node.example"
    assert ENVIRONMENT.nodes[0].login == "root@192.0.2.1"


def test_arguments_arrive_as_they_were_given(ssh: Callable[[str], Path]) -> None:
    log = ssh('sh -c "$remote"')
    awkward = ["it's", "two words", "$HOME", '"', ";", "a\\b"]
    with Nodes(ENVIRONMENT) as nodes:
        result = nodes.run(ENVIRONMENT.nodes[1], ["printf", "%s|", *awkward])
    assert (result.node, result.code, result.reached) == ("node-2", 0, True)
    assert result.output == "".join(f"{word}|" for word in awkward)
    words = calls(log)[0]
    assert words[-2] == "root@192.0.2.2"
    assert options(words)["ControlMaster"] == "auto"
    # OpenSSH appends a suffix of its own, and a socket's path has at most 107 characters.
    assert len(options(words)["ControlPath"]) < 80


def test_each_node_has_a_connection_of_its_own(ssh: Callable[[str], Path]) -> None:
    log = ssh("echo here")
    with Nodes(ENVIRONMENT) as nodes:
        results = nodes.run_on(ENVIRONMENT.nodes, ["true"])
    assert [result.node for result in results] == ["node-1", "node-2", "node-3"]
    assert len({options(words)["ControlPath"] for words in calls(log)}) == 3


def test_connections_are_closed_at_the_end(ssh: Callable[[str], Path]) -> None:
    log = ssh('for word in "$@"; do case $word in ControlPath=*) : > "${word#ControlPath=}" ;; esac; done')
    with Nodes(ENVIRONMENT) as nodes:
        nodes.run(ENVIRONMENT.nodes[0], ["true"])
    opened, closed = calls(log)
    assert closed[-3:] == ["-O", "exit", "none"]
    assert options(closed)["ControlPath"] == options(opened)["ControlPath"]
    assert not Path(options(opened)["ControlPath"]).parent.exists()


def test_the_connection_to_one_node_ends_before_the_others(ssh: Callable[[str], Path]) -> None:
    log = ssh("exit 0")
    with Nodes(ENVIRONMENT) as nodes:
        nodes.run_on(ENVIRONMENT.nodes, ["true"])
        kept = {options(words)["ControlPath"] for words in calls(log) if words[-2].endswith("192.0.2.2")}
        nodes.hang_up(ENVIRONMENT.nodes[1])
        assert calls(log)[-1] == ["-o", f"ControlPath={kept.pop()}", "-O", "exit", "none"]


def test_a_node_that_is_not_reached_is_told_from_a_command_that_failed(ssh: Callable[[str], Path]) -> None:
    ssh("[ $login = root@192.0.2.1 ] && { echo no route >&2; exit 255; }; exit 3")
    with Nodes(ENVIRONMENT) as nodes:
        lost, failed = nodes.run_on(ENVIRONMENT.nodes[:2], ["true"])
    assert (lost.reached, lost.error) == (False, "no route")
    assert (failed.reached, failed.code) == (True, 3)


def test_a_silent_node_counts_as_not_reached(ssh: Callable[[str], Path]) -> None:
    ssh("exec sleep 30")
    with Nodes(ENVIRONMENT) as nodes:
        result = nodes.run(ENVIRONMENT.nodes[0], ["true"], timeout=0.2)
    assert not result.reached
    assert "no answer" in result.error


def test_the_agent_is_asked_for_json(ssh: Callable[[str], Path]) -> None:
    ssh("""printf '{"asked": "%s"}' "$remote" """)
    with Nodes(ENVIRONMENT) as nodes:
        answers = nodes.agents(ENVIRONMENT.nodes, "drain", "all", "--owner", "me@here:1")
    asked = "trivet-agent drain all --owner me@here:1"
    assert answers == {node.name: {"asked": asked} for node in ENVIRONMENT.nodes}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("echo no route >&2; exit 255", "node-1 was not reached: no route"),
        (
            f"echo '{json.dumps({'error': 'gluster is ill'})}'; exit 1",
            "node-1: trivet-agent gluster heal: gluster is ill",
        ),
        (
            "echo 'sh: trivet-agent: not found' >&2; exit 127",
            "node-1: trivet-agent gluster heal: sh: trivet-agent: not found",
        ),
        ("echo Welcome", "node-1: trivet-agent gluster heal: the answer is no JSON object: 'Welcome'"),
        ("echo 7", "node-1: trivet-agent gluster heal: the answer is no JSON object: '7'"),
        ("echo 7; exit 1", "node-1: trivet-agent gluster heal: 7"),
    ],
)
def test_an_agent_that_fails_is_an_error_with_its_words(body: str, message: str, ssh: Callable[[str], Path]) -> None:
    ssh(body)
    with Nodes(ENVIRONMENT) as nodes, pytest.raises(RemoteError) as raised:
        nodes.agent(ENVIRONMENT.nodes[0], "gluster", "heal")
    assert raised.value.message == message


AGENT = """
case $remote in *session*) ;; *) echo '{"asked": "anew"}'; exit 0 ;; esac
echo '{"session": "ready"}'
while read -r line; do
  case $line in
    *ill*) echo '{"code": 1, "answer": {"error": "is ill"}}' ;;
    *slow*) sleep 20 ;;
    *gone*) exit 255 ;;
    *) echo "{\\"code\\": 0, \\"answer\\": {\\"asked\\": $line}}" ;;
  esac
done
"""


def test_a_session_answers_without_a_connection_for_each_question(ssh: Callable[[str], Path]) -> None:
    log = ssh(AGENT)
    with Nodes(ENVIRONMENT) as nodes:
        with nodes.sessions(ENVIRONMENT.nodes, "proxy", "redis"):
            for words in (["proxy", "states"], ["redis", "status"]):
                answers = nodes.agents(ENVIRONMENT.nodes, *words)
                assert answers == {node.name: {"asked": words} for node in ENVIRONMENT.nodes}
            with pytest.raises(RemoteError, match="node-1: trivet-agent ill: is ill"):
                nodes.agent(ENVIRONMENT.nodes[0], "ill")
            assert [words[-1] for words in calls(log)] == ["trivet-agent session proxy redis"] * 3
        assert nodes.agent(ENVIRONMENT.nodes[0], "proxy", "states") == {"asked": "anew"}


@pytest.mark.parametrize(("question", "timeout"), [("slow", 0.3), ("gone", 10.0)])
def test_a_session_that_is_lost_is_an_error_once_and_then_done_without(
    question: str, timeout: float, ssh: Callable[[str], Path]
) -> None:
    ssh(AGENT)
    node = ENVIRONMENT.nodes[0]
    with Nodes(ENVIRONMENT) as nodes, nodes.sessions([node]):
        began = time.monotonic()
        with pytest.raises(RemoteError, match="node-1 was not reached"):
            nodes.agent(node, question, timeout=timeout)
        assert time.monotonic() - began < 4
        assert nodes.agent(node, "proxy", "release") == {"asked": "anew"}


def test_a_session_is_opened_anew_some_time_after_it_was_lost(
    ssh: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "REOPEN_SECONDS", 0.0)
    ssh(AGENT)
    node = ENVIRONMENT.nodes[0]
    with Nodes(ENVIRONMENT) as nodes, nodes.sessions([node]):
        with pytest.raises(RemoteError):
            nodes.agent(node, "gone")
        assert nodes.agent(node, "proxy", "states") == {"asked": ["proxy", "states"]}


def test_a_node_has_no_session_while_none_is_wanted(ssh: Callable[[str], Path]) -> None:
    ssh(AGENT)
    node = ENVIRONMENT.nodes[0]
    with Nodes(ENVIRONMENT) as nodes:
        nodes.want_session(node, False)
        with nodes.sessions([node]):
            nodes.want_session(node, False)
            assert nodes.agent(node, "a") == {"asked": "anew"}
            nodes.want_session(node, True)
            assert nodes.agent(node, "a") == {"asked": ["a"]}


def test_a_context_within_another_uses_its_sessions_and_leaves_them(ssh: Callable[[str], Path]) -> None:
    log = ssh(AGENT)
    with Nodes(ENVIRONMENT) as nodes, nodes.sessions(ENVIRONMENT.nodes, "proxy", "redis"):
        with nodes.sessions(ENVIRONMENT.nodes[:1], "redis"):
            nodes.agent(ENVIRONMENT.nodes[0], "redis", "status")
        assert nodes.agent(ENVIRONMENT.nodes[0], "a") == {"asked": ["a"]}
        assert len(calls(log)) == 3


def test_nobody_waits_for_an_answer_that_is_not_his(ssh: Callable[[str], Path]) -> None:
    """The lease is renewed while a step waits for half a minute."""
    ssh(AGENT.replace("sleep 20", "sleep 2"))
    node = ENVIRONMENT.nodes[0]
    with Nodes(ENVIRONMENT) as nodes, nodes.sessions([node]), ThreadPoolExecutor() as pool:
        waiting = pool.submit(nodes.agent, node, "slow", timeout=1.5)
        time.sleep(0.3)
        assert nodes.agent(node, "lease", "acquire") == {"asked": "anew"}
        assert not waiting.done()
        with pytest.raises(RemoteError):
            waiting.result()


@pytest.mark.parametrize(
    "body", ["echo no such command >&2; exit 2", 'echo \'{"error": "no session"}\'', "echo nonsense"]
)
def test_an_agent_without_sessions_is_asked_as_ever(body: str, ssh: Callable[[str], Path]) -> None:
    ssh(f"case $remote in *session*) {body} ; exit ;; esac; echo '{{}}'")
    with Nodes(ENVIRONMENT) as nodes, nodes.sessions(ENVIRONMENT.nodes, "proxy"):
        assert nodes.agents(ENVIRONMENT.nodes, "proxy", "states") == {node.name: {} for node in ENVIRONMENT.nodes}
