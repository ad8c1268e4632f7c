# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``trivet.commerce.files`` does on the node; by the standard library alone."""

from __future__ import annotations

import base64
import grp
import json
import os
import pwd
import re
import shlex
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterable
from typing import Any

MARKS = "/etc/trivet"
"""Folders in it keep the marks of what waits: ``pending-reload`` and ``pending-restart``."""
DIFF_LIMIT = 200_000
"""Bytes of a file whose difference is shown."""


class Refused(Exception):
    """Nothing was changed. The arguments are the reason, and what a check said."""


def wanted_bytes(entry: dict[str, Any]) -> bytes:
    """What a file is to hold."""
    if entry.get("content_base64") is not None:
        return base64.b64decode(entry["content_base64"])
    return (entry.get("content") or "").encode()


def current_state(path: str) -> tuple[bytes | None, os.stat_result | None]:
    """What a file holds and its attributes; None for what is not there, or no file."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None, None
    if not stat.S_ISREG(status.st_mode):
        return None, status
    with open(path, "rb") as stream:
        return stream.read(), status


def same_attributes(status: os.stat_result, entry: dict[str, Any], uid: int, gid: int) -> bool:
    """Whether owner, group and mode are those that are wanted."""
    return (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (uid, gid, int(entry["mode"], 8))


class Tree:
    """Stages every change first, then applies all of them."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        self.arguments = arguments
        self.check_mode: bool = arguments["check_mode"]
        self.changed_files: list[str] = []
        self.diffs: list[dict[str, str]] = []
        self.staged: list[tuple[str, str]] = []
        self.links_to_make: list[dict[str, str]] = []
        self.to_remove: list[str] = []

    def user_id(self, name: str) -> int:
        """The numeric id of a user; in check mode a user that is not there yet counts as root."""
        try:
            return int(name) if name.isdigit() else pwd.getpwnam(name).pw_uid
        except KeyError:
            if self.check_mode:
                return 0
            raise Refused(f"user {name!r} does not exist on this node") from None

    def group_id(self, name: str) -> int:
        """The numeric id of a group; in check mode a group that is not there yet counts as root's."""
        try:
            return int(name) if name.isdigit() else grp.getgrnam(name).gr_gid
        except KeyError:
            if self.check_mode:
                return 0
            raise Refused(f"group {name!r} does not exist on this node") from None

    def directories(self) -> None:
        """Make the directories, or give them their attributes."""
        for entry in self.arguments["directories"]:
            path = entry["path"]
            uid, gid = self.user_id(entry["owner"]), self.group_id(entry["group"])
            if os.path.isdir(path) and same_attributes(os.stat(path), entry, uid, gid):
                continue
            self.changed_files.append(path)
            if self.check_mode:
                continue
            os.makedirs(path, exist_ok=True)
            os.chown(path, uid, gid)
            os.chmod(path, int(entry["mode"], 8))

    def stage_files(self) -> None:
        """Write what differs beside the files, and check it there."""
        for entry in self.arguments["files"]:
            self.stage_file(entry)

    def stage_file(self, entry: dict[str, Any]) -> None:
        """Write one file beside its place, when it differs."""
        destination = entry["dest"]
        content, status = current_state(destination)
        if status is not None and not entry["force"]:
            return
        if status is not None and not stat.S_ISREG(status.st_mode) and not stat.S_ISLNK(status.st_mode):
            raise Refused(f"{destination} exists and is not a file")
        wanted = wanted_bytes(entry)
        uid, gid = self.user_id(entry["owner"]), self.group_id(entry["group"])
        if content == wanted and status is not None and same_attributes(status, entry, uid, gid):
            return
        self.changed_files.append(destination)
        if content != wanted:
            self.record_diff(destination, content, wanted)
        self.stage_content(entry, destination, wanted, uid, gid)

    def stage_content(self, entry: dict[str, Any], destination: str, wanted: bytes, uid: int, gid: int) -> None:
        """Write a file's content, attributes and all, beside its place and have it checked."""
        folder = os.path.dirname(destination)
        if not os.path.isdir(folder):
            if self.check_mode:
                return
            raise Refused(f"the folder of {destination} does not exist")
        # The suffix is kept, since daemons choose how to read a file by it.
        handle, staged = tempfile.mkstemp(prefix=".trivet-", suffix=os.path.splitext(destination)[1], dir=folder)
        self.staged.append((staged, destination))
        with os.fdopen(handle, "wb") as stream:
            stream.write(wanted)
        os.chown(staged, uid, gid)
        os.chmod(staged, int(entry["mode"], 8))
        if entry.get("validate"):
            self.validate(entry["validate"], staged, destination)

    def validate(self, command: str, staged: str, destination: str) -> None:
        """Have a daemon check its file; in check mode it may not be installed yet."""
        words = [word.replace("%s", staged) for word in shlex.split(command)]
        program = shutil.which(words[0])
        if program is None and self.check_mode:
            return
        failed = f"{destination} was not written, nothing was changed: its check {command!r} failed"
        if program is None:
            raise Refused(failed, f"{words[0]} is not installed")
        ended = subprocess.run(
            [program, *words[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        if ended.returncode != 0:
            raise Refused(failed, ended.stdout.strip())

    def record_diff(self, destination: str, before: bytes | None, after: bytes) -> None:
        """Keep the difference of a file for Ansible's diff mode."""
        if not self.arguments["diff"] or len(after) > DIFF_LIMIT:
            return
        self.diffs.append(
            {
                "before_header": destination,
                "after_header": destination,
                "before": (before or b"").decode("utf-8", "replace"),
                "after": after.decode("utf-8", "replace"),
            }
        )

    def apply(self) -> None:
        """Put what is staged into its place."""
        if self.check_mode:
            self.discard()
            return
        for staged, destination in self.staged:
            os.replace(staged, destination)
        self.staged = []

    def mark(self) -> None:
        """Mark on the node what waits for a reload or a restart, before the first change.

        So no change is without its mark. Whoever ends between the two leaves a mark without a change, and a reload that
        is not needed harms nobody.
        """
        changes = [
            *(destination for _staged, destination in self.staged),
            *(entry["path"] for entry in self.links_to_make),
            *self.to_remove,
        ]
        for entry in [] if self.check_mode else self.arguments["pending"]:
            changed = [path for path in changes if re.search(entry["path"], path)]
            for kind in ("reload", "restart"):
                if changed and entry[kind]:
                    write_mark(os.path.join(MARKS, f"pending-{kind}"), entry[kind], changed)

    def refuse_directories_in_the_way(self) -> None:
        """Fail before the first change when a link or a removal would meet a directory."""
        for path in [entry["path"] for entry in self.arguments["links"]]:
            if os.path.isdir(path) and not os.path.islink(path):
                raise Refused(f"{path} is a directory, a link is wanted")
        for path in self.arguments["absent"]:
            if os.path.isdir(path) and not os.path.islink(path):
                raise Refused(f"{path} is a directory, it is not removed")

    def plan(self) -> None:
        """Find the links that are not there or lead elsewhere, and what is there and is not to be."""
        for entry in self.arguments["links"]:
            path, target = entry["path"], entry["target"]
            if not (os.path.islink(path) and os.readlink(path) == target):
                self.links_to_make.append(entry)
        self.to_remove = [path for path in self.arguments["absent"] if os.path.lexists(path)]
        self.changed_files += [*(entry["path"] for entry in self.links_to_make), *self.to_remove]

    def links(self) -> None:
        """Make the links that are to be made."""
        for entry in [] if self.check_mode else self.links_to_make:
            path, target = entry["path"], entry["target"]
            fresh = f"{path}.trivet-link"
            if os.path.lexists(fresh):
                os.unlink(fresh)
            os.symlink(target, fresh)
            os.replace(fresh, path)

    def absent(self) -> None:
        """Remove what is not to be there."""
        for path in [] if self.check_mode else self.to_remove:
            os.unlink(path)

    def discard(self) -> None:
        """Remove what is staged."""
        for staged, _destination in self.staged:
            if os.path.exists(staged):
                os.unlink(staged)
        self.staged = []


def write_mark(folder: str, name: str, changed: Iterable[str]) -> None:
    """Note on the disk what waits, since when and for which files; what an earlier mark says is kept."""
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, name)
    before = read_mark(path)
    files = sorted({*before.get("files", []), *changed})
    since = before.get("since") or round(time.time(), 3)
    mark = {"service": name, "since": since, "reason": f"changed: {', '.join(files)}", "files": files}
    # Who reads the folder takes a name with a dot for one that is being written.
    handle, staged = tempfile.mkstemp(prefix=f".{name}.", dir=folder)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(json.dumps({**mark, "written": time.time()}))
        stream.flush()
        os.fsync(stream.fileno())
    os.chmod(staged, 0o644)
    os.replace(staged, path)
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def read_mark(path: str) -> dict[str, Any]:
    """What a mark says; nothing for one that is not there or says it in another way."""
    try:
        with open(path, encoding="utf-8") as stream:
            mark = json.load(stream)
    except (OSError, ValueError):
        return {}
    return mark if isinstance(mark, dict) else {}


def main(arguments: dict[str, Any]) -> None:
    """Apply a tree and print the result of the action as one line of JSON.

    :param arguments: those of ``trivet.commerce.files`` with every default filled in, rendered, and ``check_mode`` and
        ``diff``.
    """
    tree = Tree(arguments)
    try:
        tree.refuse_directories_in_the_way()
        tree.directories()
        tree.stage_files()
        tree.plan()
        tree.mark()
        tree.apply()
        tree.links()
        tree.absent()
        result = {"changed": bool(tree.changed_files), "changed_files": tree.changed_files, "diff": tree.diffs}
    except Refused as refusal:
        message, *detail = refusal.args
        result = {"failed": True, "msg": message, "detail": "".join(detail)}
    except OSError as error:
        result = {"failed": True, "msg": str(error), "detail": ""}
    finally:
        tree.discard()
    print(json.dumps(result))
