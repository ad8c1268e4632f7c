# SPDX-License-Identifier: GPL-3.0-or-later
"""GlusterFS on this node.

Only what a node knows by itself is asked: ``gluster volume status`` is a transaction of the whole cluster, of
which glusterd allows one at a time, so three collectors at once would refuse each other. Own processes are
found by their pid files; that all bricks answer is seen in the heal report, which connects to each of them.
"""

from __future__ import annotations

import os
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from trivet.health.collector import Collect
from trivet.health.config import NodeConfig
from trivet.health.external import Deadline, NoAnswer, run, unit_state
from trivet.health.parallel import ASSEMBLY_SECONDS, together
from trivet.services.files.contract import MOUNT, VOLUME
from trivet.services.files.facts import BrickHeal, FilesFacts, Peer

UNIT = "glusterd.service"
GLUSTER = "gluster"
RUN_DIRECTORY = Path("/run/gluster")
VOLUME_STORE = Path("/var/lib/glusterd/vols")
CONNECTIONS = ".meta/graphs/active"
"""Where a mount of GlusterFS shows its parts; those named ``…-client-…`` are its connections to bricks."""
MARKS = ".trivet-health"
YOUNGEST_MARK_SECONDS = 10.0
"""A mark younger than this stays: the others, asked at about the same time, must have seen the one before."""
_LOCKED = ("another transaction is in progress", "locking failed")


def collect(config: NodeConfig, deadline: Deadline) -> FilesFacts:
    """Gather the facts of GlusterFS on this node."""
    return _collect(config, deadline, heal=True)


def collect_without_heal(config: NodeConfig, deadline: Deadline) -> FilesFacts:
    """The same without what there is to heal, four fifths of what a whole collection costs: a program connects to every
    brick for it."""
    return _collect(config, deadline, heal=False)


def _collect(config: NodeConfig, deadline: Deadline, *, heal: bool) -> FilesFacts:
    if config.web_only:
        return client_facts(together({"files: mount": lambda: mount_facts(config)}, deadline.left()))
    volume = config.terms[VOLUME]
    status, replicas = volume_store(VOLUME_STORE / volume / "info")
    facts = FilesFacts(
        glusterd=unit_state(UNIT, deadline),
        volume_status=status,
        replicas=replicas,
        brick_online=process_alive(brick_pids(volume), b"glusterfsd"),
        self_heal_online=process_alive(RUN_DIRECTORY.glob("**/*shd.pid"), b"glusterfs"),
        heal_asked=heal,
    )
    questions: dict[str, Callable[[], FilesFacts]] = {
        "files: peers": lambda: FilesFacts(peers=parse_peers(gluster(("peer", "status"), deadline))),
        "files: mount": lambda: mount_facts(config),
    }
    if heal and replicas > 1:
        words = ("volume", "heal", volume, "info", "summary")
        questions["files: heal"] = lambda: FilesFacts(heal=parse_heal(gluster(words, deadline)))
    return assembled(facts, together(questions, deadline.left() - ASSEMBLY_SECONDS))


def client_facts(answers: Mapping[str, FilesFacts | NoAnswer]) -> FilesFacts:
    """The facts of a web node, which has the mount only; one that cannot even be asked is one that hangs."""
    mount = answers["files: mount"]
    return FilesFacts(mounted=True, mount_error=str(mount)) if isinstance(mount, NoAnswer) else mount


def assembled(facts: FilesFacts, answers: Mapping[str, FilesFacts | NoAnswer]) -> FilesFacts:
    """All facts in one: each question's own part, or why there is none."""
    peers, mount = answers["files: peers"], answers["files: mount"]
    heal = answers.get("files: heal", FilesFacts())
    if isinstance(peers, NoAnswer):
        facts = replace(facts, error=str(peers), down=facts.glusterd in ("inactive", "failed", "masked"))
    else:
        facts = replace(facts, peers=peers.peers)
    unhealed = {"heal_error": str(heal)} if isinstance(heal, NoAnswer) else {"heal": heal.heal}
    facts = replace(facts, **unhealed)
    if isinstance(mount, NoAnswer):
        # A mount that cannot even be asked is one that hangs.
        return replace(facts, mounted=True, mount_error=str(mount))
    return replace(
        facts,
        mounted=mount.mounted,
        writable=mount.writable,
        mount_error=mount.mount_error,
        written=mount.written,
        previous=mount.previous,
        seen=mount.seen,
        bricks_unheard=mount.bricks_unheard,
    )


def gluster(words: tuple[str, ...], deadline: Deadline) -> ElementTree.Element:
    """Ask glusterd through its command line; asked again while another transaction holds its lock.

    Raises:
        NoAnswer: glusterd refused, or did not answer in time.
    """
    while True:
        output = run([GLUSTER, "--mode=script", "--timeout=3", *words, "--xml"], deadline)
        try:
            root = ElementTree.fromstring(output.stdout)
        except ElementTree.ParseError as problem:
            raise NoAnswer(f"gluster {' '.join(words)}: {output.complaint}") from problem
        if (root.findtext("opRet") or "0") == "0":
            return root
        complaint = root.findtext("opErrstr") or output.complaint
        if not complaint.lower().startswith(_LOCKED):
            raise NoAnswer(f"gluster {' '.join(words)}: {complaint}")
        time.sleep(min(0.3, deadline.call()))


def parse_peers(root: ElementTree.Element) -> tuple[Peer, ...]:
    """The other members of the pool, from ``peer status``."""
    return tuple(
        Peer(
            name=peer.findtext("hostname") or "",
            connected=peer.findtext("connected") == "1",
            state=peer.findtext("stateStr") or "",
        )
        for peer in root.iter("peer")
    )


def volume_store(path: Path) -> tuple[str, int]:
    """Status and number of copies from glusterd's own store, which asks nobody; empty and 0 without a volume."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "", 0
    values = dict(line.split("=", 1) for line in lines if "=" in line)
    status = {"0": "Created", "1": "Started", "2": "Stopped"}.get(values.get("status", ""), "")
    return status, int(values.get("replica_count", 0))


def parse_heal(root: ElementTree.Element) -> tuple[BrickHeal, ...]:
    """The bricks of ``heal info summary``; one that does not answer has ``-`` for its counts."""
    return tuple(_brick_heal(brick) for brick in root.iter("brick"))


def _brick_heal(brick: ElementTree.Element) -> BrickHeal:
    total = _count(brick.findtext("totalNumberOfEntries"))
    split_brain = _count(brick.findtext("numberOfEntriesInSplitBrain"))
    return BrickHeal(
        brick=brick.findtext("name") or "",
        connected=brick.findtext("status") == "Connected",
        pending=None if total is None else total - (split_brain or 0),
        split_brain=split_brain,
    )


def _count(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None


def brick_pids(volume: str) -> Iterator[Path]:
    """The pid files of this node's bricks of a volume."""
    return RUN_DIRECTORY.glob(f"vols/{volume}/*.pid")


def process_alive(pid_files: Iterable[Path], program: bytes) -> bool:
    """True when one of the files names a living process of that program (pid files outlive a crash)."""
    for pid_file in pid_files:
        try:
            pid = int(pid_file.read_text(encoding="ascii"))
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]
        except (OSError, ValueError):
            continue
        if command.rsplit(b"/", 1)[-1] == program:
            return True
    return False


def mount_facts(config: NodeConfig) -> FilesFacts:
    """Whether the volume is mounted and takes a write, and the other nodes' writes seen through it."""
    mount = config.terms[MOUNT]
    if not mount.is_mount():
        return FilesFacts()
    marks = mount / MARKS
    try:
        marks.mkdir(mode=0o700, exist_ok=True)
        written, previous = leave_mark(marks / config.name, round(time.time(), 3))
        read = {member.name: read_mark(marks / member.name) for member in config.members}
        unheard = bricks_unheard(mount, config.terms[VOLUME])
    except OSError as problem:
        return FilesFacts(mounted=True, mount_error=str(problem))
    seen = {name: mark for name, mark in read.items() if mark is not None}
    return FilesFacts(
        mounted=True, writable=True, written=written, previous=previous, seen=seen, bricks_unheard=unheard
    )


def bricks_unheard(mount: Path, volume: str) -> tuple[str, ...]:
    """The addresses of bricks that do not answer the mount: they are gone, or hang for longer than ping-timeout.

    The mount shows its parts as files; asking them asks no brick.
    """
    parts = (mount / CONNECTIONS).glob(f"{volume}-client-*")
    return tuple(
        sorted(
            (part / "options/remote-host").read_text(encoding="utf-8").strip()
            for part in parts
            if "connected = 0" in (part / "private").read_text(encoding="utf-8")
        )
    )


def leave_mark(path: Path, now: float) -> tuple[float | None, float | None]:
    """Write this node's mark; it and the one that everybody must have seen, or None twice where it is too young.

    That is the last but one. Once, on GlusterFS 10.3, a client did not see one of 42 s ago, which it may have kept or
    failed to read: a moment's lapse must not keep a healthy node out.

    The young one is written again as it is: that the mount takes a write is asked every time.
    """
    marks = _marks(path)
    young = bool(marks) and 0 <= now - marks[0] < YOUNGEST_MARK_SECONDS
    kept = marks if young else (now, *marks[:1])
    # In place, not by rename: the other nodes keep reading one file.
    with path.open("r+b" if path.exists() else "wb") as file:
        file.write(f"{' '.join(f'{mark:.3f}' for mark in kept)}\n".encode())
        file.flush()
        os.fsync(file.fileno())
    return (None, None) if young else (now, marks[1] if len(marks) > 1 else None)


def read_mark(path: Path) -> float | None:
    """The time in a mark, None when there is none yet."""
    return next(iter(_marks(path)), None)


def _marks(path: Path) -> tuple[float, ...]:
    """A mark and, once there has been one, the mark before it; empty when there is none yet."""
    try:
        return tuple(map(float, path.read_text(encoding="ascii").split()[:2]))
    except (FileNotFoundError, ValueError):
        return ()


COLLECT = Collect(facts=FilesFacts, full=collect, often=collect_without_heal)
