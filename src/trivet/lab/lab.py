# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings a lab up, tells its state, takes it down."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from trivet.errors import LabError
from trivet.lab import cores, image, instances, machine, network
from trivet.lab.search_packages import ensure_search_package
from trivet.lab.shell import run
from trivet.lab.state import (
    FIRST_GATEWAY_HOST,
    FIRST_NODE_HOST,
    LONGEST_HOST_NAME,
    LabNode,
    LabState,
    check_name,
    existing_states,
    free_index,
)
from trivet.model.environment import Environment
from trivet.model.size import SIZES, SMALLEST_NODE_MIB, Size, scaled, size_named
from trivet.paths import inventories_directory, labs_directory

Progress = Callable[[str], None]

# Variables of the copied inventory that the lab sets itself.
OWN_VARIABLES = (
    "inventory_dir",
    "inventory_file",
    "trivet_address",
    "trivet_gateway_addresses",
    "trivet_interface",
    "trivet_node_id",
    "trivet_provider",
    "trivet_secrets",
    "trivet_size",
    "trivet_sizing",
)


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


class Lab:
    """A named lab on this machine."""

    def __init__(self, name: str = "lab") -> None:
        check_name(name)
        self.name = name

    def up(self, like: Environment, *, scale: float | None = None, progress: Progress = lambda text: None) -> LabState:
        """Have the lab: made when missing, repaired when half-made, untouched when whole.

        :param like: the environment whose topology the lab gets.
        :param scale: factor on the table's sizes; by default what fits this machine.
        :raises LabError: when the lab exists with another topology or a step fails.
        """
        machine.prepare(progress)
        ensure_search_package(progress)
        state = self._wanted(like, scale)
        state.save()
        self._write_key(state)
        network.ensure_network(state.bridge, state.host_address, state.subnet)
        machine.start_package_cache(state.host_address)
        alias = image.ensure_image(progress)
        self._ensure_nodes(state, alias, progress)
        self._write_known_hosts(state)
        self._write_inventory(state)
        return state

    def down(self, progress: Progress = lambda text: None) -> None:
        """Remove everything the lab made: instances, bridge, route, proxy, files. Harmless when there is nothing."""
        directory = labs_directory() / self.name
        if not (directory / "lab.json").exists():
            shutil.rmtree(directory, ignore_errors=True)
            return
        state = LabState.load(self.name)
        machine.install_packages(progress)
        machine.start_daemon(progress)
        known = instances.listed()
        for node in [n for n in known.values() if n.lab == self.name]:
            progress(f"removing {node.name}")
            instances.delete(node.name)
        machine.stop_package_cache(state.host_address)
        network.remove_chaos(self.name, state.bridge)
        network.remove_network(state.bridge, state.subnet)
        shutil.rmtree(directory)

    def add_machine(self, name: str, size: str) -> str:
        """Make the machine of a node, or of a new web node, and start it; harmless when it is there. Its address.

        :raises LabError: when there is no such lab, or another lab has an instance of that name.
        """
        check_name(name, "a machine", LONGEST_HOST_NAME)
        state = LabState.load(self.name)
        node = next((node for node in state.nodes if node.name == name), None) or state.web_node(name)
        present = instances.listed().get(name)
        if present is not None and present.lab != state.name:
            raise LabError(f"an instance {name} exists that belongs to lab {present.lab}")
        state.save()
        if present is None or not present.made:
            instances.delete(name)
            instances.create(state, node, image.ensure_image(lambda text: None), self.node_size(state, size))
        instances.start(name)
        self._write_known_hosts(state)
        return node.address

    def remove_machine(self, name: str) -> None:
        """Remove the machine of a node or of a web node. A node keeps its place and its address.

        Harmless when there is none, or when the instance is not of this lab.
        """
        state = LabState.load(self.name)
        present = instances.listed().get(name)
        if present is not None and present.lab == state.name:
            instances.delete(name)
        state.web = [node for node in state.web if node.name != name]
        state.save()
        self._write_known_hosts(state)

    def status(self) -> LabStatus:
        """The lab as it is now.

        :raises LabError: when there is no such lab or Incus does not answer.
        """
        state = LabState.load(self.name)
        if not machine.daemon_answers():
            raise LabError("the Incus daemon does not answer", f"trivet lab up {self.name}")
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
        others = [state for state in existing_states() if state.name != self.name]
        if (labs_directory() / self.name / "lab.json").exists():
            state = LabState.load(self.name)
            if state.like != like.name or len(state.nodes) != len(like.nodes):
                raise LabError(
                    f"lab {self.name} is up like {state.like}, not like {like.name}", f"trivet lab down {self.name}"
                )
            if scale is not None and scale != state.scale:
                raise LabError(
                    f"lab {self.name} has scale {state.scale:g}; it cannot become {scale:g}",
                    f"trivet lab down {self.name}",
                )
            return state
        state = LabState(
            name=self.name,
            like=like.name,
            index=free_index({other.index for other in others}),
            scale=fitting_scale() if scale is None else scale,
            size=like.size,
            nodes=[],
            gateways=[],
            variables=_shared_variables(like),
        )
        for position, node in enumerate(like.nodes):
            name = f"{self.name}-{node.node_id}"
            state.nodes.append(LabNode(name, node.node_id, state.address(FIRST_NODE_HOST + position)))
            state.gateways.append(state.address(FIRST_GATEWAY_HOST + position))
        size = self.node_size(state, state.size)
        if size.memory_mib < SMALLEST_NODE_MIB:
            raise LabError(
                f"at scale {state.scale:g} a node of size {state.size} has {size.memory_mib} MiB; "
                f"every service together needs at least {SMALLEST_NODE_MIB} MiB",
                f"trivet lab up {self.name} --scale {SMALLEST_NODE_MIB / size_named(state.size).memory_mib:.1f}",
            )
        return state

    @staticmethod
    def node_size(state: LabState, name: str) -> Size:
        """What a node of the lab has at a size of the table."""
        return scaled(size_named(name), state.scale, os.cpu_count())

    def _write_key(self, state: LabState) -> None:
        if state.ssh_key.exists():
            return
        state.ssh_key.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"trivet lab {state.name}", "-f", str(state.ssh_key)])

    def _ensure_nodes(self, state: LabState, alias: str, progress: Progress) -> None:
        known = instances.listed()
        size = self.node_size(state, state.size)

        def ensure(node: LabNode) -> None:
            present = known.get(node.name)
            if present is not None and present.lab != state.name:
                raise LabError(f"an instance {node.name} exists that belongs to lab {present.lab}")
            if present is None or not present.made:
                if present is not None:
                    # Half-made by a run that was killed. A stranger's instance of that name is never touched.
                    instances.delete(node.name)
                progress(f"making {node.name} ({size.cpus} CPU, {size.memory_mib} MiB) at {node.address}")
                instances.create(state, node, alias, size)
            else:
                # A change that was never ended may have left it aside.
                cores.give_way(node.name, False)
                instances.share(node.name, 100)
            instances.start(node.name)

        with ThreadPoolExecutor(max_workers=3) as pool:
            list(pool.map(ensure, state.nodes))
            # A half-made web node is for `scale-out` to finish, which knows its size.
            list(pool.map(lambda node: instances.start(node.name), [n for n in state.web if _whole(known, n)]))

    def _write_known_hosts(self, state: LabState) -> None:
        # A machine that is down cannot be asked: what is known of it stays.
        known = state.known_hosts.read_text(encoding="utf-8").splitlines() if state.known_hosts.exists() else []
        keys = dict(line.split(" ", 1) for line in known)
        running = {name for name, instance in instances.listed().items() if instance.state == "Running"}
        keys |= {node.address: instances.host_key(node.name) for node in state.machines if node.name in running}
        lines = [f"{node.address} {keys[node.address]}\n" for node in state.machines if node.address in keys]
        state.known_hosts.write_text("".join(lines), encoding="utf-8")

    def _write_inventory(self, state: LabState) -> None:
        variables = state.inventory / "group_vars" / "all"
        variables.mkdir(parents=True, exist_ok=True)
        (state.inventory / "lab.yml").write_text(
            f"---\nplugin: trivet.commerce.lab\nlab: {state.name}\n", encoding="utf-8"
        )
        common = inventories_directory() / "common" / "group_vars" / "all" / "common.yml"
        (variables / "common.yml").write_text(common.read_text(encoding="utf-8"), encoding="utf-8")


def _whole(known: dict[str, instances.Instance], node: LabNode) -> bool:
    return node.name in known and known[node.name].made


def _shared_variables(like: Environment) -> dict[str, Any]:
    """The variables of an inventory that its copy in the lab keeps: all but the host's, Ansible's and the lab's own."""
    return {
        key: value
        for key, value in like.variables.items()
        if "_" in key and not key.startswith("ansible_") and key not in OWN_VARIABLES
    }
