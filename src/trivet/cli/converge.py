# SPDX-License-Identifier: GPL-3.0-or-later
"""``trivet converge``: bring an environment to what its inventory says."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Annotated

import typer

from trivet import api
from trivet.api import PlaybookEvent, load_environment
from trivet.cli.output import Output, output_for
from trivet.model import Environment

Env = Annotated[str, typer.Argument(metavar="ENV", help="Folder in inventories/, name of a lab, or path.")]
Json = Annotated[bool, typer.Option("--json", help="JSON lines instead of text.")]


def converge(
    env: Env,
    check: Annotated[bool, typer.Option("--check", help="Tell what would change; touch nothing.")] = False,
    json: Json = False,
) -> None:
    """Apply the inventory to every node. Installs on bare Debian, repairs drift; running it again changes nothing.

    Checks your inventory and the nodes first. Generates secrets on the first run, into an ansible-vault file beside
    the inventory.
    """
    output = output_for(json)
    environment = load_environment(env)
    converge_environment(environment, output, check=check)


def converge_environment(environment: Environment, output: Output, *, check: bool = False) -> None:
    """Converge an environment and tell its progress."""
    started = time.monotonic()
    result = api.converge(environment, check=check, listener=RoleProgress(output, check=check))
    seconds = round(time.monotonic() - started, 1)
    output.event(
        "converged",
        environment=environment.name,
        changed=result.changed,
        seconds=seconds,
        text=f"{'checked: would change' if check else 'converged: changed'}={result.changed} in {seconds:.0f} s",
    )


class RoleProgress:
    """Tells each task as it begins, so that a long one is named while it lasts, and each failed one; as JSON all."""

    def __init__(self, output: Output, *, check: bool = False) -> None:
        self._output = output
        self._check = check

    def __call__(self, event: PlaybookEvent) -> None:
        if self._output.json:
            self._output.event("task", **asdict(event))
            return
        if event.state in ("failed", "unreachable"):
            self._output.event("failure", text=f"{event.node}: {event.role}: {event.task}: {event.state}")
        elif event.state == "changed" and self._check:
            self._output.event("change", text=f"{event.node}: {event.role}: {event.task} would change something")
        elif event.state == "begins":
            words = ["converge", event.role, event.task.rpartition(" : ")[2]]
            self._output.event("task", text=": ".join(word for word in words if word))
