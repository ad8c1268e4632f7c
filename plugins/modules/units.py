#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring several systemd units into their states in one module execution."""

from __future__ import annotations

DOCUMENTATION = r"""
module: units
short_description: State of several systemd units in one call
description:
  - Starts and stops units in one transaction each, so that systemd does it side by side, in the order that
    the units ask for.
  - Reads every unit first, and does nothing about one that is as wanted.
  - Lets systemd read unit files again when it says that it has to.
version_added: 0.1.0
author: Trivet
options:
  units:
    description: Units and what they should be.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the unit, with its suffix.
        type: str
        required: true
      state:
        description: V(restarted) restarts a unit that runs and starts one that does not; left out, it stays as it is.
        type: str
        choices: [started, stopped, restarted]
      enabled:
        description: Whether the unit starts with the machine; left out, it stays as it is.
        type: bool
  wait:
    description:
      - When false, the jobs are queued only.
      - A later call with the same state waits for them and tells their failure.
    type: bool
    default: true
attributes:
  check_mode:
    description: Reports what would change. A unit that is not there yet counts as one that would.
    support: full
"""

EXAMPLES = r"""
- name: Start Redis and Sentinel
  trivet.commerce.units:
    units:
      - {name: redis-cache.service, state: started, enabled: true}
      - {name: redis-sentinel.service, state: started, enabled: true}
"""

RETURN = r"""
changed_units:
  description: Units that were enabled, disabled, started, stopped or restarted (or would be, in check mode).
  type: list
  elements: str
  returned: always
queued:
  description: Units whose job was begun and not waited for.
  type: list
  elements: str
  returned: always
"""

from ansible.module_utils.basic import AnsibleModule

PROPERTIES = ("LoadState", "ActiveState", "UnitFileState", "NeedDaemonReload")
DOWN = {"inactive", "failed"}
# systemd has nothing to enable for a static unit, and an alias is as enabled as what it stands for.
ENABLED = {"enabled", "static", "alias", "generated"}


def parsed(output: str) -> list[dict[str, str]]:
    """What ``systemctl show`` prints: one paragraph for each unit, in the order of its arguments."""
    return [
        dict(line.split("=", 1) for line in paragraph.splitlines() if "=" in line)
        for paragraph in output.strip().split("\n\n")
    ]


def needs_start(present: dict[str, str]) -> bool:
    return present["ActiveState"] in DOWN | {"deactivating"}


def commands_for(units: list[dict[str, object]], present: list[dict[str, str]]) -> dict[str, list[str]]:
    """The verbs of systemctl, in the order in which they are run, and the units of each.

    A unit that is about to start is named for ``start`` too: the call then waits for it. Only ``changes`` tells
    which units will differ.
    """
    commands: dict[str, list[str]] = {"disable": [], "enable": [], "stop": [], "restart": [], "start": []}
    for unit, state in zip(units, present, strict=True):
        name = str(unit["name"])
        if unit["enabled"] is True and state["UnitFileState"] not in ENABLED:
            commands["enable"].append(name)
        if unit["enabled"] is False and state["UnitFileState"] == "enabled":
            commands["disable"].append(name)
        if unit["state"] == "restarted":
            commands["restart"].append(name)
        elif unit["state"] == "stopped" and state["ActiveState"] not in DOWN:
            commands["stop"].append(name)
        elif unit["state"] == "started" and (needs_start(state) or state["ActiveState"] == "activating"):
            commands["start"].append(name)
    return commands


def changes(units: list[dict[str, object]], present: list[dict[str, str]], commands: dict[str, list[str]]) -> list[str]:
    """Units that differ from what is wanted; a start that is under way already is none."""
    states = {str(unit["name"]): state for unit, state in zip(units, present, strict=True)}
    under_way = {name for name in commands["start"] if not needs_start(states[name])}
    named = {name for verb, names in commands.items() for name in names if not (verb == "start" and name in under_way)}
    return [name for name in states if name in named]


class Systemd:
    """The command line of systemd."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.binary = module.get_bin_path("systemctl", required=True)

    def show(self, names: list[str]) -> list[dict[str, str]]:
        words = [f"--property={name}" for name in PROPERTIES]
        code, out, err = self.module.run_command([self.binary, "show", *words, "--", *names])
        found = parsed(out)
        if code != 0 or len(found) != len(names):
            self.module.fail_json(msg=f"systemd does not tell the state of {', '.join(names)}: {err.strip()}")
        return found

    def act(self, *words: str) -> None:
        code, out, err = self.module.run_command([self.binary, *words])
        if code != 0:
            self.module.fail_json(msg=f"systemctl {' '.join(words)} failed: {(out + err).strip()}")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "units": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "state": {"type": "str", "choices": ["started", "stopped", "restarted"]},
                    "enabled": {"type": "bool"},
                },
            },
            "wait": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    units = module.params["units"]
    systemd = Systemd(module)
    present = systemd.show([unit["name"] for unit in units])
    commands = commands_for(units, present)
    changed = changes(units, present, commands)
    if not module.check_mode:
        if any(state["NeedDaemonReload"] == "yes" for state in present):
            systemd.act("daemon-reload")
        for verb, names in commands.items():
            block = [] if module.params["wait"] or verb in ("enable", "disable") else ["--no-block"]
            if names:
                systemd.act(verb, *block, "--", *names)
    jobs = [name for verb in ("stop", "restart", "start") for name in commands[verb]]
    queued = [] if module.params["wait"] or module.check_mode else jobs
    module.exit_json(changed=bool(changed), changed_units=changed, queued=queued)


if __name__ == "__main__":
    main()
