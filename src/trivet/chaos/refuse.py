# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether something is a lab: whatever is not must never be broken on purpose. Touches nothing."""

from __future__ import annotations

from trivet.errors import GridError, InputError
from trivet.lab import LabState
from trivet.model import Environment

NODES = 3


def lab_of(environment: Environment) -> LabState:
    """The lab that an environment is.

    An inventory is a lab when the lab of the name that it gives is on this machine, the inventory is the lab's own, and
    every node is one of the lab's containers. That somebody set the variable is not enough.

    :raises InputError: it is none, or has not three nodes.
    """
    name = environment.variables.get("trivet_lab")
    if not name:
        raise _refusal(environment, "its inventory is not a lab's")
    try:
        state = LabState.load(str(name))
    except GridError as error:
        raise _refusal(environment, error.message) from error
    if environment.inventory.resolve() != state.inventory.resolve():
        raise _refusal(environment, f"it names lab {name}, whose inventory is {state.inventory}")
    if environment.provider != "incus":
        raise _refusal(environment, f"its provider is {environment.provider}")
    containers = {(node.name, node.address) for node in state.machines}
    for node in environment.machines:
        if (node.name, node.address) not in containers or node.ssh_host != node.address:
            raise _refusal(environment, f"{node.name} is not one of the containers of lab {name}")
    if len(environment.nodes) != NODES:
        raise InputError(
            f"{environment.label} has {len(environment.nodes)} node; the failure suite needs three",
            f"trivet lab up {environment.label} --like production",
        )
    return state


def _refusal(environment: Environment, reason: str) -> InputError:
    return InputError(
        f"{environment.label} is refused: trivet chaos breaks what it is given, and takes labs only; {reason}",
        "trivet lab up",
    )
