# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks of a rotation name every role that they must."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]


def roles_of(playbook: str, verb: str) -> list[list[str]]:
    """The roles of each task that calls a verb."""
    [play] = yaml.safe_load((ROOT / "playbooks" / "rotation" / playbook).read_text())
    return [
        roles(task) for task in play["tasks"] if task.get("ansible.builtin.include_role", {}).get("tasks_from") == verb
    ]


def roles(task: dict[str, Any]) -> list[str]:
    name = task["ansible.builtin.include_role"]["name"].removeprefix("trivet.commerce.")
    return task.get("loop", [name])


def with_verb(verb: str) -> set[str]:
    """Roles of a service that have a verb."""
    return {path.parents[1].name for path in (ROOT / "roles").glob(f"*/tasks/{verb}.yml")}


def test_a_rotation_configures_every_service() -> None:
    configured = [role for task in roles_of("start.yml", "configure") for role in task]
    assert sorted(configured) == sorted(with_verb("start") & with_verb("configure"))


def test_a_rotation_stops_and_starts_every_service() -> None:
    started = {role for task in roles_of("start.yml", "start") for role in task}
    stopped = {role for task in roles_of("stop.yml", "stop") for role in task}
    assert started == with_verb("start")
    # The agent is what the rotation asks.
    assert stopped == with_verb("stop") - {"agent"}


def test_what_begins_to_start_is_waited_for() -> None:
    begun = [role for task in roles_of("start.yml", "start_async") for role in task]
    assert set(begun) == with_verb("start_async")
    assert set(begun) <= {role for task in roles_of("start.yml", "start") for role in task}


def test_what_begins_to_stop_is_waited_for() -> None:
    [begun] = roles_of("stop.yml", "stop_async")
    assert set(begun) == with_verb("stop_async")
    assert set(begun) <= {role for task in roles_of("stop.yml", "stop") for role in task}
