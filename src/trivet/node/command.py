# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs run on this node."""

from __future__ import annotations

import subprocess

from trivet.node.errors import AgentError
from trivet.services.host.contract import AGENT_PROGRAM

PROGRAM = str(AGENT_PROGRAM.default)


def run_command(words: list[str], seconds: float) -> subprocess.CompletedProcess[str]:
    """Run a command to its end.

    Raises:
        AgentError: it failed, or did not end in time.
    """
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, errors="replace", env=environment, timeout=seconds, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise AgentError(f"{' '.join(words)}: {problem}") from problem
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise AgentError(f"{' '.join(words)}: {last[-1] if last else f'exit code {done.returncode}'}")
    return done


def run_transient(*words: str, seconds: float) -> str:
    """Run a command of the agent in a transient unit: outside of this service's limits, and not ended with it.

    Raises:
        AgentError: it failed.
    """
    return run_command(["systemd-run", "--wait", "--pipe", "--quiet", "--collect", PROGRAM, *words], seconds).stdout
