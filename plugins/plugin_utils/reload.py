# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``trivet.commerce.reload`` does on the node; by the standard library alone."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MARKS = Path("/etc/trivet/pending-reload")
"""Where ``trivet.commerce.files`` marks what waits."""
CONTROL_GROUPS = (Path("/sys/fs/cgroup/system.slice"), Path("/sys/fs/cgroup/systemd/system.slice"))
PROCESSES = Path("/proc")
POLL_SECONDS = 0.1
CLOCK_TOLERANCE_SECONDS = 1.0
"""What the start of a process, counted in ticks since the boot, may be off."""
NOT_NOW = 75
"""Exit code of a script whose service can take nothing now (EX_TEMPFAIL): the mark is left, and nothing has failed."""
NOT_RUNNING = ("inactive", "failed", "unknown")


class NotTaken(Exception):
    """The daemon did not take its changed configuration."""


class Service:
    """A service whose changed configuration may wait for a reload."""

    def __init__(self, entry: dict[str, Any], *, check_mode: bool) -> None:
        self.name: str = entry["name"]
        self.unit: str = entry["unit"] or f"{self.name}.service"
        self.verb: str = entry["verb"]
        self.script: str | None = entry["script"]
        self.force: bool = entry["force"]
        self.files: list[str] = entry["files"]
        self.new_process: bool = entry["new_process"]
        self.timeout: float = entry["timeout_seconds"]
        self.check_mode = check_mode
        self.mark: Path = MARKS / self.name

    def why(self) -> str | None:
        """Why it is to be reloaded; None when nothing waits."""
        if self.mark.exists():
            return "marked"
        if self.force:
            return "asked for"
        if self.script is None and (newer := self.newer_files()):
            return f"older than {', '.join(newer)}"
        return None

    def newer_files(self) -> list[str]:
        """The files that were written after the youngest process of the unit began."""
        if not self.files:
            return []
        began = [started for _pid, started in self.processes()]
        if not began:
            return []
        youngest = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + max(began) / os.sysconf("SC_CLK_TCK")
        return [path for path in self.files if modified(path) > youngest + CLOCK_TOLERANCE_SECONDS]

    def take(self) -> str | None:
        """Have it take its configuration, and remove the mark; what was done, None where there is nothing to do.

        Raises:
            NotTaken: it did not. The mark is left.
        """
        # Read before: what is written meanwhile waits for the next time.
        seen = self.marked()
        if self.script is not None:
            if not self.run_script(self.script):
                return None
            done = f"ran the command of {self.name}"
        elif unit_state(self.unit) in NOT_RUNNING:
            # It reads its configuration when it starts.
            done = None
        else:
            done = self.run_verb()
        if not self.check_mode and self.marked() == seen:
            self.mark.unlink(missing_ok=True)
        return done

    def marked(self) -> bytes | None:
        """What the mark says; None without one."""
        try:
            return self.mark.read_bytes()
        except FileNotFoundError:
            return None

    def run_script(self, script: str) -> bool:
        """Run the command of a service that has no unit to reload; whether it could take anything now."""
        return self.check_mode or run(["/bin/sh", "-ec", script], self.name) != NOT_NOW

    def run_verb(self) -> str:
        """Reload or restart the unit, and wait until it has taken its configuration."""
        if not self.check_mode:
            if shown(self.unit, "NeedDaemonReload") == "yes":
                run(["systemctl", "daemon-reload"], self.name)
            before = self.processes()
            run(["systemctl", self.verb, "--", self.unit], self.name)
            self.wait("is active again", lambda: unit_state(self.unit) == "active")
            if self.new_process and self.verb == "reload":
                self.wait("has a new process", lambda: bool(self.processes() - before))
        return f"{self.verb} {self.unit}"

    def wait(self, what: str, is_so: Callable[[], bool]) -> None:
        """Wait until something is so.

        Raises:
            NotTaken: it is not in time.
        """
        end = time.monotonic() + self.timeout
        while not is_so():
            if time.monotonic() > end:
                raise NotTaken(
                    f"{self.name}: {self.unit} was told to {self.verb}, and not one look in "
                    f"{self.timeout:.0f} s found that it {what}; see journalctl -u {self.unit}"
                )
            time.sleep(POLL_SECONDS)

    def processes(self) -> set[tuple[int, int]]:
        """The processes of the unit: number, and start in ticks since the boot, which tells a number used again."""
        found = set()
        for folder in CONTROL_GROUPS:
            for pid in numbers(folder / self.unit / "cgroup.procs"):
                started = start_of(pid)
                if started is not None:
                    found.add((pid, started))
        return found


def numbers(path: Path) -> list[int]:
    """The process numbers in a file of a control group."""
    try:
        return [int(word) for word in path.read_text().split()]
    except OSError:
        return []


def start_of(pid: int) -> int | None:
    """When a process began; None when it has ended."""
    try:
        # The name of the program, in parentheses, may hold anything.
        return int((PROCESSES / str(pid) / "stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return None


def modified(path: str) -> float:
    """When a file was written; 0 for one that is not there."""
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0


def unit_state(unit: str) -> str:
    """As systemd has it: active, reloading, inactive, failed …"""
    ended = subprocess.run(["systemctl", "is-active", "--", unit], capture_output=True, text=True, check=False)
    return ended.stdout.strip() or "unknown"


def shown(unit: str, name: str) -> str:
    """A property of a unit."""
    command = ["systemctl", "show", f"--property={name}", "--value", "--", unit]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def run(words: list[str], name: str) -> int:
    """Run a command; its exit code, which is 0 or "not now".

    Raises:
        NotTaken: it failed.
    """
    ended = subprocess.run(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if ended.returncode not in (0, NOT_NOW):
        said = ended.stdout.strip() or f"exit code {ended.returncode}"
        raise NotTaken(f"{name} did not take its changed configuration: {said}")
    return ended.returncode


def main(arguments: dict[str, Any]) -> None:
    """Reload what waits, in order, and print the result of the action as one line of JSON.

    One that fails does not keep the others from being reloaded; its mark stays.
    """
    done: list[str] = []
    problems: list[str] = []
    for entry in arguments["services"]:
        service = Service(entry, check_mode=arguments["check_mode"])
        if service.why() is None:
            continue
        try:
            if said := service.take():
                done.append(said)
        except (NotTaken, OSError) as problem:
            problems.append(str(problem))
    result: dict[str, Any] = {"changed": bool(done), "done": done}
    if problems:
        result |= {"failed": True, "msg": "; ".join(problems)}
    print(json.dumps(result))
