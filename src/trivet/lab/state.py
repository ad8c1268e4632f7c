# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab remembers between commands, as JSON under the labs directory."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from trivet.errors import InputError, LabError
from trivet.paths import labs_directory

SUBNET_PREFIX = "10.86"
FIRST_NODE_HOST = 11
FIRST_GATEWAY_HOST = 21
FIRST_WEB_HOST = 31
LAST_WEB_HOST = 250
MOST_LABS = 200
# A lab's name is the beginning of its machines' names.
LONGEST_LAB_NAME = 20
LONGEST_HOST_NAME = 63


@dataclass(frozen=True, slots=True)
class LabNode:
    """One system container. ``name`` is the instance's and the inventory's name."""

    name: str
    node_id: int
    address: str


@dataclass(slots=True)
class LabState:
    """A lab as it was asked for.

    :param like: the inventory whose topology it has, as a path.
    :param index: third octet of its subnet.
    :param scale: factor on every size of the table.
    :param variables: the inventory variables of ``like`` that hold for all of its nodes.
    :param web: machines made for web nodes. Which of them are in service says ``web-nodes.yml`` of the inventory.
    """

    name: str
    like: str
    index: int
    scale: float
    size: str
    nodes: list[LabNode]
    gateways: list[str]
    variables: dict[str, Any] = field(default_factory=dict)
    web: list[LabNode] = field(default_factory=list)

    @property
    def subnet(self) -> str:
        """The lab's network, a /24."""
        return f"{SUBNET_PREFIX}.{self.index}.0/24"

    @property
    def host_address(self) -> str:
        """This machine's address on the lab's bridge."""
        return f"{SUBNET_PREFIX}.{self.index}.1"

    @property
    def bridge(self) -> str:
        """The Incus network; at most 15 characters, the kernel's limit."""
        return f"trivet{self.index}"

    @property
    def directory(self) -> Path:
        """Where this lab's files are."""
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
    def machines(self) -> list[LabNode]:
        """Every system container of the lab."""
        return self.nodes + self.web

    def web_node(self, name: str) -> LabNode:
        """The web node of a name; a new one with the first free address when there is none.

        :raises LabError: when no address is left.
        """
        taken = {node.address for node in self.web}
        for node in self.web:
            if node.name == name:
                return node
        for host in range(FIRST_WEB_HOST, LAST_WEB_HOST):
            if self.address(host) not in taken:
                node = LabNode(name, host - FIRST_GATEWAY_HOST + 1, self.address(host))
                self.web.append(node)
                return node
        raise LabError(f"lab {self.name} has no address left for {name}", f"trivet scale-in {self.name} --web 1")

    def address(self, host: int) -> str:
        """The address with that last octet."""
        return f"{SUBNET_PREFIX}.{self.index}.{host}"

    def save(self) -> None:
        """Write it atomically."""
        self.directory.mkdir(parents=True, exist_ok=True)
        staged = self.directory / "lab.json.new"
        with staged.open("w", encoding="utf-8") as stream:
            stream.write(json.dumps(asdict(self), indent=2) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        staged.replace(self.directory / "lab.json")

    @classmethod
    def load(cls, name: str) -> LabState:
        """Read a lab.

        :raises LabError: when there is no such lab or its file cannot be read.
        """
        path = labs_directory() / name / "lab.json"
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            raw["nodes"] = [LabNode(**node) for node in raw["nodes"]]
            raw["web"] = [LabNode(**node) for node in raw.get("web", [])]
            return cls(**raw)
        except FileNotFoundError as error:
            raise LabError(f"there is no lab {name!r} ({path} does not exist)", f"trivet lab up {name}") from error
        except (ValueError, TypeError, KeyError) as error:
            raise LabError(f"{path} cannot be read: {error}", f"incus list; then rm -r {path.parent}") from error


def check_name(name: str, what: str = "a lab", longest: int = LONGEST_LAB_NAME) -> None:
    """Refuse a name that could not be a host name, or the beginning of one.

    :raises InputError: when it is not 1 to ``longest`` lower-case letters, digits and inner dashes.
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
    """A subnet that no other lab has.

    :raises LabError: when there is none left.
    """
    for index in range(1, MOST_LABS):
        if index not in taken:
            return index
    raise LabError("there are too many labs on this machine", "trivet lab down NAME")


def existing_states() -> list[LabState]:
    """All labs with a readable state, by name."""
    directory = labs_directory()
    if not directory.is_dir():
        return []
    states = []
    for entry in sorted(directory.iterdir()):
        try:
            states.append(LabState.load(entry.name))
        except LabError:
            continue
    return states
