# SPDX-License-Identifier: GPL-3.0-or-later
"""The releases that were built on this machine: one folder each, whole or not there."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trivet.build.archive import sha256_of
from trivet.build.locks import locked, taken_folder
from trivet.errors import BuildError

FORMAT = 1
ARCHIVE, MANIFEST, PARTS, LOG = "archive.tar.zst", "release.json", "sbom.cdx.json", "build.log"
SUPERSEDED = "superseded"
ID_DIGITS = 12
"""Of a release's id, in its name."""
STAGED, FAILED, REPLACED, LOCK = ".building-", "failed", ".replaced-", ".lock"


@dataclass(frozen=True)
class Release:
    """What a build made of an application.

    Attributes:
        name: ``<application>-<id>``; the id is made of all that went into the build.
        tree: Git's id of the files that it was built of.
        commit: That they come from, if they come from one unchanged.
        directory: Where its files are.
        manifest: What ``release.json`` says.
        archive: A tar file, compressed by zstd, whose members are all below ``app/``.
        sha256: Of the archive.
        size_bytes: Of the archive.
    """

    name: str
    application: str
    tree: str
    commit: str | None
    directory: Path
    manifest: Mapping[str, Any]
    archive: Path
    sha256: str
    size_bytes: int

    @property
    def log(self) -> Path:
        """What was told while it was built."""
        return self.directory / LOG

    @property
    def parts(self) -> Path:
        """The packages in it and those that it was built with, as CycloneDX (SBOM)."""
        return self.directory / PARTS


class Store:
    """Releases on this machine.

    Args:
        directory: Has one folder for each of them; made when it is needed.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def list(self) -> tuple[Release, ...]:
        """All of them that can be read, the newest first. Their archives are not read."""
        found = []
        for path in self.directory.glob(f"[!.]*/{MANIFEST}"):
            with suppress(BuildError):
                found.append(self._read(path.parent.name))
        found.sort(key=lambda release: (release.manifest["created"], release.name), reverse=True)
        return tuple(found)

    def has(self, name: str) -> bool:
        """Whether there is a release of that name."""
        return "/" not in name and (self.directory / name / MANIFEST).is_file()

    def newest(self, name: str) -> str:
        """The name of what a release was built again as, or its own."""
        seen = {name}
        while (link := self.directory / name / SUPERSEDED).is_file():
            following = link.read_text(encoding="utf-8").strip()
            if following in seen or not self.has(following):
                break
            name = following
            seen.add(name)
        return name

    def name_for(self, name: str, sha256: str) -> str:
        """The name for an archive: another one where there is a release of that name with another archive.

        A node that has a release of a name does not take it again.
        """
        with suppress(BuildError):
            if self._read(name).sha256 != sha256:
                digest = hashlib.sha256(f"{name} {sha256}".encode()).hexdigest()
                return f"{name.rpartition('-')[0]}-{digest[:ID_DIGITS]}"
        return name

    def supersede(self, name: str, by: str) -> None:
        """Have :meth:`newest` lead from a release to what it was built again as."""
        (self.directory / name / SUPERSEDED).write_text(f"{by}\n", encoding="utf-8")

    def get(self, name: str) -> Release:
        """The release of a name, its archive held against its checksum.

        Raises:
            BuildError: There is none, or it is not what was built.
        """
        release = self._read(name)
        try:
            found = sha256_of(release.archive)
        except OSError as error:
            raise self._damaged(name, f"{ARCHIVE} cannot be read: {error.strerror}") from error
        if found != release.sha256:
            raise self._damaged(name, f"{ARCHIVE} has the checksum {found}, but {release.sha256} was built")
        return release

    def keep(self, most: int, in_use: Collection[str]) -> tuple[str, ...]:
        """Remove the oldest releases of each application.

        Args:
            most: How many of each application stay.
            in_use: Names of releases that stay in any case, beside those.

        Returns:
            Names of those that were removed.
        """
        kept: dict[str, int] = {}
        removed = []
        for release in self.list():
            kept[release.application] = kept.get(release.application, 0) + 1
            if kept[release.application] > most and release.name not in in_use:
                # Without its manifest it is no release any more, however far the removal gets.
                (release.directory / MANIFEST).unlink()
                shutil.rmtree(release.directory)
                removed.append(release.name)
        return tuple(removed)

    @contextmanager
    def staged(self, name: str) -> Iterator[Path]:
        """A folder to put a release together in; removed unless it was published.

        What builds that were killed left goes. The caller sees to it that only one builds a release.
        """
        folder = self.directory / f"{STAGED}{name}"
        with locked(self.directory / LOCK):
            self._remove_left_over()
            folder.mkdir(parents=True)
            lock = taken_folder(folder)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)

    def _remove_left_over(self) -> None:
        for folder in self.directory.glob(f"{STAGED}*"):
            with suppress(BlockingIOError):
                lock = taken_folder(folder)
                shutil.rmtree(folder)
                os.close(lock)

    def publish(self, folder: Path, name: str, manifest: Mapping[str, Any]) -> Release:
        """Make a release of a folder: in the place of one of that name, if there is one."""
        with (folder / MANIFEST).open("w", encoding="utf-8") as stream:
            stream.write(json.dumps(manifest, indent=2) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        descriptor = os.open(folder / ARCHIVE, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        final, replaced = self.directory / name, self.directory / f"{REPLACED}{name}"
        shutil.rmtree(replaced, ignore_errors=True)
        if final.exists():
            final.rename(replaced)
        folder.rename(final)
        shutil.rmtree(replaced, ignore_errors=True)
        return self._read(name)

    def keep_log(self, folder: Path, name: str) -> Path:
        """Keep the log of a build that failed, the last one of each name.

        Returns:
            Where it is.
        """
        kept = self.directory / FAILED / f"{name}.log"
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / LOG, kept)
        return kept

    def _read(self, name: str) -> Release:
        folder = self.directory / name
        if not self.has(name):
            raise BuildError(f"there is no release {name} in {self.directory}", "trivet build DIR")
        try:
            manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            if manifest["format"] != FORMAT:
                raise self._damaged(name, f"{MANIFEST} has format {manifest['format']}, this Trivet reads {FORMAT}")
            return Release(
                name=name,
                application=str(manifest["application"]),
                tree=str(manifest["tree"]),
                commit=manifest["commit"],
                directory=folder,
                manifest=manifest,
                archive=folder / ARCHIVE,
                sha256=str(manifest["archive"]["sha256"]),
                size_bytes=int(manifest["archive"]["bytes"]),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise self._damaged(name, f"{MANIFEST} cannot be read: {error}") from error

    def _damaged(self, name: str, why: str) -> BuildError:
        return BuildError(f"the release {name} in {self.directory} is damaged: {why}", "trivet build DIR --rebuild")
