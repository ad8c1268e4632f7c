# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemons themselves check what the templates make: a Debian root with their packages, made once and kept.

Each command runs in a chroot with an empty network of its own, so that a check may bind addresses and load nothing.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from trivet.grid.image import RELEASE
from trivet.grid.machine import CACHE_DIRECTORY, debian_mirror
from trivet.grid.shell import run

BUILD_SECONDS = 900
CHECK_SECONDS = 60


def remove_unfinished(staged: Path) -> None:
    """Remove what a killed run left: first what it had mounted there, so that nothing outside is emptied."""
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()]
    for mount in reversed([mount for mount in mounts if Path(mount).is_relative_to(staged)]):
        run(["umount", "--lazy", mount])
    if staged.exists():
        shutil.rmtree(staged)


class Daemons:
    """A root directory with the packages of the roles.

    :param packages: what is installed in it; another list is another root.
    """

    def __init__(self, packages: Sequence[str]) -> None:
        self._packages = sorted(set(packages))
        digest = hashlib.sha256(json.dumps([RELEASE, self._packages, debian_mirror()]).encode()).hexdigest()[:12]
        self.root = CACHE_DIRECTORY / f"daemons-{digest}"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other process from the root meanwhile: it is one for all that run tests on this machine."""
        self.root.parent.mkdir(parents=True, exist_ok=True)
        with self.root.with_name(self.root.name + ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def ensure(self) -> None:
        """Make the root when it is not there yet, under the lock; takes one to three minutes."""
        if self.root.is_dir():
            return
        staged = self.root.with_name(self.root.name + ".part")
        remove_unfinished(staged)
        mirror, security = debian_mirror()
        command = [
            "mmdebstrap",
            "--variant=minbase",
            "--include=" + ",".join(self._packages),
            "--dpkgopt=path-exclude=/usr/share/doc/*",
            "--dpkgopt=path-exclude=/usr/share/locale/*",
            RELEASE,
            str(staged),
            f"deb {mirror} {RELEASE} main",
            f"deb {mirror} {RELEASE}-updates main",
            f"deb {security} {RELEASE}-security main",
        ]
        run(command, timeout=BUILD_SECONDS)
        staged.replace(self.root)

    def write(self, files: Mapping[str, str]) -> None:
        """Write files by their absolute paths inside the root."""
        for name, text in files.items():
            path = self.root / name.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def check(self, command: str, address: str) -> subprocess.CompletedProcess[str]:
        """Run a shell command in the root, on a network that has nothing but ``eth0`` with an address.

        What it leaves running ends with it.
        """
        network = (
            "ip link set lo up && ip link add eth0 type veth peer name peer0 && ip link set eth0 up && "
            f"ip address add {shlex.quote(address)}/24 dev eth0 && "
            f"exec chroot {shlex.quote(str(self.root))} /bin/sh -c {shlex.quote(command)}"
        )
        return subprocess.run(
            ["unshare", "--net", "--pid", "--fork", "--kill-child", "sh", "-c", network],
            capture_output=True,
            text=True,
            timeout=CHECK_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
