# SPDX-License-Identifier: GPL-3.0-or-later
"""Converge: checks first, then playbooks/site.yml under the environment's lease."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from trivet.ansible import ensure_secrets, run_playbook
from trivet.ansible.playbook import Listener, PlaybookResult
from trivet.ansible.secrets import check_secrets, secrets_file
from trivet.errors import InputError
from trivet.health.config import NODE_FILE, given_terms
from trivet.model import Environment
from trivet.remote import Nodes
from trivet.run.recorded import recorded
from trivet.services.host.contract import AGENT_PROGRAM
from trivet.services.registry import lasting, settings_of


def converge(
    environment: Environment, *, check: bool = False, listener: Listener = lambda event: None
) -> PlaybookResult:
    """Bring every node to what the inventory says. Secrets are generated on the first run.

    :param check: tell what would change; touch nothing.
    :raises TrivetError: when the input is bad, a node is unreachable, another run has the lease, or a task fails.
    """
    with Nodes(environment) as nodes:
        _check_reachable(nodes)
        _check_identity(nodes)
        if check:
            check_secrets(environment)
        else:
            ensure_secrets(environment)
        purpose = "converge --check" if check else "converge"
        with recorded(nodes, "converge", purpose, leased=_have_agents(nodes)) as run:
            result = run_playbook(environment, "site.yml", check=check, listener=listener)
            run.result = {"changed": result.changed}
            return result


def _check_reachable(nodes: Nodes) -> None:
    results = nodes.run_on(nodes.environment.machines, ["true"], timeout=15)
    silent = [f"{result.node} ({result.error})" for result in results if not result.reached]
    if silent:
        raise InputError(f"{nodes.environment.name}: not reachable over SSH: {', '.join(silent)}; nothing was touched")


def _check_identity(nodes: Nodes) -> None:
    """Refuse to make nodes that are set up into others: their peers would not know them after their next restart.

    :raises InputError: when a node is another one's, or when the secrets that the nodes were set up with are not here.
    """
    environment = nodes.environment
    present = _identities(nodes)
    if present and not secrets_file(environment).exists():
        raise InputError(
            f"{', '.join(present)} of {environment.name} were set up already, and {secrets_file(environment)} is "
            f"missing; with new secrets they would not know each other; nothing was touched",
            "bring that file, and the vault password, from the machine that has them",
        )
    for name, identity in present.items():
        wanted = {
            "trivet_environment": (environment.name, identity.get("environment")),
            "trivet_node_id": (environment.node(name).node_id, identity.get("id")),
        }
        settings = lasting(settings_of(environment.terms))
        wanted |= {key: (settings[key], old) for key, old in lasting(given_terms(identity)).items()}
        for key, (new, old) in wanted.items():
            if old not in (None, new):
                raise InputError(
                    f"{environment.inventory}: {key} of {name} is {new!r}, but the node was set up with {old!r}; "
                    f"nothing was touched",
                    "restore the old value, or build a second environment on other machines and move to it",
                )


def _identities(nodes: Nodes) -> dict[str, dict[str, Any]]:
    """What the nodes that were set up know of themselves, by name."""
    found = {}
    for answer in nodes.run_on(nodes.environment.machines, ["cat", str(NODE_FILE)]):
        with contextlib.suppress(ValueError):
            if answer.code == 0 and isinstance(identity := json.loads(answer.output), dict):
                found[answer.node] = identity
    return found


def _have_agents(nodes: Nodes) -> bool:
    """Whether a majority of the nodes has an agent that can give its vote: none has before the first converge."""
    members = nodes.environment.nodes
    agents = nodes.run_on(members, ["test", "-x", str(AGENT_PROGRAM.default)])
    return sum(answer.code == 0 for answer in agents) > len(members) // 2
