# SPDX-License-Identifier: GPL-3.0-or-later
"""The releases of this node, and those that the shared volume keeps for nodes that were away."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any, BinaryIO

from trivet.health.config import NodeConfig
from trivet.node.command import run_command
from trivet.node.errors import AgentError
from trivet.services.application.contract import HOME, RELEASES, STORE
from trivet.services.application.instance import NAME as INSTANCE_NAME
from trivet.services.application.instance import Instance
from trivet.services.files.contract import MOUNT

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}-[0-9a-f]{12}")
KEPT = 5
"""Releases beside the one that customers get; a roll-back goes to one of them."""
UNPACK_SECONDS = 900.0
BLOCK = 1024 * 1024
RECORD = "current.json"
LOCK = ".lock"
ABANDONED_SECONDS = 3600.0


class Store:
    """The folder of the shared volume. Raises ``AgentError`` where the volume is not mounted."""

    def __init__(self, config: NodeConfig) -> None:
        self.mount = config.terms[MOUNT]
        self.directory = self.mount / STORE

    def ready(self) -> None:
        """Have the folder.

        Raises:
            AgentError: the volume is not mounted.
        """
        if not os.path.ismount(self.mount):
            raise AgentError(f"{self.mount} is not mounted")
        for folder in (self.directory, self.directory / "releases", self.directory / "instances"):
            folder.mkdir(mode=0o700, exist_ok=True)

    def archive(self, release: str) -> Path:
        """Where the archive of a release is."""
        if not NAME.fullmatch(release):
            raise AgentError(f"{release!r} is no name of a release")
        return self.directory / "releases" / f"{release}.tar.zst"

    def receive(self, release: str, sha256: str, source: BinaryIO) -> bool:
        """Take an archive; whether it was not there yet.

        Raises:
            AgentError: what comes is not what was announced.
        """
        self.ready()
        path = self.archive(release)
        if path.exists() and checksum(path) == sha256:
            return False
        for left in path.parent.glob(f"{path.name}.*.part"):
            if time.time() - left.stat().st_mtime > ABANDONED_SECONDS:
                left.unlink(missing_ok=True)
        # A runner that was killed may still be sending: of the same archive, but into a file of its own.
        staged = path.with_name(f"{path.name}.{os.getpid()}.part")
        with staged.open("wb") as target:
            shutil.copyfileobj(source, target, BLOCK)
            target.flush()
            os.fsync(target.fileno())
        if checksum(staged) != sha256:
            staged.unlink()
            raise AgentError(f"the archive of {release} did not arrive whole")
        staged.replace(path)
        return True

    def record(self, instance: Instance) -> None:
        """Have every node that comes back take this instance before it serves."""
        self.ready()
        replaced(self.directory / "instances" / f"{instance.name}.json", json.dumps(instance.to_dict()))
        replaced(self.directory / RECORD, json.dumps({"instance": instance.name, "release": instance.release}))

    def recorded(self) -> Instance | None:
        """The instance of the environment; None when there is none yet.

        Raises:
            AgentError: the volume is not mounted, or has only half of it.
        """
        if not os.path.ismount(self.mount):
            raise AgentError(f"{self.mount} is not mounted")
        path = self.directory / RECORD
        if not path.exists():
            return None
        try:
            name = json.loads(path.read_text(encoding="utf-8"))["instance"]
            text = (self.directory / "instances" / f"{name}.json").read_text(encoding="utf-8")
            return Instance.from_dict(json.loads(text))
        except (OSError, ValueError, KeyError) as problem:
            raise AgentError(f"{path} cannot be read: {problem}") from problem

    def described(self, name: str) -> Instance:
        """An instance that served on this environment.

        Raises:
            AgentError: the volume does not have it any more.
        """
        path = self.directory / "instances" / f"{name}.json"
        if not INSTANCE_NAME.fullmatch(name) or not path.is_file():
            raise AgentError(f"the shared volume has no instance {name}")
        return Instance.from_dict(json.loads(path.read_text(encoding="utf-8")))

    def prune(self) -> list[str]:
        """Remove the oldest archives, with the instances of their releases; names of the releases.

        By what the volume itself has: a node that was away has fewer releases than the others may go back to.
        """
        recorded = self.recorded()
        archives = sorted((self.directory / "releases").glob("*.tar.zst"), key=lambda path: path.stat().st_mtime)
        spare = [path for path in archives if recorded is None or release_of(path) != recorded.release]
        gone = [release_of(path) for path in spare[: max(0, len(spare) - KEPT)]]
        for release in gone:
            for path in (self.directory / "instances").glob(f"{release}-*.json"):
                path.unlink(missing_ok=True)
            self.archive(release).unlink(missing_ok=True)
        return gone


def release_of(archive: Path) -> str:
    """The release that an archive is of."""
    return archive.name.removesuffix(".tar.zst")


def checksum(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def present() -> list[str]:
    """Names of the releases that this node has, the one unpacked last at the end."""
    found = [path for path in RELEASES.default.glob("*") if NAME.fullmatch(path.name)]
    return [path.name for path in sorted(found, key=lambda path: path.stat().st_mtime)]


def unpack(store: Store, release: str, sha256: str) -> bool:
    """Have the code of a release on this node; whether it was not there yet.

    Raises:
        AgentError: the volume does not have the archive, it is another one, or it does not unpack.
    """
    place = RELEASES.default / release
    archive = store.archive(release)
    if place.is_dir():
        return False
    if not archive.is_file():
        raise AgentError(f"the shared volume has no archive of {release}")
    if checksum(archive) != sha256:
        raise AgentError(f"the archive of {release} on the shared volume is not the one that was built")
    RELEASES.default.mkdir(mode=0o755, exist_ok=True)
    with (RELEASES.default / LOCK).open("w") as lock:
        # A runner that was killed may have left a node that is still unpacking.
        fcntl.flock(lock, fcntl.LOCK_EX)
        return not place.is_dir() and _unpacked(archive, release, place)


def _unpacked(archive: Path, release: str, place: Path) -> bool:
    staged = RELEASES.default / f".{release}"
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(mode=0o755)
    words = ["tar", "--extract", "--zstd", "--file", str(archive), "--directory", str(staged), "--no-same-owner"]
    run_command(["nice", "-n", "10", *words, "--no-same-permissions", "--delay-directory-restore"], UNPACK_SECONDS)
    if not (staged / "app").is_dir():
        raise AgentError(f"the archive of {release} has no folder app")
    staged.rename(place)
    return True


def make_mount_points(instance: Instance) -> None:
    """Have a folder in the code for each mount: nothing can be mounted where nothing is."""
    for mount in instance.mounts:
        (instance.code / Path(mount.target).relative_to(HOME)).mkdir(mode=0o755, parents=True, exist_ok=True)


def prune(kept: Collection[str]) -> list[str]:
    """Remove the oldest releases beyond ``KEPT`` that nobody needs; their names."""
    spare = [name for name in present() if name not in kept]
    gone = spare[: max(0, len(spare) - KEPT)]
    for name in gone:
        shutil.rmtree(RELEASES.default / name, ignore_errors=True)
    return gone


def replaced(path: Path, text: str) -> None:
    """Write a file of root's, whole or not at all."""
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    staged.replace(path)


def facts_of_store(store: Store) -> dict[str, Any]:
    """What the volume says: the instance of the environment, and the archives that it keeps."""
    recorded = store.recorded()
    archives = sorted(release_of(path) for path in (store.directory / "releases").glob("*.tar.zst"))
    return {"recorded": recorded.name if recorded else None, "archives": archives}
