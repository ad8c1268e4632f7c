# SPDX-License-Identifier: GPL-3.0-or-later
"""What the room tells of a task that failed."""

from __future__ import annotations

from typing import Any

from trivet.ansible.playbook import PlaybookEvent, PlaybookResult, _record


def told(outcome: dict[str, Any]) -> PlaybookEvent:
    result = PlaybookResult()
    data = {"host": "node-1", "task": "Check", "res": outcome}
    _record({"event": "runner_on_failed", "event_data": data}, result, lambda event: None)
    return result.failures[0]


def test_a_failed_task_is_told_in_its_own_words() -> None:
    assert told({"msg": "no", "stderr": "really not"}).message == "no; really not"


def test_of_a_loop_the_first_failed_item_is_told() -> None:
    items = [{"failed": False, "msg": "fine"}, {"failed": True, "msg": "redis_backlog_mib is no number"}]
    assert told({"msg": "One or more items failed", "results": items}).message == "redis_backlog_mib is no number"
