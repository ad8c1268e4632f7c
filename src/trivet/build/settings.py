# SPDX-License-Identifier: GPL-3.0-or-later
"""What a build is given beside the tree and the application's file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from trivet.errors import InputError
from trivet.grid.machine import CACHE_DIRECTORY

MIB = 2**20


@dataclass(frozen=True)
class PackageSource:
    """A source of Debian packages that has another PHP than Debian's own.

    Args:
        address: Of the repository.
        key: File with its public key, on this machine.
        suite: Debian release that its packages are for.
        component: Of the repository.
    """

    address: str
    key: Path
    suite: str = "bookworm"
    component: str = "main"

    @property
    def line(self) -> str:
        """As apt's sources say it."""
        return f"deb [signed-by={self.key.resolve()}] {self.address} {self.suite} {self.component}"


@dataclass(frozen=True)
class BuildSettings:
    """What a build is given beside the tree and the application's file.

    A variable is named as on the platform: ``env:NAME`` is the environment variable NAME, ``php:NAME`` a setting of
    PHP. A plain NAME is an environment variable and stands in ``MAGENTO_CLOUD_VARIABLES``; on the platform it stands
    there alone, but what a CI system hands over has plain names.

    Args:
        project: Name of the project: ``MAGENTO_CLOUD_PROJECT``, and whose cache of packages the build uses.
        variables: Those that a build may see.
        secrets: The same, for values that no log and no file of a release may have.
        network: Whether commands of the build reach the network, for composer and npm.
        php_source: Where PHP comes from when the application wants another one than Debian's.
        rebuild: Build again although a release of this tree is there.
        cache: Folder with the caches of packages, which survive builds. Root's alone.
        memory_mib: What the builder may use.
        hook_seconds: How long a hook, or the installation of packages, may take.
        largest_bytes: Of all files of a release together.
        largest_file_bytes: Of one file of a release.

    Raises:
        InputError: The project's name cannot name a folder.
    """

    project: str = "trivet"
    variables: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    network: bool = True
    php_source: PackageSource | None = None
    rebuild: bool = False
    cache: Path = CACHE_DIRECTORY / "builds"
    memory_mib: int = 4096
    hook_seconds: float = 3600.0
    largest_bytes: int = 8192 * MIB
    largest_file_bytes: int = 1024 * MIB - 1

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.project):
            raise InputError(f"{self.project!r} cannot name a project: use letters, digits, dots and dashes")
