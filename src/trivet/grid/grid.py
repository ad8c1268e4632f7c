# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings the containers of a grid up, and takes them down."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from trivet.errors import GridError
from trivet.grid import image, instances, network
from trivet.grid.shell import run
from trivet.grid.state import LONGEST_HOST_NAME, GridNode, GridState, check_name
from trivet.model.size import Size

Progress = Callable[[str], None]


class Grid:
    """The containers and the network of a state.

    Args:
        state: Saved where it changes.
        files: What every new container gets beside name, address and key: the text by the path.
    """

    def __init__(self, state: GridState, files: Mapping[str, str]) -> None:
        self._state = state
        self._files = files

    def ensure_network(self) -> None:
        """Have the bridge, and the route that keeps its traffic on this machine."""
        network.ensure_network(self._state.bridge, self._state.host_address, self._state.subnet)

    def ensure_nodes(self, size: Size, progress: Progress) -> None:
        """Have every node made and running, and every web node that is whole running.

        Args:
            size: Of a node that has to be made.
            progress: Takes a line of progress.

        Raises:
            GridError: When another grid has an instance of a node's name, or Incus fails.
        """
        self._ensure_key()
        alias = image.ensure_image(progress)
        known = instances.listed()

        def ensure(node: GridNode) -> None:
            present = known.get(node.name)
            self._refuse_stranger(node.name, present)
            if present is None or not present.made:
                if present is not None:
                    # Half-made by a run that was killed.
                    instances.delete(node.name)
                progress(f"making {node.name} ({size.cpus} CPU, {size.memory_mib} MiB) at {node.address}")
                instances.create(self._state, node, alias, size, self._files)
            instances.start(node.name)

        with ThreadPoolExecutor(max_workers=3) as pool:
            list(pool.map(ensure, self._state.nodes))
            # A half-made web node is for `scale-out` to finish, which knows its size.
            whole = [node.name for node in self._state.web if node.name in known and known[node.name].made]
            list(pool.map(instances.start, whole))
        self._write_known_hosts()

    def ensure_builder(self, size: Size, progress: Progress) -> None:
        """Have the machine beside the nodes that keeps Git and builds, if the grid has one, and have it running."""
        builder = self._state.builder
        if builder is None:
            return
        present = instances.listed().get(builder.name)
        self._refuse_stranger(builder.name, present)
        if present is None or not present.made:
            instances.delete(builder.name)
            progress(f"making {builder.name} ({size.cpus} CPU, {size.memory_mib} MiB) at {builder.address}")
            instances.create(self._state, builder, image.ensure_image(progress), size, self._files)
            instances.make_room_for_containers(builder.name)
        instances.start(builder.name)
        self._write_known_hosts()

    def add_machine(self, name: str, size: Size) -> str:
        """Make the machine of a node, or of a new web node, and start it; harmless when it is there.

        Returns:
            Its address.

        Raises:
            GridError: When another grid has an instance of that name.
        """
        check_name(name, "a machine", LONGEST_HOST_NAME)
        node = next((node for node in self._state.nodes if node.name == name), None) or self._state.web_node(name)
        present = instances.listed().get(name)
        self._refuse_stranger(name, present)
        self._state.save()
        if present is None or not present.made:
            instances.delete(name)
            instances.create(self._state, node, image.ensure_image(lambda text: None), size, self._files)
        instances.start(name)
        self._write_known_hosts()
        return node.address

    def remove_machine(self, name: str) -> None:
        """Remove the machine of a node or of a web node. A node keeps its place and its address.

        Harmless when there is none, or when the instance is not of this grid.
        """
        present = instances.listed().get(name)
        if present is not None and present.grid == self._state.name:
            instances.delete(name)
        self._state.web = [node for node in self._state.web if node.name != name]
        self._state.save()
        self._write_known_hosts()

    def remove(self, progress: Progress) -> None:
        """Remove every container of the grid, and its network."""
        for name in [name for name, instance in instances.listed().items() if instance.grid == self._state.name]:
            progress(f"removing {name}")
            instances.delete(name)
        network.remove_network(self._state.bridge, self._state.subnet)

    def _refuse_stranger(self, name: str, present: instances.Instance | None) -> None:
        """Another grid's instance is never touched.

        Raises:
            GridError: When this is one.
        """
        if present is not None and present.grid != self._state.name:
            raise GridError(f"an instance {name} exists that belongs to lab {present.grid}")

    def _ensure_key(self) -> None:
        key = self._state.ssh_key
        if key.exists():
            return
        key.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"trivet lab {self._state.name}", "-f", str(key)])

    def _write_known_hosts(self) -> None:
        # A machine that is down cannot be asked: what is known of it stays.
        file = self._state.known_hosts
        known = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        keys = dict(line.split(" ", 1) for line in known)
        running = {name for name, instance in instances.listed().items() if instance.state == "Running"}
        machines = self._state.machines
        keys |= {node.address: instances.host_key(node.name) for node in machines if node.name in running}
        lines = [f"{node.address} {keys[node.address]}\n" for node in machines if node.address in keys]
        file.write_text("".join(lines), encoding="utf-8")
