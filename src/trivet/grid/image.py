# SPDX-License-Identifier: GPL-3.0-or-later
"""Images of system containers, built by mmdebstrap and imported once. The base image: Debian, systemd, SSH, Python."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from trivet.grid.machine import CACHE_DIRECTORY, debian_mirror, proxy_of_packages
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


@dataclass(frozen=True, slots=True)
class Recipe:
    """What goes into an image.

    Args:
        name: The images of a kind are told apart by it.
        packages: Debian packages.
        commands: Commands on the tree, which is ``$1``, after the packages are in.
        sources: Lines of apt's sources beside Debian's own.
    """

    name: str
    packages: tuple[str, ...]
    commands: tuple[str, ...]
    sources: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Twelve hex digits that change when what goes into the image changes."""
        parts = [RELEASE, self.packages, self.commands, self.sources, DPKG_OPTIONS, debian_mirror()]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]

    @property
    def alias(self) -> str:
        """The image's name in Incus."""
        return f"trivet-{self.name}-{self.digest}"


NODE = Recipe(
    RELEASE,
    PACKAGES,
    (
        # Every node makes its own keys and machine id at its first start.
        "rm -f $1/etc/ssh/ssh_host_*",
        ": > $1/etc/machine-id",
        "chroot $1 systemctl disable systemd-networkd systemd-resolved || true",
        "chroot $1 systemctl mask systemd-binfmt.service systemd-networkd-wait-online.service",
    ),
)


def ensure_image(progress: Callable[[str], None], recipe: Recipe = NODE) -> str:
    """Alias of an image, built and imported when it is missing."""
    alias = recipe.alias
    if attempt(["incus", "image", "show", alias]).returncode == 0:
        return alias
    root = CACHE_DIRECTORY / "images" / f"{alias}.tar"
    if not root.exists():
        progress(f"building the image {recipe.name} (about 30 s)")
        _build(root, recipe)
    progress(f"importing the image {recipe.name}")
    with tempfile.TemporaryDirectory() as folder:
        metadata = Path(folder) / "metadata.tar"
        _write_metadata(metadata)
        run(["incus", "image", "import", str(metadata), str(root), "--alias", alias], timeout=300)
    return alias


def _build(root: Path, recipe: Recipe) -> None:
    root.parent.mkdir(parents=True, exist_ok=True)
    mirror, security = debian_mirror()
    staged = root.with_suffix(".part.tar")
    run(
        [
            "mmdebstrap",
            "--variant=minbase",
            "--include=" + ",".join(recipe.packages),
            *(f"--dpkgopt={option}" for option in DPKG_OPTIONS),
            *(f"--customize-hook={command}" for command in recipe.commands),
            RELEASE,
            str(staged),
            f"deb {mirror} {RELEASE} main",
            f"deb {mirror} {RELEASE}-updates main",
            f"deb {security} {RELEASE}-security main",
            *recipe.sources,
        ],
        timeout=900,
        environment={**os.environ, **proxy_of_packages()},
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
