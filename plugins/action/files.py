# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders the templates of ``trivet.commerce.files`` on the controller, then applies the tree on the node."""

from __future__ import annotations

import os
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.template import trust_as_template
from ansible_collections.trivet.commerce.plugins.plugin_utils import tree
from ansible_collections.trivet.commerce.plugins.plugin_utils.on_node import ActionOnNode

ATTRIBUTES = {"owner": {"type": "str", "default": "root"}, "group": {"type": "str", "default": "root"}}
FILE_OPTIONS = {
    **ATTRIBUTES,
    "src": {"type": "str"},
    "vars": {"type": "dict", "default": {}},
    # Without no_log=False Ansible warns of the name; what is secret is for the task to say.
    "content": {"type": "str", "no_log": False},
    "content_base64": {"type": "str"},
    "dest": {"type": "path", "required": True},
    "mode": {"type": "str", "default": "0644"},
    "validate": {"type": "str"},
    "force": {"type": "bool", "default": True},
}
DIRECTORY_OPTIONS = {
    **ATTRIBUTES,
    "path": {"type": "path", "required": True},
    "mode": {"type": "str", "default": "0755"},
}
LINK_OPTIONS = {"path": {"type": "path", "required": True}, "target": {"type": "str", "required": True}}
PENDING_OPTIONS = {
    "reload": {"type": "str"},
    "restart": {"type": "str"},
    "path": {"type": "str", "default": ""},
}
OPTIONS = {
    "files": {"type": "list", "elements": "dict", "default": [], "options": FILE_OPTIONS},
    "directories": {"type": "list", "elements": "dict", "default": [], "options": DIRECTORY_OPTIONS},
    "links": {"type": "list", "elements": "dict", "default": [], "options": LINK_OPTIONS},
    "absent": {"type": "list", "elements": "path", "default": []},
    "pending": {"type": "list", "elements": "dict", "default": [], "options": PENDING_OPTIONS},
}


class ActionModule(ActionOnNode):
    """One program on the node for the whole configuration tree of a service."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(OPTIONS)
        arguments["files"] = [self._rendered(entry, task_vars or {}) for entry in arguments["files"]]
        modes = {"check_mode": self._task.check_mode, "diff": self._task.diff}
        result.update(self.run_program(tree, {**arguments, **modes}))
        return result

    def _rendered(self, entry: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        source, variables = entry.pop("src"), entry.pop("vars")
        if source is None:
            if entry["content"] is None and entry["content_base64"] is None:
                raise AnsibleActionFail(f"{entry['dest']}: one of src, content and content_base64 is needed")
            return entry
        try:
            path = self._find_needle("templates", source)
        except AnsibleError as error:
            raise AnsibleActionFail(f"template {source} was not found: {error}") from error
        with open(path, encoding="utf-8") as stream:
            text = stream.read()
        entry["content"] = self._render(text, path, {**task_vars, **variables})
        return entry

    def _render(self, text: str, path: str, task_vars: dict[str, Any]) -> str:
        searchpath = [os.path.dirname(path), *(task_vars.get("ansible_search_path") or [])]
        templar = self._templar.copy_with_new_env(searchpath=searchpath, available_variables=task_vars)
        return str(
            templar.template(
                trust_as_template(text),
                escape_backslashes=False,
                preserve_trailing_newlines=True,
                overrides={"trim_blocks": True},
            )
        )
