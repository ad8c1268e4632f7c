# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks the agent of a node for the state of its Galera member, for ``trivet.commerce.galera_state``."""

from __future__ import annotations

import json
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible_collections.trivet.commerce.plugins.plugin_utils.on_node import ActionOnNode

OPTIONS = {"members": {"type": "dict"}}
NOT_FOUND = 127
"""Exit code of a shell that finds no such program."""
NOTHING_YET = {"unit": "inactive", "synced": False, "standalone": False, "primary": False}


class ActionModule(ActionOnNode):
    """The agent's answers, without a module."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(OPTIONS)
        members = arguments["members"]
        if members is None:
            return {**result, "changed": False, **self._ask_agent("report")}
        decision = self._ask_agent("elect", json.dumps(members))
        if decision["formation"] is None:
            raise AnsibleActionFail(
                "No member of the Galera cluster is primary and there is data: "
                "starting a node now could lose committed orders.\n"
                f"{decision['evidence']}\n{decision['reason']}\n"
                "next: `trivet recover ENV database --plan` elects the member with the newest data "
                "(docs/how-to/all-nodes-down.md)."
            )
        return {**result, "changed": False, "formation": decision["formation"]}

    def _ask_agent(self, *words: str) -> dict[str, Any]:
        """The answer of ``trivet-agent galera …`` on this node."""
        ended = self.run_words(["trivet-agent", "galera", *words])
        if ended["rc"] == NOT_FOUND:
            if self._task.check_mode:
                return dict(NOTHING_YET)
            raise AnsibleActionFail("trivet-agent is not installed: role trivet.commerce.agent comes first")
        try:
            answer: dict[str, Any] = json.loads(ended["stdout"])
        except ValueError:
            said = ended["stderr"].strip() or ended["stdout"].strip() or "no answer"
            raise AnsibleActionFail(f"trivet-agent galera {words[0]}: {said}") from None
        if "node" not in answer and "outcome" not in answer:
            raise AnsibleActionFail(f"trivet-agent galera {words[0]}: {answer.get('error')}")
        return answer
