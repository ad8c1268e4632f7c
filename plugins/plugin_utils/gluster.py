# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``trivet.commerce.gluster_cluster`` does on the node; by the standard library alone."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import xml.etree.ElementTree as ElementTree
from typing import Any

# What glusterd answers while another node holds the lock of the cluster.
BUSY = ("Another transaction is in progress", "Locking failed", "Another transaction could be in progress")
PEER_IN_CLUSTER = "3"
VOLUME_STARTED = "1"


class Refused(Exception):
    """The reason why the cluster is not what is wanted."""


class Gluster:
    """The command line of GlusterFS, by its XML answers."""

    def __init__(self, check_mode: bool, timeout_seconds: int) -> None:
        self.check_mode = check_mode
        self.timeout_seconds = timeout_seconds
        self.binary = shutil.which("gluster")
        self.actions: list[str] = []
        if self.binary is None and not check_mode:
            raise Refused("gluster is not installed")

    def ask(self, *words: str) -> tuple[ElementTree.Element | None, str]:
        """The answer to a question, or None and the reason; waits while the cluster is busy."""
        if self.binary is None:
            return None, "gluster is not installed"
        deadline = time.monotonic() + self.timeout_seconds
        while True:
            ended = subprocess.run(
                [self.binary, "--mode=script", "--xml", *words],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
            )
            answer, reason = parsed(ended.returncode, ended.stdout, ended.stderr)
            if answer is not None or not any(text in reason for text in BUSY) or time.monotonic() > deadline:
                return answer, reason
            time.sleep(1)

    def act(self, *words: str) -> None:
        """Change something, unless in check mode; a refusal ends the program."""
        command = " ".join(words)
        self.actions.append(command)
        if self.check_mode:
            return
        answer, reason = self.ask(*words)
        if answer is None:
            raise Refused(f"gluster {command} failed: {reason}")


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
    """Compares the cluster with the action's arguments and changes what differs."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        self.arguments = arguments
        self.check_mode: bool = arguments["check_mode"]
        self.timeout_seconds: int = arguments["timeout_seconds"]
        self.gluster = Gluster(self.check_mode, self.timeout_seconds)
        self.nodes: list[str] = arguments["nodes"]
        self.volume: str = arguments["volume"]

    def ready_peers(self) -> dict[str, bool]:
        """Every known peer by each of its addresses, and whether it is a connected member."""
        answer, reason = self.gluster.ask("peer", "status")
        if answer is None:
            if self.check_mode:
                return {}
            raise Refused(f"glusterd does not answer: {reason}")
        peers: dict[str, bool] = {}
        for peer in answer.iter("peer"):
            ready = peer.findtext("connected") == "1" and peer.findtext("state") == PEER_IN_CLUSTER
            names = {peer.findtext("hostname")} | {name.text for name in peer.iterfind("hostnames/hostname")}
            peers.update({resolved(name): ready for name in names if name})
        return peers

    def ensure_peers(self) -> None:
        others = [node for node in self.nodes if node != self.arguments["address"]]
        known = self.ready_peers()
        missing = [node for node in others if node not in known]
        for node in missing:
            self.gluster.act("peer", "probe", node)
        if missing and not self.check_mode:
            self.wait_for_peers(missing)

    def wait_for_peers(self, wanted: list[str]) -> None:
        deadline = time.monotonic() + self.timeout_seconds
        while late := self.not_ready(wanted):
            if time.monotonic() > deadline:
                raise Refused(f"peers did not become members of the cluster: {', '.join(late)}")
            time.sleep(0.5)

    def not_ready(self, wanted: list[str]) -> list[str]:
        peers = self.ready_peers()
        return [node for node in wanted if not peers.get(node)]

    def ensure_volume(self) -> None:
        bricks = [f"{node}:{self.arguments['brick']}" for node in self.nodes]
        answer, reason = self.gluster.ask("volume", "info", self.volume)
        volume = answer.find("volInfo/volumes/volume") if answer is not None else None
        if volume is None:
            if answer is None and "does not exist" not in reason and not self.check_mode:
                raise Refused(f"the state of the volume {self.volume} is not known: {reason}")
            self.create(bricks)
        else:
            self.compare_bricks(volume, bricks)
        self.ensure_options(volume)
        if volume is None or volume.findtext("status") != VOLUME_STARTED:
            self.gluster.act("volume", "start", self.volume)

    def create(self, bricks: list[str]) -> None:
        replica = ["replica", str(len(bricks))] if len(bricks) > 1 else []
        force = ["force"] if self.arguments["force"] else []
        self.gluster.act("volume", "create", self.volume, *replica, *bricks, *force)

    def compare_bricks(self, volume: ElementTree.Element, wanted: list[str]) -> None:
        present = [brick.findtext("name") or "" for brick in volume.iterfind("bricks/brick")]
        if sorted(present) != sorted(wanted):
            raise Refused(
                f"the volume {self.volume} has the bricks {', '.join(present)}, "
                f"wanted are {', '.join(wanted)}; "
                "move them with `gluster volume replace-brick`, a converge does not"
            )

    def ensure_options(self, volume: ElementTree.Element | None) -> None:
        present: dict[str | None, str | None] = {}
        if volume is not None:
            present = {entry.findtext("name"): entry.findtext("value") for entry in volume.iterfind("options/option")}
        wanted = {name: option_text(value) for name, value in self.arguments["options"].items()}
        changes = [word for name, value in wanted.items() if present.get(name) != value for word in (name, value)]
        if changes:
            self.gluster.act("volume", "set", self.volume, *changes)


def main(arguments: dict[str, Any]) -> None:
    """Bring the cluster to what is wanted and print the result of the action as one line of JSON.

    :param arguments: those of ``trivet.commerce.gluster_cluster`` with every default filled in, and ``check_mode``.
    """
    actions: list[str] = []
    try:
        cluster = Cluster(arguments)
        actions = cluster.gluster.actions
        cluster.ensure_peers()
        cluster.ensure_volume()
        result: dict[str, Any] = {"changed": bool(actions), "actions": actions}
    except Refused as refusal:
        result = {"failed": True, "msg": str(refusal), "actions": actions}
    print(json.dumps(result))
