# SPDX-License-Identifier: GPL-3.0-or-later
"""The machines of a grid: system containers of Incus on this machine. Every grid is a lab so far."""

from __future__ import annotations

from trivet.errors import InputError
from trivet.grid import instances
from trivet.lab import LabState, grid_of, priorities
from trivet.model.environment import Environment, Node
from trivet.model.size import Size


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
        if instance is None or instance.grid != self._state.name:
            raise InputError(
                f"{node.name} is not an instance of lab {self._state.name}", f"trivet lab up {self._state.name}"
            )

    def target(self, size: str) -> Size:
        """The table's size, scaled as the lab is."""
        return self._state.node_size(size)

    def stop(self, node: Node) -> None:
        """Shut the container down by its init."""
        instances.stop(node.name)

    def resize(self, node: Node, size: str) -> None:
        """Set the limits of the container."""
        instances.resize(node.name, self.target(size))

    def start(self, node: Node) -> None:
        """Start the container; its addresses and keys stay. The others keep a core each, as far as there are enough."""
        instances.start(node.name)
        priorities.after_start(node.name, [other.name for other in self._state.nodes if other.name != node.name])

    def record(self, size: str) -> None:
        """Write the size into the lab's state, from which its inventory comes."""
        self._state.size = size
        self._state.save()

    def create(self, name: str, size: str, address: str | None = None) -> str:
        """Make a container of the lab, or start the one that is there; its address on the lab's bridge.

        :param address: of no effect: a node of the lab keeps its address by its name.
        """
        self._state = LabState.load(self._state.name)
        return grid_of(self._state).add_machine(name, self.target(size))

    def check_create(self, name: str, size: str, address: str | None = None) -> None:
        """Refuse a name that an instance of another lab has, and an Incus that does not answer."""
        present = instances.listed().get(name)
        if present is not None and present.grid != self._state.name:
            raise InputError(f"an instance {name} exists that belongs to lab {present.grid}")

    def delete(self, node: Node) -> None:
        """Remove the container with its disk."""
        self._state = LabState.load(self._state.name)
        grid_of(self._state).remove_machine(node.name)
