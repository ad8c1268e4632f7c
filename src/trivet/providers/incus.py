# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's machines: system containers of Incus on this machine."""

from __future__ import annotations

from contextlib import AbstractContextManager

from trivet.errors import InputError
from trivet.lab import Lab, LabState, cores, instances
from trivet.model.environment import Environment, Node
from trivet.model.size import Size

ASIDE_PERCENT = 10
"""Of a container's share of the machine's cores when others want them; an idle core is its own all the same."""


class IncusProvider:
    """Makes, removes, and by their limits resizes the machines of a lab.

    :raises InputError: when the environment is no lab of this machine.
    """

    def __init__(self, environment: Environment) -> None:
        name = environment.variables.get("trivet_lab")
        if not name:
            raise InputError(
                f"{environment.inventory}: provider incus needs trivet_lab, the name of a lab on this machine"
            )
        self._state = LabState.load(str(name))

    def check(self, node: Node) -> None:
        """Refuse a node that is no instance of the lab."""
        instance = instances.listed().get(node.name)
        if instance is None or instance.lab != self._state.name:
            raise InputError(
                f"{node.name} is not an instance of lab {self._state.name}", f"trivet lab up {self._state.name}"
            )

    def target(self, size: str) -> Size:
        """The table's size, scaled as the lab is."""
        return Lab.node_size(self._state, size)

    def stop(self, node: Node) -> None:
        """Shut the container down by its init."""
        instances.stop(node.name)

    def resize(self, node: Node, size: str) -> None:
        """Set the limits of the container."""
        instances.resize(node.name, self.target(size))

    def start(self, node: Node) -> None:
        """Start the container; its addresses and keys stay. The others keep a core each, as far as there are enough."""
        instances.start(node.name)
        cores.apart([other.name for other in self._state.nodes if other.name != node.name])
        # Of both, only the share outlives a stop.
        if instances.listed()[node.name].share == f"{ASIDE_PERCENT}%":
            cores.give_way(node.name, True)

    def step_aside(self, node: Node) -> None:
        """Let the other containers run first: on real machines a node that boots takes no core of another one."""
        cores.give_way(node.name, False)
        instances.share(node.name, ASIDE_PERCENT)
        cores.give_way(node.name, True)

    def step_back(self, node: Node) -> None:
        """Give the container the same share as the others."""
        cores.give_way(node.name, False)
        instances.share(node.name, 100)

    def runner_aside(self) -> AbstractContextManager[None]:
        """Let the containers run before the runner: on real machines it takes no core of a node."""
        return cores.aside()

    def runner_prompt(self) -> AbstractContextManager[None]:
        """Let the runner take part like a container: on real machines it waits for no node's cores."""
        return cores.prompt()

    def record(self, size: str) -> None:
        """Write the size into the lab's state, from which its inventory comes."""
        self._state.size = size
        self._state.save()

    def create(self, name: str, size: str, address: str | None = None) -> str:
        """Make a container of the lab, or start the one that is there; its address on the lab's bridge.

        :param address: of no effect: a node of the lab keeps its address by its name.
        """
        got = Lab(self._state.name).add_machine(name, size)
        self._state = LabState.load(self._state.name)
        return got

    def check_create(self, name: str, size: str, address: str | None = None) -> None:
        """Refuse a name that an instance of another lab has, and an Incus that does not answer."""
        present = instances.listed().get(name)
        if present is not None and present.lab != self._state.name:
            raise InputError(f"an instance {name} exists that belongs to lab {present.lab}")

    def delete(self, node: Node) -> None:
        """Remove the container with its disk."""
        Lab(self._state.name).remove_machine(node.name)
        self._state = LabState.load(self._state.name)
