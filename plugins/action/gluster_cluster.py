# SPDX-License-Identifier: GPL-3.0-or-later
"""Forms the cluster of GlusterFS and its volume for ``trivet.commerce.gluster_cluster``."""

from __future__ import annotations

from typing import Any

from ansible_collections.trivet.commerce.plugins.plugin_utils import gluster
from ansible_collections.trivet.commerce.plugins.plugin_utils.on_node import ActionOnNode

OPTIONS = {
    "address": {"type": "str", "required": True},
    "nodes": {"type": "list", "elements": "str", "required": True},
    "volume": {"type": "str", "required": True},
    "brick": {"type": "path", "required": True},
    "options": {"type": "dict", "default": {}},
    "force": {"type": "bool", "default": False},
    "timeout_seconds": {"type": "int", "default": 60},
}


class ActionModule(ActionOnNode):
    """One program on the node for peers, volume and options."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(OPTIONS)
        result.update(self.run_program(gluster, {**arguments, "check_mode": self._task.check_mode}))
        return result
