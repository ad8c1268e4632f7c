# SPDX-License-Identifier: GPL-3.0-or-later
"""``web-nodes.yml`` beside the operator's inventory: the web nodes, each in the group of how far it has come.

Ansible reads the file as a part of the inventory, so that the roles know by group membership whom to let in
(all but ``trivet_web_leaving``) and whom the proxies use (neither ``joining`` nor ``leaving``).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import yaml

from trivet.errors import InputError
from trivet.model import Environment

FILE_NAME = "web-nodes.yml"
HEADER = """\
---
# Web nodes of this environment. Written by `trivet scale-out` and `trivet scale-in`; keep it with the inventory.
# The group of a node says how far it has come. To undo what was begun, run the other command, never edit this file.
"""


class Progress(StrEnum):
    """How far a web node has come. The group is called ``trivet_web_`` and this word."""

    JOINING = "joining"
    """Being made and configured: the environment lets it in, no HAProxy has it."""
    ENTERING = "entering"
    """It has passed its gate; the proxies are being told."""
    SERVING = "serving"
    DRAINING = "draining"
    """Gets no new work; every HAProxy still has it."""
    LEAVING = "leaving"
    """No HAProxy has it, nobody lets it in; its machine is being removed."""


UNFINISHED_OUT = (Progress.JOINING, Progress.ENTERING)
UNFINISHED_IN = (Progress.DRAINING, Progress.LEAVING)


@dataclass(frozen=True, slots=True)
class WebHost:
    """A web node as recorded.

    :param given: the machine is the operator's own (``--host``); else the provider made it and removes it again.
    """

    name: str
    address: str
    node_id: int
    progress: Progress
    given: bool = False


class Record:
    """The web nodes of an environment that Trivet itself keeps.

    :raises InputError: when the inventory is a single file, or the record cannot be read.
    """

    def __init__(self, environment: Environment) -> None:
        if not environment.inventory.is_dir():
            raise InputError(
                f"{environment.inventory} is a single file; web nodes are recorded in a file beside it, "
                "which Ansible reads only when the inventory is a folder",
                f"the same command with {environment.inventory.parent} for ENV",
            )
        self.path = environment.inventory / FILE_NAME
        self.hosts: tuple[WebHost, ...] = self._read()

    def progressed(self, names: Iterable[str], progress: Progress) -> None:
        """Note how far some nodes have come, at once for all of them."""
        moved = set(names)
        self._write(tuple(replace(host, progress=progress) if host.name in moved else host for host in self.hosts))

    def add(self, hosts: Iterable[WebHost]) -> None:
        """Record new nodes; those that are recorded already stay as they are."""
        known = {host.name for host in self.hosts}
        self._write((*self.hosts, *(host for host in hosts if host.name not in known)))

    def remove(self, names: Iterable[str]) -> None:
        """Forget nodes; with the last one the file goes."""
        gone = set(names)
        self._write(tuple(host for host in self.hosts if host.name not in gone))

    def of(self, *progress: Progress) -> tuple[WebHost, ...]:
        """The nodes that have come so far."""
        return tuple(host for host in self.hosts if host.progress in progress)

    def _read(self) -> tuple[WebHost, ...]:
        if not self.path.exists():
            return ()
        try:
            data = yaml.safe_load(self.path.read_text(encoding="utf-8"))
            groups: dict[str, Any] = data["all"]["children"]["trivet_web"]["children"]
            hosts = [
                WebHost(
                    name,
                    str(values["ansible_host"]),
                    int(values["trivet_node_id"]),
                    Progress(group.removeprefix("trivet_web_")),
                    bool(values.get("trivet_web_given", False)),
                )
                for group, section in groups.items()
                for name, values in section["hosts"].items()
            ]
        except (OSError, yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"{self.path} cannot be read: {error!r}", f"git log -p -- {self.path}") from error
        return tuple(sorted(hosts, key=lambda host: host.node_id))

    def _write(self, hosts: tuple[WebHost, ...]) -> None:
        self.hosts = tuple(sorted(hosts, key=lambda host: host.node_id))
        if not self.hosts:
            self.path.unlink(missing_ok=True)
            return
        groups: dict[str, Any] = {}
        for host in self.hosts:
            section = groups.setdefault(f"trivet_web_{host.progress}", {"hosts": {}})
            section["hosts"][host.name] = {
                "ansible_host": host.address,
                "trivet_node_id": host.node_id,
                "trivet_web_given": host.given,
            }
        text = HEADER + yaml.safe_dump({"all": {"children": {"trivet_web": {"children": groups}}}}, sort_keys=False)
        # Ansible leaves files of this suffix alone, should a torn one be left behind.
        staged = self.path.with_name(f".{FILE_NAME}.bak")
        try:
            with staged.open("w", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            staged.replace(self.path)
        except OSError as error:
            raise InputError(f"{self.path} cannot be written: {error}") from error
