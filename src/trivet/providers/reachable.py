# SPDX-License-Identifier: GPL-3.0-or-later
"""Waits until a machine that was started takes a command over SSH."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from trivet.errors import TrivetError
from trivet.model.environment import Environment, Node
from trivet.remote import Nodes

WAIT_SECONDS = 600
PAUSE_SECONDS = 2

WaitForSsh = Callable[[Environment, Node], None]


def wait_for_ssh(environment: Environment, node: Node) -> None:
    """Return when a login with the environment's key runs a command.

    :raises TrivetError: when the machine's host key is not the one that is known for its address, or none is known;
        after 600 s.
    """
    deadline = time.monotonic() + WAIT_SECONDS
    with Nodes(environment) as nodes:
        while True:
            result = nodes.run(node, ["true"], timeout=20)
            if result.code == 0:
                return
            if "Host key verification failed" in result.error:
                raise TrivetError(
                    f"{node.name} runs, but SSH to {node.ssh_host} is refused for its host key: "
                    f"{_why_refused(result.error)}",
                    f"ssh-keygen -R {node.ssh_host}; ssh {node.login} true, which asks for the new key, once you know "
                    "that the machine was made anew",
                )
            if time.monotonic() > deadline:
                raise TrivetError(
                    f"{node.name} runs, but takes no command over SSH after {WAIT_SECONDS} s: {result.error}",
                    f"ssh {node.login} true",
                )
            time.sleep(PAUSE_SECONDS)


def _why_refused(error: str) -> str:
    """What OpenSSH says of the host key: the line before its last. A warning of many lines comes before that."""
    before, _, _ = error.partition("Host key verification failed")
    return before.strip().rpartition("\n")[2] or error


def given_node(environment: Environment, name: str, address: str) -> Node:
    """A machine of the operator's that no inventory has yet: it is reached as the environment's first node is."""
    pattern = environment.nodes[0]
    return replace(pattern, name=name, address=address, variables={**pattern.variables, "ansible_host": address})


def new_node(environment: Environment, name: str, address: str) -> Node:
    """A machine that was just made, which no inventory has yet.

    Its host key is accepted on this first contact, unless the inventory sets StrictHostKeyChecking itself: OpenSSH
    takes the first value that it is given.
    """
    node = given_node(environment, name, address)
    options = f"{node.variables.get('ansible_ssh_common_args', '')} -o StrictHostKeyChecking=accept-new"
    return replace(node, variables={**node.variables, "ansible_ssh_common_args": options.strip()})
