# SPDX-License-Identifier: GPL-3.0-or-later
"""``trivet converge``: bring an environment to what its inventory says."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated

import typer

from trivet.ansible import PlaybookEvent, ensure_secrets, load_environment, run_playbook
from trivet.ansible.secrets import check_secrets
from trivet.cli.output import Output, output_for
from trivet.errors import InputError
from trivet.model import Environment
from trivet.remote import Nodes
from trivet.rotation.lease import Lease, run_owner

Env = Annotated[str, typer.Argument(metavar="ENV", help="Folder in inventories/, name of a lab, or path.")]
Json = Annotated[bool, typer.Option("--json", help="JSON lines instead of text.")]


def converge(
    env: Env,
    check: Annotated[bool, typer.Option("--check", help="Show what would change, with diffs; touch nothing.")] = False,
    json: Json = False,
) -> None:
    """Bring every node to what the inventory says: from bare Debian to a serving cluster, or back from drift.

    Input and nodes are checked first; a second run changes nothing. Secrets are generated on the first run into an
    ansible-vault file beside the inventory.
    """
    output = output_for(json)
    environment = load_environment(env)
    converge_environment(environment, output, check=check)


def converge_environment(environment: Environment, output: Output, *, check: bool = False) -> None:
    """Check, then run playbooks/site.yml, telling its progress.

    :raises TrivetError: when the input is bad, a node is unreachable or a task fails.
    """
    check_reachable(environment)
    if check:
        check_secrets(environment)
    elif ensure_secrets(environment):
        output.event("secrets", text="secrets generated into an ansible-vault file beside the inventory")
    started = time.monotonic()
    told = RoleProgress(output)
    with converge_lease(environment):
        result = run_playbook(environment, "site.yml", check=check, listener=told)
    seconds = round(time.monotonic() - started, 1)
    output.event(
        "converged",
        environment=environment.name,
        changed=result.changed,
        seconds=seconds,
        text=f"converged: changed={result.changed} in {seconds:.0f} s",
    )


@contextmanager
def converge_lease(environment: Environment) -> Iterator[None]:
    """Hold the lease of an environment that has agents already, so that a rotation and a converge never act at once.

    :raises LeaseHeld: when another run has it.
    """
    with Nodes(environment) as nodes:
        agents = nodes.run_on(environment.nodes, ["test", "-x", "/usr/local/bin/trivet-agent"])
        if sum(answer.code == 0 for answer in agents) <= len(environment.nodes) // 2:
            yield
            return
        with Lease(nodes, run_owner(), "converge"):
            yield


class RoleProgress:
    """Tells each task as it begins, so that a long one is named while it lasts, and each failed one; as JSON all."""

    def __init__(self, output: Output, prefix: str = "converge") -> None:
        self._output = output
        self._prefix = prefix

    def __call__(self, event: PlaybookEvent) -> None:
        if self._output.json:
            self._output.event("task", **asdict(event))
            return
        if event.state in ("failed", "unreachable"):
            self._output.event("failure", text=f"{event.node}: {event.role}: {event.task}: {event.state}")
        elif event.state == "begins":
            words = [self._prefix, event.role, event.task.rpartition(" : ")[2]]
            self._output.event("task", text=": ".join(word for word in words if word))


def check_reachable(environment: Environment) -> None:
    """Refuse when a node does not answer on SSH.

    :raises InputError: naming the nodes.
    """
    with Nodes(environment) as nodes:
        results = nodes.run_on(environment.nodes, ["true"], timeout=15)
    silent = [f"{result.node} ({result.error})" for result in results if not result.reached]
    if silent:
        raise InputError(f"{environment.name}: not reachable over SSH: {', '.join(silent)}; nothing was touched")
