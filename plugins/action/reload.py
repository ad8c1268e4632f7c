# SPDX-License-Identifier: GPL-3.0-or-later
"""Has services take the changed configuration that waits for them, for ``trivet.commerce.reload``."""

from __future__ import annotations

from typing import Any

from ansible_collections.trivet.commerce.plugins.plugin_utils import reload
from ansible_collections.trivet.commerce.plugins.plugin_utils.on_node import ActionOnNode

SERVICE_OPTIONS = {
    "name": {"type": "str", "required": True},
    "unit": {"type": "str"},
    "verb": {"type": "str", "choices": ["reload", "restart"], "default": "reload"},
    "script": {"type": "str"},
    "files": {"type": "list", "elements": "path", "default": []},
    "force": {"type": "bool", "default": False},
    "new_process": {"type": "bool", "default": False},
    "timeout_seconds": {"type": "float", "default": 60.0},
}
OPTIONS = {"services": {"type": "list", "elements": "dict", "required": True, "options": SERVICE_OPTIONS}}


class ActionModule(ActionOnNode):
    """One program on the node for all services of a role."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(OPTIONS)
        result.update(self.run_program(reload, {**arguments, "check_mode": self._task.check_mode}))
        return result
