# SPDX-License-Identifier: GPL-3.0-or-later
"""Converge: checks first, then playbooks/site.yml under the environment's lease."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from trivet.ansible import ensure_secrets, run_playbook
from trivet.ansible.playbook import Listener, PlaybookResult
from trivet.ansible.secrets import check_secrets
from trivet.errors import InputError
from trivet.model import Environment
from trivet.remote import Nodes
from trivet.rotation.lease import Lease, run_owner


def converge(
    environment: Environment, *, check: bool = False, listener: Listener = lambda event: None
) -> PlaybookResult:
    """Bring every node to what the inventory says. Secrets are generated on the first run.

    :param check: tell what would change; touch nothing.
    :raises TrivetError: when the input is bad, a node is unreachable, another run has the lease, or a task fails.
    """
    with Nodes(environment) as nodes:
        _check_reachable(nodes)
        if check:
            check_secrets(environment)
        else:
            ensure_secrets(environment)
        with _lease(nodes):
            return run_playbook(environment, "site.yml", check=check, listener=listener)


def _check_reachable(nodes: Nodes) -> None:
    results = nodes.run_on(nodes.environment.machines, ["true"], timeout=15)
    silent = [f"{result.node} ({result.error})" for result in results if not result.reached]
    if silent:
        raise InputError(f"{nodes.environment.name}: not reachable over SSH: {', '.join(silent)}; nothing was touched")


@contextmanager
def _lease(nodes: Nodes) -> Iterator[None]:
    """Hold the lease of an environment that has agents already, so that a rotation and a converge never act at once."""
    members = nodes.environment.nodes
    agents = nodes.run_on(members, ["test", "-x", "/usr/local/bin/trivet-agent"])
    if sum(answer.code == 0 for answer in agents) <= len(members) // 2:
        yield
        return
    with Lease(nodes, run_owner(), "converge"):
        yield
