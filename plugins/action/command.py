# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a command of ``trivet.commerce.command`` on the node."""

from __future__ import annotations

import shlex
from typing import Any

from ansible_collections.trivet.commerce.plugins.plugin_utils.on_node import ActionOnNode

OPTIONS = {
    "cmd": {"type": "str"},
    "argv": {"type": "list", "elements": "str"},
    "script": {"type": "str"},
    "stdin": {"type": "str", "default": ""},
}
ONE_OF = ["cmd", "argv", "script"]
NOT_RUN = {"skipped": True, "msg": "not run in check mode", "rc": 0}
NO_OUTPUT: dict[str, Any] = {"stdout": "", "stdout_lines": [], "stderr": "", "stderr_lines": []}


class ActionModule(ActionOnNode):
    """A command without a module."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(OPTIONS, mutually_exclusive=[ONE_OF], required_one_of=[ONE_OF])
        if self._task.check_mode:
            return {**result, **NOT_RUN, **NO_OUTPUT}
        if arguments["script"] is not None:
            answer = self.run_script(arguments["script"], arguments["stdin"])
        else:
            words = arguments["argv"] or shlex.split(arguments["cmd"] or "")
            answer = self.run_words(words, arguments["stdin"])
        # As Ansible's own: what is compared with a word ends with it.
        for stream in ("stdout", "stderr"):
            answer[stream] = answer[stream].rstrip("\r\n")
            answer[f"{stream}_lines"] = answer[stream].splitlines()
        result.update(answer, changed=True)
        if answer["rc"] != 0:
            result.update(failed=True, msg=f"exit code {answer['rc']}")
        return result
