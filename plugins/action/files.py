# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders the templates of ``trivet.commerce.files`` on the controller, then runs the module once."""

from __future__ import annotations

import os
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible.template import trust_as_template


class ActionModule(ActionBase):
    """One module execution for the whole configuration tree of a service."""

    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        task_vars = task_vars or {}
        arguments = dict(self._task.args)
        arguments["files"] = [self._rendered(dict(entry), task_vars) for entry in arguments.get("files") or []]
        return self._execute_module(module_name="trivet.commerce.files", module_args=arguments, task_vars=task_vars)

    def _rendered(self, entry: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        source = entry.pop("src", None)
        if source is None:
            if "content" not in entry and "content_base64" not in entry:
                raise AnsibleActionFail(f"{entry.get('dest')}: one of src, content and content_base64 is needed")
            return entry
        try:
            path = self._find_needle("templates", source)
        except AnsibleError as error:
            raise AnsibleActionFail(f"template {source} was not found: {error}") from error
        with open(path, encoding="utf-8") as stream:
            text = stream.read()
        entry["content"] = self._render(text, path, task_vars)
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
