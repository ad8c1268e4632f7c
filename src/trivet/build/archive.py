# SPDX-License-Identifier: GPL-3.0-or-later
"""The archive of a release: what a builder hands over, checked file by file and written anew.

Nothing that a builder says is taken as it is: a release has folders, plain files and links inside of ``app/``, all of
them root's, with the rights 0755 or 0644. Equal files give an equal archive. A file's time is made of its content: a
browser that asks whether a file has changed since (``ETag``, ``If-Modified-Since``) gets the right answer after any
deploy, and a copy by size and time finds what differs between two releases.
"""

from __future__ import annotations

import hashlib
import posixpath
import subprocess
import tarfile
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from trivet.build.secrets import Secrets
from trivet.build.settings import MIB
from trivet.errors import BuildError

ROOT = "app"
IN_MEMORY_BYTES = 16 * MIB
CHUNK_BYTES = MIB
FOLDER_TIME = 1_000_000_000
TIME_SPAN = 2**29
"""Times of files lie within 17 years after September 2001."""
MOST_LINKS = 40
SETUID = 0o6000
COMPRESS = ("zstd", "-q", "-T2", "-5", "-f", "-o")


@dataclass(frozen=True)
class Rules:
    """What an archive may have.

    Args:
        secrets: No file may have one.
        mounts: Folders that something else is mounted over; no link may stand in their way.
        largest_bytes: Of all files together.
        largest_file_bytes: Of one file.
        keep: Files whose content the caller wants, by their path in the application.
    """

    secrets: Secrets
    mounts: Collection[str]
    largest_bytes: int
    largest_file_bytes: int
    keep: Collection[str] = ()


@dataclass
class Packed:
    """What an archive has in it.

    Attributes:
        files: How many, links included.
        size_bytes: Of all files.
        links: The links' targets by their path.
        kept: Content of the files that the rules name.
    """

    files: int = 0
    size_bytes: int = 0
    links: dict[str, str] = field(default_factory=dict)
    kept: dict[str, bytes] = field(default_factory=dict)


def pack(source: IO[bytes], archive: Path, rules: Rules) -> Packed:
    """Write the archive of what a builder hands over.

    Args:
        source: A tar file, read once from its beginning.
        archive: The file to write.
        rules: What it may have.

    Raises:
        BuildError: It has what a release must not have; names the file.
    """
    packed = Packed()
    with subprocess.Popen([*COMPRESS, str(archive)], stdin=subprocess.PIPE) as compressor:
        assert compressor.stdin is not None
        try:
            with (
                tarfile.open(fileobj=source, mode="r|") as members,
                tarfile.open(fileobj=compressor.stdin, mode="w|", format=tarfile.GNU_FORMAT) as written,
            ):
                for member in members:
                    _copy(member, members, written, rules, packed)
        except tarfile.TarError as error:
            raise BuildError(f"the builder handed over no readable archive: {error}") from error
        except BrokenPipeError:
            # What zstd's exit code tells below is why.
            pass
        compressor.stdin.close()
    if compressor.returncode != 0:
        raise BuildError(f"the archive could not be compressed into {archive}: zstd ended with {compressor.returncode}")
    _check_links(packed.links, rules.mounts)
    return packed


def _copy(
    member: tarfile.TarInfo, members: tarfile.TarFile, written: tarfile.TarFile, rules: Rules, packed: Packed
) -> None:
    name = _checked_name(member.name)
    entry = tarfile.TarInfo(name)
    entry.uname = entry.gname = "root"
    entry.mtime = FOLDER_TIME
    if member.isdir():
        _refuse_rights(member, name)
        entry.type, entry.mode = tarfile.DIRTYPE, 0o755
        written.addfile(entry)
    elif member.issym():
        entry.type, entry.mode = tarfile.SYMTYPE, 0o777
        entry.linkname = packed.links[name] = _relative_target(name, member.linkname)
        packed.files += 1
        written.addfile(entry)
    elif member.isreg():
        _refuse_rights(member, name)
        entry.mode = 0o755 if member.mode & 0o100 else 0o644
        _copy_file(member, members, entry, written, rules, packed)
    else:
        raise BuildError(f"{_shown(name)} is neither a file nor a folder nor a link: a release cannot have it")


def _copy_file(
    member: tarfile.TarInfo,
    members: tarfile.TarFile,
    entry: tarfile.TarInfo,
    written: tarfile.TarFile,
    rules: Rules,
    packed: Packed,
) -> None:
    packed.files += 1
    packed.size_bytes += member.size
    refuse_size(entry.name, member.size, packed.size_bytes, rules)
    stream = members.extractfile(member)
    assert stream is not None
    digest = hashlib.sha256()
    overlap = b""
    with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES) as content:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
            content.write(chunk)
            if rules.secrets.stand_in(overlap + chunk):
                raise BuildError(
                    f"{_shown(entry.name)} has the value of a secret in it, which a release must not have;"
                    " have the build hook leave it out"
                )
            overlap = (overlap + chunk)[-rules.secrets.overlap :] if rules.secrets.overlap else b""
        entry.size = content.tell()
        entry.mtime = FOLDER_TIME + int.from_bytes(digest.digest()[:4], "big") % TIME_SPAN
        inner = entry.name.removeprefix(f"{ROOT}/")
        content.seek(0)
        if inner in rules.keep:
            packed.kept[inner] = content.read()
            content.seek(0)
        written.addfile(entry, content)


def refuse_size(name: str, size: int, total: int, rules: Rules) -> None:
    """Refuse what is larger than a release may be.

    Raises:
        BuildError: The file is, or all files together are.
    """
    if size > rules.largest_file_bytes:
        raise BuildError(
            f"{_shown(name)} has {size} bytes; a file of a release may have {rules.largest_file_bytes}"
            " (setting `largest_file_bytes` of the build)"
        )
    if total > rules.largest_bytes:
        raise BuildError(
            f"the application has {total} bytes and more; a release may have {rules.largest_bytes}"
            " (setting `largest_bytes` of the build)"
        )


def _checked_name(name: str) -> str:
    """Raises: BuildError: It lies outside of the application."""
    parts = name.rstrip("/").split("/")
    if parts[0] != ROOT or ".." in parts or "" in parts:
        raise BuildError(f"the archive of the build has the name {name!r}, which lies outside of the application")
    return "/".join(parts)


def _refuse_rights(member: tarfile.TarInfo, name: str) -> None:
    if member.mode & SETUID:
        raise BuildError(
            f"{_shown(name)} would run with the rights of its owner or group (mode {member.mode & 0o7777:04o});"
            f" a release cannot have it: chmod ug-s {_shown(name)}"
        )


def _relative_target(name: str, target: str) -> str:
    """A link to ``/app/…`` is one within the application, and leads there from anywhere when it is relative."""
    if target == f"/{ROOT}" or target.startswith(f"/{ROOT}/"):
        return posixpath.relpath(target.lstrip("/"), posixpath.dirname(name))
    if target.startswith("/"):
        raise BuildError(
            f"{_shown(name)} is a link to {target}, which is not part of the release; link to a path within /app"
        )
    return target


def _check_links(links: Mapping[str, str], mounts: Collection[str]) -> None:
    for name, target in sorted(links.items()):
        if not _stays_inside(name, links):
            raise BuildError(f"{_shown(name)} is a link to {target}, which leads out of the application")
    for mount in sorted(mounts):
        parts = mount.strip("/").split("/")
        for depth in range(1, len(parts) + 1):
            path = "/".join([ROOT, *parts[:depth]])
            if path in links:
                raise BuildError(
                    f"the mount `{mount}` would lead through {_shown(path)}, a link to {links[path]};"
                    " make it a folder, or take it out of the build"
                )


def _stays_inside(name: str, links: Mapping[str, str]) -> bool:
    """Whether following a link never leaves the application, the links on the way followed, too."""
    at: list[str] = []
    todo = name.split("/")[::-1]
    followed = 0
    while todo:
        part = todo.pop()
        if part == "..":
            if len(at) <= 1:
                return False
            at.pop()
        elif part not in ("", "."):
            at.append(part)
            target = links.get("/".join(at))
            if target is not None:
                followed += 1
                if followed > MOST_LINKS:
                    # One that leads to itself leads nowhere.
                    return True
                at.pop()
                todo += target.split("/")[::-1]
    return True


def _shown(name: str) -> str:
    return "/" + name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def sha256_of(path: Path) -> str:
    """Checksum of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
