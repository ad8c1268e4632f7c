# SPDX-License-Identifier: GPL-3.0-or-later
"""``cron …``: the application's crons, on exactly one node at a time.

The node is agreed by a lock on the shared volume, which a node that dies loses. It alone would not be enough: a client
that lost its majority may believe in a lock that it has no more. So each run is claimed as well, by a file of its own
that only one node can create. One run at a time, as on the platform; what a run leaves behind goes on in its unit, and
is ended with the instance.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from trivet.health.config import NodeConfig
from trivet.node.command import run_command
from trivet.node.errors import AgentError
from trivet.node.flag_files import FlagFiles
from trivet.services.application import hooks, instance
from trivet.services.application.instance import Instance
from trivet.services.application.releases import Store, replaced
from trivet.services.application.schedule import Cron

LOCK, HOLDER, CLAIMS, PAUSED = "cron.lock", "cron-node", "crons", "cron-paused"
FLAG = "crons"
UNIT = "trivet-cron-"
POLL_SECONDS = 1.0
RETRY_SECONDS = 5.0
CLAIMS_KEPT_SECONDS = 3600.0
LONGEST_WAIT_MINUTES = 24 * 60
"""What became due in a longer pause is not made up for."""
LOOKED_AHEAD_MINUTES = 7 * 24 * 60
STOP_SECONDS = 120.0


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``cron …`` to the agent's command line."""
    commands = subparsers.add_parser("cron", help="the application's crons").add_subparsers(required=True)
    commands.add_parser("serve", help="run what is due while this node has the lock").set_defaults(run=run_serve)
    commands.add_parser("list", help="crons, and the node that runs them").set_defaults(run=run_list)
    run = commands.add_parser("run", help="run one now; what it says goes to standard error")
    run.add_argument("name")
    run.set_defaults(run=run_one)
    pause = commands.add_parser("pause", help="begin none for a time, on any node")
    pause.add_argument("--owner", required=True)
    pause.add_argument("--expires", required=True, type=float, metavar="SECONDS")
    pause.set_defaults(run=run_pause)
    commands.add_parser("resume", help="begin what is due again").set_defaults(run=run_resume)
    commands.add_parser("stop", help="end those that run on this node").set_defaults(run=run_stop)


def run_serve(_args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """Run what is due, for ever."""
    CronNode(NodeConfig.from_mapping(config)).serve()
    return {}


def run_list(_args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """What there is."""
    node = NodeConfig.from_mapping(config)
    store = Store(node)
    found = _current()
    flag = pauses(store).get(FLAG)
    return {
        "crons": [_told(cron) for cron in found.crons] if found else [],
        "node": _holder(store),
        "paused": flag.owner if flag else None,
        "running": running(),
    }


def _told(cron: Cron) -> dict[str, Any]:
    return {"name": cron.name, "command": cron.command, "next": next_due(cron, int(time.time()) // 60)}


def next_due(cron: Cron, now: int) -> int | None:
    """When a cron is due next, in epoch seconds; None when that is not within LOOKED_AHEAD_MINUTES.

    Args:
        now: minutes since the epoch.
    """
    for minute in range(now + 1, now + LOOKED_AHEAD_MINUTES):
        if cron.due(time.localtime(minute * 60)):
            return minute * 60
    return None


def run_one(args: argparse.Namespace, _config: Mapping[str, Any]) -> dict[str, Any]:
    """Run one now, beside the schedule."""
    found = _current()
    cron = next((cron for cron in found.crons if cron.name == args.name), None) if found else None
    if found is None or cron is None:
        raise AgentError(f"the application has no cron {args.name}")
    words = hooks.transient(found, f"{UNIT}{cron.name}-by-hand.service", cron.timeout_seconds)
    code, last = hooks.shown([*words, hooks.SHELL, "-c", cron.command], cron.timeout_seconds)
    return {"cron": cron.name, "code": code, "last": last}


def run_pause(args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """Have no node begin one."""
    if args.expires <= 0:
        raise AgentError("--expires needs a positive number of seconds")
    store = Store(NodeConfig.from_mapping(config))
    store.ready()
    pauses(store).set(FLAG, args.owner, args.expires)
    return {"paused": True}


def run_resume(_args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """Have them begun again. Harmless when they are."""
    return {"resumed": pauses(Store(NodeConfig.from_mapping(config))).clear(FLAG)}


def run_stop(_args: argparse.Namespace, _config: Mapping[str, Any]) -> dict[str, Any]:
    """End what runs here, within the limits of each."""
    return {"stopped": stop_all()}


def running() -> list[str]:
    """Units of runs that have not ended on this node, with what they left behind."""
    words = ["systemctl", "list-units", "--plain", "--no-legend", "--state=active,activating,deactivating", f"{UNIT}*"]
    return [line.split()[0] for line in run_command(words, 30.0).stdout.splitlines() if line.strip()]


def stop_all() -> list[str]:
    """End every run on this node: SIGTERM, and SIGKILL at its limit."""
    units = running()
    if units:
        run_command(["systemctl", "stop", *units], STOP_SECONDS)
    forget_failed()
    return units


def forget_failed() -> None:
    """Have systemd forget the runs that failed: one whose children outlived it is not forgotten when they end."""
    run_command(["systemctl", "reset-failed", f"{UNIT}*"], 30.0)


def _current() -> Instance | None:
    name = instance.current()
    return instance.load(name) if name is not None else None


def pauses(store: Store) -> FlagFiles:
    """The flag of a change that has no cron begun; on the shared volume, for all nodes."""
    return FlagFiles(store.directory / PAUSED)


def _holder(store: Store) -> str | None:
    with contextlib.suppress(OSError):
        return (store.directory / HOLDER).read_text(encoding="utf-8").strip() or None
    return None


class CronNode:
    """Runs what is due while this node has the lock."""

    def __init__(self, config: NodeConfig) -> None:
        self._config = config
        self._store = Store(config)
        self._told = ""
        self._next_forget = 0.0

    def serve(self) -> None:
        """For ever. What keeps this node from it is told once, and tried again."""
        while True:
            try:
                self._store.ready()
                with self._locked() as held:
                    self._told = ""
                    if held:
                        _say(f"this node runs the crons of {self._config.environment}")
                        self._while_held()
                        _say("another node runs them now")
            except (OSError, AgentError) as problem:
                if str(problem) != self._told:
                    self._told = str(problem)
                    _say(f"no cron is run from here: {problem}")
            time.sleep(RETRY_SECONDS)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[bool]:
        with (self._store.directory / LOCK).open("a") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            # A file of its own: who reads it must not end the lock by closing what he read.
            replaced(self._store.directory / HOLDER, self._config.name)
            yield True

    def _while_held(self) -> None:
        # Who takes the lock over begins with the minute that runs: its claim says whether it was done.
        done = int(time.time()) // 60 - 1
        while _holder(self._store) == self._config.name:
            now = int(time.time()) // 60
            if self._run_due(max(done, now - LONGEST_WAIT_MINUTES), now):
                done = now
            self._forget()
            while time.time() < (now + 1) * 60:
                time.sleep(POLL_SECONDS)

    def _run_due(self, done: int, now: int) -> bool:
        """Run what became due; whether all of it was: a pause leaves it for later."""
        found = _current()
        for cron, minute in waiting(found.crons, done, now) if found else ():
            if pauses(self._store).get(FLAG) is not None:
                return False
            self._run(cron, minute)
        return True

    def _run(self, cron: Cron, minute: int) -> None:
        """One run, to the end of its own process. A failed one is told, and harms no other."""
        found = _current()
        if found is None or not self._claimed(cron, minute):
            return
        unit = f"{UNIT}{cron.name}-{minute}.service"
        began = time.monotonic()
        try:
            run_command(begin(found, cron, unit), 60.0)
            code = self._ended(unit, cron.timeout_seconds)
        except AgentError as problem:
            _say(f"{cron.name}: {problem}")
            return
        seconds = time.monotonic() - began
        _say(f"{cron.name}: {'done' if code == 0 else f'failed with status code {code}'} after {seconds:.1f} s")

    def _claimed(self, cron: Cron, minute: int) -> bool:
        """Whether this run is this node's: the file of its minute is created once on all nodes."""
        folder = self._store.directory / CLAIMS
        folder.mkdir(mode=0o700, exist_ok=True)
        try:
            handle = os.open(folder / f"{cron.name}.{minute}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return False
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(self._config.name)
            stream.flush()
            os.fsync(stream.fileno())
        return True

    def _ended(self, unit: str, seconds: float) -> int:
        """Wait for the run's own process; its exit code. Its children may go on in the unit."""
        end = time.monotonic() + seconds + 60
        while time.monotonic() < end:
            code = _exit_code(unit)
            if code is not None:
                return code
            time.sleep(POLL_SECONDS)
        raise AgentError(f"{unit} does not end")

    def _forget(self) -> None:
        """Remove old claims: once an hour is enough for a few files."""
        if time.time() < self._next_forget:
            return
        self._next_forget = time.time() + CLAIMS_KEPT_SECONDS
        forget_failed()
        for path in (self._store.directory / CLAIMS).glob("*.*"):
            minute = path.name.rpartition(".")[2]
            if minute.isdecimal() and int(minute) * 60 < time.time() - CLAIMS_KEPT_SECONDS:
                path.unlink(missing_ok=True)


def waiting(crons: Sequence[Cron], done: int, now: int) -> list[tuple[Cron, int]]:
    """Each cron that became due after a minute, up to another one, with the last minute in which it did.

    A run takes its time, and what became due meanwhile waits for its end: once, however often it was due.

    Args:
        done: minutes since the epoch, the last that was looked at.
        now: the one that runs.
    """
    found = []
    for cron in crons:
        due = [minute for minute in range(done + 1, now + 1) if cron.due(time.localtime(minute * 60))]
        if due:
            found.append((cron, due[-1]))
    return found


def _exit_code(unit: str) -> int | None:
    """How a run's own process ended; None while it runs."""
    words = ["systemctl", "show", "--property=LoadState,MainPID,ExecMainStatus,ActiveState,Result", unit]
    values = dict(line.split("=", 1) for line in run_command(words, 30.0).stdout.splitlines() if "=" in line)
    if values["LoadState"] == "not-found":
        return 0
    if values["MainPID"] != "0" or values["ActiveState"] == "activating":
        return None
    if values["ActiveState"] == "failed":
        run_command(["systemctl", "reset-failed", unit], 30.0)
    return int(values["ExecMainStatus"]) or int(values["Result"] != "success")


def begin(found: Instance, cron: Cron, unit: str) -> list[str]:
    """The command that begins a run, and does not wait for it."""
    settings = [
        "ExitType=cgroup",  # Magento's cron leaves children behind, which are part of the run.
        f"TimeoutStopSec={cron.shutdown_seconds}",
        "StandardOutput=journal",
        "SyslogIdentifier=trivet-cron",
    ]
    words = hooks.transient(found, unit, cron.timeout_seconds, *settings)
    # Of one that failed systemd keeps how it ended; of one that did not it keeps nothing.
    kept = [word for word in words if word not in ("--wait", "--pipe", "--collect")]
    return [*kept, hooks.SHELL, "-c", cron.command]


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
