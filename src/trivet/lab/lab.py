# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings a lab up, tells its state, takes it down."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from trivet.errors import GridError
from trivet.grid import Grid, GridNode, instances, machine
from trivet.grid.shell import run
from trivet.grid.state import (
    FILE,
    FIRST_GATEWAY_HOST,
    FIRST_NODE_HOST,
    GRID_HOST,
    check_name,
    free_index,
    taken_indices,
)
from trivet.lab import package_cache, packet_rules
from trivet.lab.priorities import LabPriorities
from trivet.lab.search_packages import ensure_search_package
from trivet.lab.state import LabState
from trivet.model.environment import Environment
from trivet.model.size import SIZES, SMALLEST_NODE_MIB, Size, size_named
from trivet.paths import inventories_directory, labs_directory

Progress = Callable[[str], None]

LAB_PACKAGES = (*package_cache.PACKAGES, *packet_rules.PACKAGES)
"""Debian packages that a lab needs beside those of a grid."""

# Variables of the copied inventory that the lab sets itself.
OWN_VARIABLES = (
    "inventory_dir",
    "inventory_file",
    "trivet_address",
    "trivet_gateway_addresses",
    "trivet_interface",
    "trivet_node_id",
    "trivet_projects",
    "trivet_provider",
    "trivet_secrets",
    "trivet_size",
    "trivet_sizing",
)


GRID_MEMORY_MIB = 4096
"""Of the grid machine of a lab: a build of a small application, and the cache of files that it writes."""
PROJECT, PUSHER = "shop", "lab"
"""Of a lab with a grid machine: the project whose branch ``production`` goes to the lab, and whose key may push."""


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """A node as Incus has it; ``state`` is running, stopped, missing …"""

    name: str
    address: str
    cpus: int
    memory_mib: int
    state: str


@dataclass(frozen=True, slots=True)
class LabStatus:
    """A lab as it is now."""

    nodes: tuple[NodeStatus, ...]
    gateways: tuple[str, ...]
    urls: tuple[str, ...]


def fitting_scale() -> float:
    """The largest scale at which three nodes of size 12 fit this machine, in steps of 0.05.

    Size 12 is what the first upscale goes to; memory limits are limits and not reservations, so three quarters
    of the machine's memory may be promised.
    """
    cpus = os.cpu_count() or 1
    memory_mib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    target = SIZES["12"]
    factor = min(1.0, cpus / target.cpus, 0.75 * memory_mib / (3 * target.memory_mib))
    return max(0.05, int(factor * 20) / 20)


def grid_of(state: LabState) -> Grid:
    """The grid of a lab, whose containers take their packages from the lab's cache."""
    return Grid(state, {"/etc/apt/apt.conf.d/01trivet-lab": package_cache.apt_configuration(state.host_address)})


class Lab:
    """A named lab on this machine."""

    def __init__(self, name: str = "lab") -> None:
        check_name(name)
        self.name = name

    def up(
        self,
        like: Environment,
        *,
        scale: float | None = None,
        grid: bool = False,
        progress: Progress = lambda text: None,
    ) -> LabState:
        """Have the lab: made when missing, repaired when half-made, untouched when whole.

        Args:
            like: The environment whose topology the lab gets.
            scale: Factor on the table's sizes; by default what fits this machine.
            grid: Whether it gets a grid machine, too. One that has it keeps it.
            progress: Takes a line of progress.

        Raises:
            GridError: When the lab exists with another topology, or a step fails.
        """
        machine.prepare(progress, LAB_PACKAGES)
        ensure_search_package(progress)
        state = self._wanted(like, scale)
        if grid and state.builder is None:
            state.builder = GridNode(f"{self.name}-grid", GRID_HOST - FIRST_GATEWAY_HOST + 1, state.address(GRID_HOST))
        state.save()
        containers = grid_of(state)
        containers.ensure_network()
        package_cache.start(state.host_address)
        self._restore_priorities(state)
        containers.ensure_nodes(state.node_size(state.size), progress)
        containers.ensure_builder(Size("grid", os.cpu_count() or 1, GRID_MEMORY_MIB), progress)
        self._write_inventory(state)
        return state

    def down(self, progress: Progress = lambda text: None) -> None:
        """Remove everything the lab made: instances, bridge, route, proxy, files. Harmless when there is nothing."""
        directory = labs_directory() / self.name
        if not (directory / FILE).exists():
            shutil.rmtree(directory, ignore_errors=True)
            return
        state = LabState.load(self.name)
        machine.install_packages(progress, LAB_PACKAGES)
        machine.start_daemon(progress)
        package_cache.stop(state.host_address)
        packet_rules.remove_chaos(self.name, state.bridge)
        grid_of(state).remove(progress)
        shutil.rmtree(directory)

    def status(self) -> LabStatus:
        """The lab as it is now.

        Raises:
            GridError: When there is no such lab, or Incus does not answer.
        """
        state = LabState.load(self.name)
        if not machine.daemon_answers():
            raise GridError("the Incus daemon does not answer", f"trivet lab up {self.name}")
        known = instances.listed()
        nodes = []
        for node in state.machines:
            instance = known.get(node.name)
            if instance is None:
                nodes.append(NodeStatus(node.name, node.address, 0, 0, "missing"))
            else:
                nodes.append(
                    NodeStatus(node.name, node.address, instance.cpus, instance.memory_mib, instance.state.lower())
                )
        urls = tuple(f"http://{gateway}/" for gateway in state.gateways)
        return LabStatus(tuple(nodes), tuple(state.gateways), urls)

    def _wanted(self, like: Environment, scale: float | None) -> LabState:
        if (labs_directory() / self.name / FILE).exists():
            state = LabState.load(self.name)
            if state.like != like.name or len(state.nodes) != len(like.nodes):
                raise GridError(
                    f"lab {self.name} is up like {state.like}, not like {like.name}", f"trivet lab down {self.name}"
                )
            if scale is not None and scale != state.scale:
                raise GridError(
                    f"lab {self.name} has scale {state.scale:g}; it cannot become {scale:g}",
                    f"trivet lab down {self.name}",
                )
            return state
        state = LabState(
            name=self.name,
            like=like.name,
            index=free_index({index for name, index in taken_indices().items() if name != self.name}),
            scale=fitting_scale() if scale is None else scale,
            size=like.size,
            nodes=[],
            gateways=[],
            variables=_shared_variables(like),
        )
        for position, node in enumerate(like.nodes):
            name = f"{self.name}-{node.node_id}"
            state.nodes.append(GridNode(name, node.node_id, state.address(FIRST_NODE_HOST + position)))
            state.gateways.append(state.address(FIRST_GATEWAY_HOST + position))
        size = state.node_size(state.size)
        if size.memory_mib < SMALLEST_NODE_MIB:
            raise GridError(
                f"at scale {state.scale:g} a node of size {state.size} has {size.memory_mib} MiB; "
                f"every service together needs at least {SMALLEST_NODE_MIB} MiB",
                f"trivet lab up {self.name} --scale {SMALLEST_NODE_MIB / size_named(state.size).memory_mib:.1f}",
            )
        return state

    @staticmethod
    def _restore_priorities(state: LabState) -> None:
        """A change that was never ended may have left a node with a low priority."""
        known = instances.listed()
        for node in state.nodes:
            if node.name in known and known[node.name].grid == state.name and known[node.name].made:
                LabPriorities().restore_node_priority(node.name)

    def _write_inventory(self, state: LabState) -> None:
        variables = state.inventory / "group_vars" / "all"
        variables.mkdir(parents=True, exist_ok=True)
        (state.inventory / "lab.yml").write_text(
            f"---\nplugin: trivet.commerce.lab\nlab: {state.name}\n", encoding="utf-8"
        )
        common = inventories_directory() / "common" / "group_vars" / "all" / "common.yml"
        (variables / "common.yml").write_text(common.read_text(encoding="utf-8"), encoding="utf-8")
        projects = variables / "projects.yml"
        if state.builder is not None and not projects.exists():
            key = self._push_key(state)
            projects.write_text(
                "---\n# Written once by `trivet lab up`, and yours from then on: docs/how-to/push.md\n"
                f"trivet_projects:\n  {PROJECT}:\n    branches: {{production: {state.name}}}\n"
                f"    keys: [{{name: {PUSHER}, key: {key}}}]\n",
                encoding="utf-8",
            )

    @staticmethod
    def _push_key(state: LabState) -> str:
        """Public half of the key that may push to a lab; made when there is none."""
        key = state.ssh_key.with_name("push_ed25519")
        if not key.exists():
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"push to lab {state.name}", "-f", str(key)])
        words = key.with_suffix(".pub").read_text(encoding="utf-8").split()
        return " ".join(words[:2])


def _shared_variables(like: Environment) -> dict[str, Any]:
    """The variables of an inventory that its copy in the lab keeps: all but the host's, Ansible's and the lab's own."""
    return {
        key: value
        for key, value in like.variables.items()
        if "_" in key and not key.startswith("ansible_") and key not in OWN_VARIABLES
    }
