# SPDX-License-Identifier: GPL-3.0-or-later
"""How a machine that was just made or started is waited for."""

from __future__ import annotations

from pathlib import Path

import pytest

from trivet.errors import TrivetError
from trivet.model import Environment, Node
from trivet.providers import reachable
from trivet.providers.reachable import wait_for_ssh
from trivet.remote.result import UNREACHABLE_EXIT_CODE, RemoteResult

NODE = Node("node-2", 2, "192.0.2.12")
ENVIRONMENT = Environment("test", Path("inventories/test"), (NODE,), ("192.0.2.22",), "6", "shop.example")

# In the words of OpenSSH (sshconnect.c), shortened: another key, none with StrictHostKeyChecking=yes, none by default.
CHANGED = """\
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!
Host key for 192.0.2.12 has changed and you have requested strict checking.
Host key verification failed."""
UNKNOWN = """\
No ED25519 host key is known for 192.0.2.12 and you have requested strict checking.
Host key verification failed."""
UNTOLD = "Host key verification failed."


class FakeNodes:
    """Nodes of which the one says what `errors` has, then answers."""

    errors: list[str]

    def __init__(self, _environment: Environment) -> None:
        pass

    def __enter__(self) -> FakeNodes:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def run(self, node: Node, _command: list[str], timeout: float) -> RemoteResult:
        if not self.errors:
            return RemoteResult(node.name, 0, "", "")
        return RemoteResult(node.name, UNREACHABLE_EXIT_CODE, "", self.errors.pop(0))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reachable, "Nodes", FakeNodes)
    monkeypatch.setattr(reachable, "PAUSE_SECONDS", 0)


def test_a_machine_that_boots_is_waited_for() -> None:
    FakeNodes.errors = ["Connection refused", "No route to host"]
    wait_for_ssh(ENVIRONMENT, NODE)
    assert FakeNodes.errors == []


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (CHANGED, "Host key for 192.0.2.12 has changed and you have requested strict checking."),
        (UNKNOWN, "No ED25519 host key is known for 192.0.2.12 and you have requested strict checking."),
        (UNTOLD, UNTOLD),
    ],
)
def test_a_host_key_that_is_not_known_is_not_waited_for(error: str, words: str) -> None:
    FakeNodes.errors = [error]
    with pytest.raises(TrivetError) as raised:
        wait_for_ssh(ENVIRONMENT, NODE)
    assert raised.value.message == f"node-2 runs, but SSH to 192.0.2.12 is refused for its host key: {words}"
    assert str(raised.value.next_command).startswith("ssh-keygen -R 192.0.2.12; ssh root@192.0.2.12 true")


def test_a_machine_that_never_answers_is_given_up_with_what_ssh_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reachable, "WAIT_SECONDS", -1)
    FakeNodes.errors = ["Permission denied (publickey)"]
    with pytest.raises(TrivetError, match=r"takes no command over SSH after .*Permission denied \(publickey\)"):
        wait_for_ssh(ENVIRONMENT, NODE)
