#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Apply a whole tree of configuration files in one module execution."""

from __future__ import annotations

DOCUMENTATION = r"""
module: files
short_description: Apply a set of files, directories and links in one call
description:
  - Writes the whole configuration of a service in one module execution.
  - The cost of Ansible is module executions, not SSH.
  - Templates are rendered on the controller by the action plugin of the same name.
  - All or nothing. When the validation of one file fails, no file is changed.
version_added: 0.1.0
author: Trivet
options:
  files:
    description: Files to write.
    type: list
    elements: dict
    default: []
    suboptions:
      src:
        description: Template in the role's C(templates/) folder, rendered on the controller.
        type: str
      content:
        description: Literal content, instead of O(files[].src).
        type: str
      content_base64:
        description: Binary content in base64, instead of O(files[].src).
        type: str
      dest:
        description: Absolute path on the node.
        type: path
        required: true
      owner:
        description: Owner, by name.
        type: str
        default: root
      group:
        description: Group, by name.
        type: str
        default: root
      mode:
        description: Permissions as four octal digits.
        type: str
        default: "0644"
      validate:
        description: Command that checks the staged file, with C(%s) for its path.
        type: str
      force:
        description: When false, a file that exists is left as it is (content, owner and mode).
        type: bool
        default: true
  directories:
    description: Directories to have, before the files.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path on the node.
        type: path
        required: true
      owner:
        description: Owner, by name.
        type: str
        default: root
      group:
        description: Group, by name.
        type: str
        default: root
      mode:
        description: Permissions as four octal digits.
        type: str
        default: "0755"
  links:
    description: Symbolic links to have, after the files.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path of the link.
        type: path
        required: true
      target:
        description: What the link points to.
        type: str
        required: true
  absent:
    description: Files or links to remove (never a directory).
    type: list
    elements: path
    default: []
attributes:
  check_mode:
    description: Validates and reports what would change.
    support: full
  diff_mode:
    description: One diff for each changed file.
    support: full
"""

EXAMPLES = r"""
- name: Write the configuration of HAProxy
  trivet.commerce.files:
    files:
      - src: haproxy.cfg.j2
        dest: /etc/haproxy/haproxy.cfg
        group: haproxy
        mode: "0640"
        validate: haproxy -c -f %s
  register: haproxy_files
"""

RETURN = r"""
changed_files:
  description: Destinations whose content, owner, mode or existence changed (or would, in check mode).
  type: list
  elements: str
  returned: always
"""

import base64
import grp
import os
import pwd
import shlex
import stat
import tempfile

from ansible.module_utils.basic import AnsibleModule

DIFF_LIMIT = 200_000


def user_id(module: AnsibleModule, name: str) -> int:
    """The numeric id of a user; in check mode a user that is not there yet counts as root."""
    try:
        return int(name) if name.isdigit() else pwd.getpwnam(name).pw_uid
    except KeyError:
        if module.check_mode:
            return 0
        module.fail_json(msg=f"user {name!r} does not exist on this node")


def group_id(module: AnsibleModule, name: str) -> int:
    """The numeric id of a group; in check mode a group that is not there yet counts as root's."""
    try:
        return int(name) if name.isdigit() else grp.getgrnam(name).gr_gid
    except KeyError:
        if module.check_mode:
            return 0
        module.fail_json(msg=f"group {name!r} does not exist on this node")


def wanted_bytes(entry: dict) -> bytes:
    if entry.get("content_base64") is not None:
        return base64.b64decode(entry["content_base64"])
    return (entry.get("content") or "").encode()


def current_state(path: str) -> tuple[bytes | None, os.stat_result | None]:
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None, None
    if not stat.S_ISREG(status.st_mode):
        return None, status
    with open(path, "rb") as stream:
        return stream.read(), status


def same_attributes(status: os.stat_result, entry: dict, uid: int, gid: int) -> bool:
    return (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (uid, gid, int(entry["mode"], 8))


class Tree:
    """Stages every change first, then applies all of them."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.changed_files: list[str] = []
        self.diffs: list[dict] = []
        self.staged: list[tuple[str, str]] = []

    def directories(self) -> None:
        for entry in self.module.params["directories"]:
            path = entry["path"]
            uid, gid = user_id(self.module, entry["owner"]), group_id(self.module, entry["group"])
            exists = os.path.isdir(path)
            if exists and same_attributes(os.stat(path), entry, uid, gid):
                continue
            self.changed_files.append(path)
            if self.module.check_mode:
                continue
            os.makedirs(path, exist_ok=True)
            os.chown(path, uid, gid)
            os.chmod(path, int(entry["mode"], 8))

    def stage_files(self) -> None:
        for entry in self.module.params["files"]:
            self.stage_file(entry)

    def stage_file(self, entry: dict) -> None:
        destination = entry["dest"]
        content, status = current_state(destination)
        if status is not None and not entry["force"]:
            return
        if status is not None and not stat.S_ISREG(status.st_mode) and not stat.S_ISLNK(status.st_mode):
            self.abort(f"{destination} exists and is not a file")
        wanted = wanted_bytes(entry)
        uid, gid = user_id(self.module, entry["owner"]), group_id(self.module, entry["group"])
        if content == wanted and status is not None and same_attributes(status, entry, uid, gid):
            return
        self.changed_files.append(destination)
        if content != wanted:
            self.record_diff(destination, content, wanted)
        self.stage_content(entry, destination, wanted, uid, gid)

    def stage_content(self, entry: dict, destination: str, wanted: bytes, uid: int, gid: int) -> None:
        folder = os.path.dirname(destination)
        if not os.path.isdir(folder):
            if self.module.check_mode:
                return
            self.abort(f"the folder of {destination} does not exist")
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
        words = shlex.split(command)
        binary = self.module.get_bin_path(words[0])
        if binary is None and self.module.check_mode:
            return
        code, out, err = self.module.run_command([word.replace("%s", staged) for word in words])
        if code != 0:
            self.abort(f"{destination} was not written, nothing was changed: its check {command!r} failed", out + err)

    def record_diff(self, destination: str, before: bytes | None, after: bytes) -> None:
        if not self.module._diff or len(after) > DIFF_LIMIT:
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
        if self.module.check_mode:
            self.discard()
            return
        for staged, destination in self.staged:
            os.replace(staged, destination)
        self.staged = []

    def refuse_directories_in_the_way(self) -> None:
        """Fail before the first change when a link or a removal would meet a directory."""
        for path in [entry["path"] for entry in self.module.params["links"]]:
            if os.path.isdir(path) and not os.path.islink(path):
                self.abort(f"{path} is a directory, a link is wanted")
        for path in self.module.params["absent"]:
            if os.path.isdir(path) and not os.path.islink(path):
                self.abort(f"{path} is a directory, it is not removed")

    def links(self) -> None:
        for entry in self.module.params["links"]:
            path, target = entry["path"], entry["target"]
            if os.path.islink(path) and os.readlink(path) == target:
                continue
            self.changed_files.append(path)
            if self.module.check_mode:
                continue
            fresh = f"{path}.trivet-link"
            if os.path.lexists(fresh):
                os.unlink(fresh)
            os.symlink(target, fresh)
            os.replace(fresh, path)

    def absent(self) -> None:
        for path in self.module.params["absent"]:
            if not os.path.lexists(path):
                continue
            self.changed_files.append(path)
            if not self.module.check_mode:
                os.unlink(path)

    def discard(self) -> None:
        for staged, _destination in self.staged:
            if os.path.exists(staged):
                os.unlink(staged)
        self.staged = []

    def abort(self, message: str, detail: str = "") -> None:
        self.discard()
        self.module.fail_json(msg=message, detail=detail.strip())


FILE_OPTIONS = {
    "src": {"type": "str"},
    "content": {"type": "str", "no_log": False},
    "content_base64": {"type": "str"},
    "dest": {"type": "path", "required": True},
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": "root"},
    "mode": {"type": "str", "default": "0644"},
    "validate": {"type": "str"},
    "force": {"type": "bool", "default": True},
}
DIRECTORY_OPTIONS = {
    "path": {"type": "path", "required": True},
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": "root"},
    "mode": {"type": "str", "default": "0755"},
}
LINK_OPTIONS = {"path": {"type": "path", "required": True}, "target": {"type": "str", "required": True}}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "files": {"type": "list", "elements": "dict", "default": [], "options": FILE_OPTIONS},
            "directories": {"type": "list", "elements": "dict", "default": [], "options": DIRECTORY_OPTIONS},
            "links": {"type": "list", "elements": "dict", "default": [], "options": LINK_OPTIONS},
            "absent": {"type": "list", "elements": "path", "default": []},
        },
        supports_check_mode=True,
        # File contents may be secrets, and a module's arguments go to the node's journal otherwise.
        no_log=True,
    )
    tree = Tree(module)
    try:
        tree.refuse_directories_in_the_way()
        tree.directories()
        tree.stage_files()
        tree.apply()
        tree.links()
        tree.absent()
    finally:
        tree.discard()
    module.exit_json(changed=bool(tree.changed_files), changed_files=tree.changed_files, diff=tree.diffs)


if __name__ == "__main__":
    main()
