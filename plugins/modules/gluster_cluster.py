#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring a GlusterFS cluster of equal nodes and its one volume into the wanted state."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gluster_cluster
short_description: Peers, one replicated volume and its options
description:
  - Run on one node, it makes the other nodes peers, creates the volume with one brick on each node, sets its
    options and starts it.
  - The bricks of a volume that exists are never changed. A difference fails, since moving data is no work
    of a converge.
  - Options that are not named keep their value.
version_added: 0.1.0
author: Trivet
options:
  address:
    description: Address of the node that the module runs on; one of O(nodes).
    type: str
    required: true
  nodes:
    description:
      - Addresses of all nodes, in the order of their bricks.
      - With more than one, the volume is replicated on all of them.
    type: list
    elements: str
    required: true
  volume:
    description: Name of the volume.
    type: str
    required: true
  brick:
    description: Path of the brick, the same on every node.
    type: path
    required: true
  options:
    description: Options of the volume.
    type: dict
    default: {}
  force:
    description: Create the volume although its bricks lie on the root file system.
    type: bool
    default: false
  timeout_seconds:
    description: How long to wait for new peers, and for another transaction of the cluster to end.
    type: int
    default: 60
attributes:
  check_mode:
    description: Reports what would be done.
    support: full
"""

EXAMPLES = r"""
- name: Form the cluster and its volume
  trivet.commerce.gluster_cluster:
    address: 192.0.2.11
    nodes: [192.0.2.11, 192.0.2.12, 192.0.2.13]
    volume: shared
    brick: /srv/glusterfs/shared/brick
    options: {network.ping-timeout: 5}
  run_once: true
"""

RETURN = r"""
actions:
  description: The gluster commands that were run (or would be, in check mode).
  type: list
  elements: str
  returned: always
"""

import socket
import time
import xml.etree.ElementTree as ElementTree

from ansible.module_utils.basic import AnsibleModule

# What glusterd answers while another node holds the lock of the cluster.
BUSY = ("Another transaction is in progress", "Locking failed", "Another transaction could be in progress")
PEER_IN_CLUSTER = "3"
VOLUME_STARTED = "1"


class Gluster:
    """The command line of GlusterFS, by its XML answers."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.binary = module.get_bin_path("gluster", required=not module.check_mode)
        self.actions: list[str] = []

    def ask(self, *words: str) -> tuple[ElementTree.Element | None, str]:
        """The answer to a question, or None and the reason; waits while the cluster is busy."""
        if self.binary is None:
            return None, "gluster is not installed"
        deadline = time.monotonic() + self.module.params["timeout_seconds"]
        while True:
            code, out, err = self.module.run_command([self.binary, "--mode=script", "--xml", *words])
            answer, reason = parsed(code, out, err)
            if answer is not None or not any(text in reason for text in BUSY) or time.monotonic() > deadline:
                return answer, reason
            time.sleep(1)

    def act(self, *words: str) -> None:
        """Change something, unless in check mode; a refusal ends the module."""
        command = " ".join(words)
        self.actions.append(command)
        if self.module.check_mode:
            return
        answer, reason = self.ask(*words)
        if answer is None:
            self.module.fail_json(msg=f"gluster {command} failed: {reason}", actions=self.actions)


def parsed(code: int, out: str, err: str) -> tuple[ElementTree.Element | None, str]:
    try:
        answer = ElementTree.fromstring(out)
    except ElementTree.ParseError:
        return None, (out + err).strip() or f"exit status {code}"
    if answer.findtext("opRet") == "0":
        return answer, ""
    return None, answer.findtext("opErrstr") or err.strip() or f"error {answer.findtext('opErrno')}"


def resolved(name: str) -> str:
    try:
        return socket.gethostbyname(name)
    except OSError:
        return name


def option_text(value: object) -> str:
    """YAML reads on and off as booleans."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)


class Cluster:
    """Compares the cluster with the module's parameters and changes what differs."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.gluster = Gluster(module)
        self.nodes: list[str] = module.params["nodes"]
        self.volume: str = module.params["volume"]

    def ready_peers(self) -> dict[str, bool]:
        """Every known peer by each of its addresses, and whether it is a connected member."""
        answer, reason = self.gluster.ask("peer", "status")
        if answer is None:
            if self.module.check_mode:
                return {}
            self.module.fail_json(msg=f"glusterd does not answer: {reason}")
        peers: dict[str, bool] = {}
        for peer in answer.iter("peer"):
            ready = peer.findtext("connected") == "1" and peer.findtext("state") == PEER_IN_CLUSTER
            names = {peer.findtext("hostname")} | {name.text for name in peer.iterfind("hostnames/hostname")}
            peers.update({resolved(name): ready for name in names if name})
        return peers

    def ensure_peers(self) -> None:
        others = [node for node in self.nodes if node != self.module.params["address"]]
        known = self.ready_peers()
        missing = [node for node in others if node not in known]
        for node in missing:
            self.gluster.act("peer", "probe", node)
        if missing and not self.module.check_mode:
            self.wait_for_peers(missing)

    def wait_for_peers(self, wanted: list[str]) -> None:
        deadline = time.monotonic() + self.module.params["timeout_seconds"]
        while late := self.not_ready(wanted):
            if time.monotonic() > deadline:
                self.module.fail_json(msg=f"peers did not become members of the cluster: {', '.join(late)}")
            time.sleep(0.5)

    def not_ready(self, wanted: list[str]) -> list[str]:
        peers = self.ready_peers()
        return [node for node in wanted if not peers.get(node)]

    def ensure_volume(self) -> None:
        bricks = [f"{node}:{self.module.params['brick']}" for node in self.nodes]
        answer, reason = self.gluster.ask("volume", "info", self.volume)
        volume = answer.find("volInfo/volumes/volume") if answer is not None else None
        if volume is None:
            if answer is None and "does not exist" not in reason and not self.module.check_mode:
                self.module.fail_json(msg=f"the state of the volume {self.volume} is not known: {reason}")
            self.create(bricks)
        else:
            self.compare_bricks(volume, bricks)
        self.ensure_options(volume)
        if volume is None or volume.findtext("status") != VOLUME_STARTED:
            self.gluster.act("volume", "start", self.volume)

    def create(self, bricks: list[str]) -> None:
        replica = ["replica", str(len(bricks))] if len(bricks) > 1 else []
        force = ["force"] if self.module.params["force"] else []
        self.gluster.act("volume", "create", self.volume, *replica, *bricks, *force)

    def compare_bricks(self, volume: ElementTree.Element, wanted: list[str]) -> None:
        present = [brick.findtext("name") or "" for brick in volume.iterfind("bricks/brick")]
        if sorted(present) != sorted(wanted):
            self.module.fail_json(
                msg=f"the volume {self.volume} has the bricks {', '.join(present)}, "
                f"wanted are {', '.join(wanted)}; "
                "move them with `gluster volume replace-brick`, a converge does not"
            )

    def ensure_options(self, volume: ElementTree.Element | None) -> None:
        present: dict[str | None, str | None] = {}
        if volume is not None:
            present = {entry.findtext("name"): entry.findtext("value") for entry in volume.iterfind("options/option")}
        wanted = {name: option_text(value) for name, value in self.module.params["options"].items()}
        changes = [word for name, value in wanted.items() if present.get(name) != value for word in (name, value)]
        if changes:
            self.gluster.act("volume", "set", self.volume, *changes)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "address": {"type": "str", "required": True},
            "nodes": {"type": "list", "elements": "str", "required": True},
            "volume": {"type": "str", "required": True},
            "brick": {"type": "path", "required": True},
            "options": {"type": "dict", "default": {}},
            "force": {"type": "bool", "default": False},
            "timeout_seconds": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    cluster = Cluster(module)
    cluster.ensure_peers()
    cluster.ensure_volume()
    module.exit_json(changed=bool(cluster.gluster.actions), actions=cluster.gluster.actions)


if __name__ == "__main__":
    main()
