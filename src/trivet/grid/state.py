# SPDX-License-Identifier: GPL-3.0-or-later
"""What a grid remembers between commands, as JSON in a folder of its own."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

from trivet.errors import GridError, InputError
from trivet.paths import labs_directory

SUBNET_PREFIX = "10.86"
FIRST_NODE_HOST = 11
FIRST_GATEWAY_HOST = 21
FIRST_WEB_HOST = 31
LAST_WEB_HOST = 240
GRID_HOST = 251
MOST_GRIDS = 200
# A grid's name is the beginning of its machines' names.
LONGEST_GRID_NAME = 20
LONGEST_HOST_NAME = 63
FILE = "lab.json"
"""The inventory plugin reads it too; labs were the first grids."""


@dataclass(frozen=True, slots=True)
class GridNode:
    """One system container. ``name`` is the instance's and the inventory's name."""

    name: str
    node_id: int
    address: str


@dataclass(slots=True)
class GridState:
    """The containers of a grid, and the network that they share.

    Args:
        index: Third octet of its subnet.
        size: Of its nodes, a name of the table.
        gateways: Addresses that move between the nodes.
        web: Machines made for web nodes. Which of them are in service says ``web-nodes.yml`` of the inventory.
        builder: The machine beside the nodes that keeps Git and builds releases, if there is one.
    """

    name: str
    index: int
    size: str
    nodes: list[GridNode]
    gateways: list[str]
    web: list[GridNode] = field(default_factory=list)
    builder: GridNode | None = None

    @property
    def subnet(self) -> str:
        """Its network, a /24."""
        return f"{SUBNET_PREFIX}.{self.index}.0/24"

    @property
    def host_address(self) -> str:
        """This machine's address on the bridge."""
        return f"{SUBNET_PREFIX}.{self.index}.1"

    @property
    def bridge(self) -> str:
        """The Incus network; at most 15 characters, the kernel's limit."""
        return f"trivet{self.index}"

    @property
    def directory(self) -> Path:
        """Where its files are."""
        return labs_directory() / self.name

    @property
    def ssh_key(self) -> Path:
        """Private key that every node takes."""
        return self.directory / "ssh" / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """Host keys of the nodes, read over Incus and not over the network."""
        return self.directory / "ssh" / "known_hosts"

    @property
    def inventory(self) -> Path:
        """Inventory folder that Ansible and ``trivet`` take."""
        return self.directory / "inventory"

    @property
    def machines(self) -> list[GridNode]:
        """Every system container."""
        return self.nodes + self.web + ([self.builder] if self.builder else [])

    def web_node(self, name: str) -> GridNode:
        """The web node of a name; a new one with the first free address when there is none.

        Raises:
            GridError: When no address is left.
        """
        taken = {node.address for node in self.web}
        for node in self.web:
            if node.name == name:
                return node
        for host in range(FIRST_WEB_HOST, LAST_WEB_HOST):
            if self.address(host) not in taken:
                node = GridNode(name, host - FIRST_GATEWAY_HOST + 1, self.address(host))
                self.web.append(node)
                return node
        raise GridError(f"lab {self.name} has no address left for {name}", f"trivet scale-in {self.name} --web 1")

    def address(self, host: int) -> str:
        """The address with that last octet."""
        return f"{SUBNET_PREFIX}.{self.index}.{host}"

    def save(self) -> None:
        """Write it atomically."""
        self.directory.mkdir(parents=True, exist_ok=True)
        staged = self.directory / f"{FILE}.new"
        with staged.open("w", encoding="utf-8") as stream:
            stream.write(json.dumps(asdict(self), indent=2) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        staged.replace(self.directory / FILE)

    @classmethod
    def load(cls, name: str) -> Self:
        """Read the state of a name.

        Raises:
            GridError: When there is none, or its file cannot be read.
        """
        path = labs_directory() / name / FILE
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            raw["nodes"] = [GridNode(**node) for node in raw["nodes"]]
            raw["web"] = [GridNode(**node) for node in raw.get("web", [])]
            raw["builder"] = GridNode(**raw["builder"]) if raw.get("builder") else None
            return cls(**raw)
        except FileNotFoundError as error:
            raise GridError(f"there is no lab {name!r} ({path} does not exist)", f"trivet lab up {name}") from error
        except (ValueError, TypeError, KeyError) as error:
            raise GridError(f"{path} cannot be read: {error}", f"incus list; then rm -r {path.parent}") from error


def check_name(name: str, what: str = "a lab", longest: int = LONGEST_GRID_NAME) -> None:
    """Refuse a name that could not be a host name, or the beginning of one.

    Raises:
        InputError: When it is not 1 to ``longest`` lower-case letters, digits and inner dashes.
    """
    plain = name.replace("-", "")
    if not (
        plain.isascii()
        and plain.isalnum()
        and name == name.lower()
        and len(name) <= longest
        and name[0].isalpha()
        and name[-1] != "-"
    ):
        raise InputError(
            f"{name!r} cannot name {what}: use up to {longest} lower-case letters, digits and inner dashes"
        )


def free_index(taken: set[int]) -> int:
    """A subnet that no other grid has.

    Raises:
        GridError: When there is none left.
    """
    for index in range(1, MOST_GRIDS):
        if index not in taken:
            return index
    raise GridError("there are too many labs on this machine", "trivet lab down NAME")


def taken_indices() -> dict[str, int]:
    """The subnets of all grids with a readable state, by the grid's name."""
    taken = {}
    for path in sorted(labs_directory().glob(f"*/{FILE}")):
        try:
            state = json.loads(path.read_text(encoding="utf-8"))
            taken[str(state["name"])] = int(state["index"])
        except (OSError, ValueError, TypeError, KeyError):
            continue
    return taken
