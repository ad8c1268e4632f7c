# SPDX-License-Identifier: GPL-3.0-or-later
"""The base image: a bare Debian with systemd, SSH and Python, built by mmdebstrap and imported once."""

from __future__ import annotations

import hashlib
import json
import tarfile
import tempfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

from trivet.grid.machine import CACHE_DIRECTORY, debian_mirror
from trivet.grid.shell import attempt, run

RELEASE = "bookworm"
PACKAGES = (
    "ca-certificates",
    "dbus",
    "ifupdown",
    "iproute2",
    "iputils-ping",
    "netbase",
    "openssh-server",
    "procps",
    "python3",
    "python3-apt",
    "systemd",
    "systemd-sysv",
    "udev",
)


# A node of a grid is made again, not repaired: its package installations need not survive a power cut half-way.
DPKG_OPTIONS = ("force-unsafe-io",)


def recipe() -> str:
    """Twelve hex digits that change when what goes into the image changes."""
    return hashlib.sha256(json.dumps([RELEASE, PACKAGES, DPKG_OPTIONS, debian_mirror()]).encode()).hexdigest()[:12]


def ensure_image(progress: Callable[[str], None]) -> str:
    """Alias of the base image, built and imported when it is missing."""
    alias = f"trivet-{RELEASE}-{recipe()}"
    if attempt(["incus", "image", "show", alias]).returncode == 0:
        return alias
    root = CACHE_DIRECTORY / "images" / f"{alias}.tar"
    if not root.exists():
        progress(f"building the base image ({RELEASE}, about 30 s)")
        _build(root)
    progress("importing the base image")
    with tempfile.TemporaryDirectory() as folder:
        metadata = Path(folder) / "metadata.tar"
        _write_metadata(metadata)
        run(["incus", "image", "import", str(metadata), str(root), "--alias", alias], timeout=300)
    return alias


def _build(root: Path) -> None:
    root.parent.mkdir(parents=True, exist_ok=True)
    mirror, security = debian_mirror()
    staged = root.with_suffix(".part.tar")
    run(
        [
            "mmdebstrap",
            "--variant=minbase",
            "--include=" + ",".join(PACKAGES),
            # Every node makes its own keys and machine id at its first start.
            "--customize-hook=rm -f $1/etc/ssh/ssh_host_*",
            "--customize-hook=: > $1/etc/machine-id",
            *(f"--dpkgopt={option}" for option in DPKG_OPTIONS),
            "--customize-hook=chroot $1 systemctl disable systemd-networkd systemd-resolved || true",
            "--customize-hook=chroot $1 systemctl mask systemd-binfmt.service systemd-networkd-wait-online.service",
            RELEASE,
            str(staged),
            f"deb {mirror} {RELEASE} main",
            f"deb {mirror} {RELEASE}-updates main",
            f"deb {security} {RELEASE}-security main",
        ],
        timeout=900,
    )
    staged.replace(root)


def _write_metadata(path: Path) -> None:
    text = (
        f"architecture: x86_64\ncreation_date: 1700000000\nproperties:\n  os: Debian\n  release: {RELEASE}\n".encode()
    )
    with tarfile.open(path, "w") as archive:
        entry = tarfile.TarInfo("metadata.yaml")
        entry.size = len(text)
        archive.addfile(entry, BytesIO(text))
