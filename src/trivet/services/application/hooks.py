# SPDX-License-Identifier: GPL-3.0-or-later
"""Hooks and commands of an instance: run as its account, seeing what its PHP-FPM sees, outside of the agent."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence

from trivet.node.command import run_command
from trivet.node.errors import AgentError
from trivet.services.application.contract import HOME
from trivet.services.application.instance import Instance, command_line, is_active, namespace

SHELL = "/bin/bash"
"""As on the platform's clusters (ece-tools, pull request 789)."""
POLL_SECONDS = 0.2
LAST_LINES = 3


def unit_of(instance: Instance, hook: str) -> str:
    """The transient unit of a hook: one that runs on although its runner died is found by it."""
    return f"trivet-hook-{hook}-{instance.name}.service"


def run_hook(instance: Instance, hook: str, seconds: float) -> None:
    """Run a hook to its end; what it says goes to standard error as it comes. Nothing where there is none.

    One that an earlier runner began and that still runs is waited for, and then run again: what became of it is not
    known, and a hook may be repeated (Platform.sh runs it at every redeploy).

    Raises:
        AgentError: its exit code is not 0, or it did not end in time.
    """
    if hook not in instance.hooks:
        return
    unit = unit_of(instance, hook)
    _wait_for_earlier(unit, seconds)
    words = [*transient(instance, unit, seconds), SHELL, "-c", instance.hooks[hook]]
    code, last = shown(words, seconds)
    if code != 0:
        raise AgentError(f"the {hook} hook failed with status code {code}" + (f": {last}" if last else ""))


def transient(instance: Instance, unit: str, seconds: float | None, *properties: str) -> list[str]:
    """The beginning of a command that is run as the instance's own processes are.

    Args:
        seconds: after which it is ended; None for never.
    """
    settings = (
        f"User={instance.user}",
        f"WorkingDirectory={HOME}",
        f"EnvironmentFile={instance.directory}/environment",
        *([f"RuntimeMaxSec={seconds:.0f}"] if seconds is not None else []),
        "NoNewPrivileges=yes",
        "PrivateTmp=yes",
        *command_line(instance),
        *namespace(instance),
        *properties,
    )
    options = [f"--property={item}" for item in settings]
    return ["systemd-run", "--quiet", "--collect", "--wait", "--pipe", f"--unit={unit}", *options]


def shown(words: Sequence[str], seconds: float) -> tuple[int, str]:
    """Run a command; each line that it says goes to standard error as it comes. Its exit code, and its last lines."""
    said: list[str] = []
    with subprocess.Popen(
        list(words),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            said = [*said[-LAST_LINES + 1 :], line.rstrip("\n")]
            sys.stderr.write(line)
            sys.stderr.flush()
        code = process.wait(seconds)
    return code, "; ".join(item.strip() for item in said if item.strip())


def _wait_for_earlier(unit: str, seconds: float) -> None:
    end = time.monotonic() + seconds
    while is_active(unit):
        if time.monotonic() > end:
            raise AgentError(f"{unit} of an earlier run does not end")
        time.sleep(POLL_SECONDS)


def stop_hooks(instance: Instance) -> None:
    """End the hooks of an instance that still run. Harmless when none does."""
    for hook in instance.hooks:
        unit = unit_of(instance, hook)
        if is_active(unit):
            run_command(["systemctl", "stop", unit], 60.0)
