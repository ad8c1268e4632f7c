# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings units of systemd into a state for ``trivet.commerce.unit``, by one shell script on the node."""

from __future__ import annotations

import shlex
from typing import Any

from ansible_collections.trivet.commerce.plugins.plugin_utils.on_node import ActionOnNode

STATES = ["started", "stopped", "restarted", "reloaded"]
OPTIONS = {
    "name": {"type": "list", "elements": "str", "default": []},
    "state": {"type": "str", "choices": STATES},
    "enabled": {"type": "bool"},
    "daemon_reload": {"type": "bool", "default": False},
    "no_block": {"type": "bool", "default": False},
}
# Each verb does what is missing and says so. A unit on its way is neither up nor down: its job is waited for.
VERBS = """\
set -e
act() {
    verb=$1 unit=$2
    shift 2
    case $verb in
        start|restart|reload)
            # Its files may have been changed by a run that failed before it came here.
            changed=$(systemctl show --property NeedDaemonReload --value -- "$unit")
            [ "$changed" != yes ] || $instead systemctl daemon-reload ;;
    esac
    $instead systemctl "$verb" "$@" -- "$unit"
    echo "$verb $unit"
}
is_there() {
    [ "$(systemctl show --property LoadState --value -- "$1")" != not-found ] || {
        echo "Unit $1 could not be found." >&2
        return 5
    }
}
is_up() { systemctl is-active --quiet -- "$1"; }
is_down() { case $(systemctl is-active -- "$1") in inactive|failed|unknown) ;; *) false ;; esac; }
is_enabled() { systemctl is-enabled --quiet -- "$1" 2>/dev/null; }
enabled() { is_enabled "$1" || act enable "$1" --quiet; }
disabled() { if is_enabled "$1"; then act disable "$1" --quiet; fi; }
started() { is_up "$1" || act start "$@"; }
stopped() { is_down "$1" || act stop "$@"; }
restarted() { act restart "$@"; }
reloaded() { if is_up "$1"; then act reload "$@"; else act start "$@"; fi; }
"""


def script(arguments: dict[str, Any], check_mode: bool) -> str:
    """A shell script that prints a line for each thing that it does, or in check mode would do.

    :param arguments: those of the action, with every default filled in.
    """
    calls: list[list[str]] = []
    if arguments["daemon_reload"] and not check_mode:
        calls.append(["systemctl", "daemon-reload"])
    options = ["--no-block"] if arguments["no_block"] else []
    for name in arguments["name"]:
        # In check mode its package may be one of those that would be installed.
        if not check_mode:
            calls.append(["is_there", name])
        if arguments["enabled"] is not None:
            calls.append(["enabled" if arguments["enabled"] else "disabled", name])
        if arguments["state"] is not None:
            calls.append([arguments["state"], name, *options])
    return "\n".join([f"instead={':' if check_mode else ''}", VERBS, *map(shlex.join, calls)])


class ActionModule(ActionOnNode):
    """Units of systemd without a module."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(OPTIONS)
        answer = self.run_script(script(arguments, self._task.check_mode))
        result.update(changed=bool(answer["stdout_lines"]), done=answer["stdout_lines"])
        if answer["rc"] != 0:
            said = answer["stderr"].strip() or f"systemctl ended with exit code {answer['rc']}"
            result.update(failed=True, msg=said)
        return result
