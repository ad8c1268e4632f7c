# SPDX-License-Identifier: GPL-3.0-or-later
"""The application's workers: one process of each on every node, begun again when it ends, ended softly."""

from __future__ import annotations

import shutil
from pathlib import Path

from trivet.node.command import run_command
from trivet.services.application.contract import HOME
from trivet.services.application.hooks import SHELL
from trivet.services.application.instance import UNITS, Instance, command_line, is_active, namespace

WORKER = "trivet-worker@"
SCRIPTS = Path("/etc/trivet/workers")
STOP_SECONDS = 120.0


def unit_of(found: Instance, worker: str) -> str:
    """The unit of a worker of an instance."""
    return f"{WORKER}{found.name}.{worker}.service"


def start(found: Instance) -> list[str]:
    """Have every worker run; those that were begun now."""
    begun = [worker for worker in found.workers if not is_active(unit_of(found, worker))]
    for worker in begun:
        _write(found, worker)
    if begun:
        run_command(["systemctl", "daemon-reload"], 60.0)
        run_command(["systemctl", "start", *(unit_of(found, worker) for worker in begun)], 60.0)
    return begun


def stop(found: Instance) -> list[str]:
    """End every worker (SIGTERM, and SIGKILL at the unit's limit), and leave nothing of it; the units that ran."""
    pattern = f"{WORKER}{found.name}.*"
    words = ["systemctl", "list-units", "--plain", "--no-legend", "--all", pattern]
    ended = [line.split()[0] for line in run_command(words, 30.0).stdout.splitlines() if line.strip()]
    if ended:
        run_command(["systemctl", "stop", *ended], STOP_SECONDS)
    for worker in found.workers:
        shutil.rmtree(UNITS / f"{unit_of(found, worker)}.d", ignore_errors=True)
        (SCRIPTS / f"{found.name}.{worker}").unlink(missing_ok=True)
    return ended


def _write(found: Instance, worker: str) -> None:
    """Its drop-in. The command is a file of its own: a line of a unit would be read by systemd's rules."""
    SCRIPTS.mkdir(mode=0o755, exist_ok=True)
    script = SCRIPTS / f"{found.name}.{worker}"
    script.write_text(found.workers[worker], encoding="utf-8")
    script.chmod(0o644)
    folder = UNITS / f"{unit_of(found, worker)}.d"
    folder.mkdir(exist_ok=True)
    lines = [
        "[Service]",
        f"User={found.user}",
        f"WorkingDirectory={HOME}",
        f"EnvironmentFile={found.directory}/environment",
        f"ExecStart={SHELL} {script}",
        *command_line(found),
        *namespace(found),
    ]
    (folder / "worker.conf").write_text("\n".join(lines) + "\n", encoding="utf-8")
