# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs one playbook by ansible-runner and tells its progress.

The event handler only passes on what it is given; a slow one causes time-outs in ansible-runner (its issue 1343).
"""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ansible_runner

from trivet.ansible.settings import ansible_environment
from trivet.errors import PlaybookError
from trivet.model.environment import Environment
from trivet.paths import cache_directory, collection_root

# The controller itself, by the Python that runs Trivet: modules find there what this Python has.
CONTROLLER: dict[str, Any] = {
    "all": {
        "hosts": {"localhost": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}},
    }
}
FINAL_EVENTS = ("runner_on_ok", "runner_on_failed", "runner_on_unreachable")


@dataclass(frozen=True, slots=True)
class PlaybookEvent:
    """A task on a node. ``state``: begins (on no node in particular), ok, changed, failed or unreachable."""

    node: str
    role: str
    task: str
    state: str
    seconds: float
    message: str = ""


@dataclass(slots=True)
class PlaybookResult:
    """What a playbook did. Counts are over all nodes.

    :param data: what it handed back by ``ansible.builtin.set_stats``.
    """

    changed: int = 0
    ok: int = 0
    data: dict[str, Any] = field(default_factory=dict)
    tasks: list[PlaybookEvent] = field(default_factory=list)
    failures: list[PlaybookEvent] = field(default_factory=list)


Listener = Callable[[PlaybookEvent], None]


def run_playbook(
    environment: Environment,
    playbook: str,
    *,
    variables: Mapping[str, Any] | None = None,
    limit: Sequence[str] = (),
    check: bool = False,
    listener: Listener = lambda event: None,
    interruptible: bool = True,
    timeout: float = 3600,
) -> PlaybookResult:
    """Run a playbook of the collection against an environment.

    :param playbook: path below playbooks/, such as ``rotation/stop.yml``.
    :param limit: names of the nodes to run on; all when empty.
    :param interruptible: end the playbook at Ctrl-C and SIGTERM; else the caller's own handlers decide.
    :param timeout: seconds for the whole playbook.
    :raises PlaybookError: when a task failed or a node was unreachable, with its words.
    """
    return _run(
        playbook,
        str(environment.inventory),
        variables=variables or {},
        limit=limit,
        check=check,
        listener=listener,
        interruptible=interruptible,
        timeout=timeout,
    )


def run_on_controller(
    playbook: str,
    variables: Mapping[str, Any],
    *,
    listener: Listener = lambda event: None,
    timeout: float = 3600,
) -> dict[str, Any]:
    """Run a playbook of the collection on this machine, without an inventory: it asks a cloud, not a node.

    Ctrl-C and SIGTERM do not end it, the caller's own handlers decide: a machine must not be left half-way down.

    :param playbook: path below playbooks/, such as ``providers/aws_stop.yml``.
    :param timeout: seconds for the whole playbook.
    :returns: what the playbook hands back by ``ansible.builtin.set_stats``.
    :raises PlaybookError: when a task failed, with its words.
    """
    return _run(playbook, CONTROLLER, variables=variables, listener=listener, interruptible=False, timeout=timeout).data


def _run(
    playbook: str,
    inventory: str | Mapping[str, Any],
    *,
    variables: Mapping[str, Any],
    limit: Sequence[str] = (),
    check: bool = False,
    listener: Listener,
    interruptible: bool,
    timeout: float,
) -> PlaybookResult:
    result = PlaybookResult()
    base = cache_directory() / "runs"
    base.mkdir(parents=True, exist_ok=True)
    for folder in ("ssh", "facts"):
        (cache_directory() / folder).mkdir(parents=True, exist_ok=True, mode=0o700)
    private = Path(tempfile.mkdtemp(prefix="run-", dir=base))
    # ansible-runner replaces these handlers and leaves its own behind, which swallow every later Ctrl-C.
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        run = ansible_runner.run(
            private_data_dir=str(private),
            playbook=str(collection_root() / "playbooks" / playbook),
            inventory=inventory,
            limit=",".join(limit) or None,
            extravars=dict(variables),
            cmdline="--check --diff" if check else None,
            envvars=ansible_environment(),
            quiet=True,
            event_handler=lambda event: _record(event, result, listener),
            # Without a callback of ours ansible-runner takes the signals for itself.
            cancel_callback=None if interruptible else (lambda: False),
            timeout=int(timeout),
        )
        _raise_failure(run, result, playbook)
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():
                signal.signal(number, handler)
        shutil.rmtree(private, ignore_errors=True)
    return result


def _record(event: Mapping[str, Any], result: PlaybookResult, listener: Listener) -> bool:
    kind = event.get("event", "")
    data = event.get("event_data") or {}
    if kind == "playbook_on_task_start":
        listener(PlaybookEvent("", _role(data), str(data.get("task") or ""), "begins", 0.0))
    if kind == "playbook_on_stats":
        result.data.update(data.get("artifact_data") or {})
    if kind not in FINAL_EVENTS:
        return True
    outcome = data.get("res") or {}
    state = {"runner_on_failed": "failed", "runner_on_unreachable": "unreachable"}.get(
        kind, "changed" if outcome.get("changed") else "ok"
    )
    if state == "failed" and data.get("ignore_errors"):
        state = "ok"
    told = PlaybookEvent(
        node=str(data.get("host", "")),
        role=_role(data),
        task=str(data.get("task") or ""),
        state=state,
        seconds=float(data.get("duration") or 0.0),
        message=_message(outcome) if state in ("failed", "unreachable") else "",
    )
    result.tasks.append(told)
    result.changed += state == "changed"
    result.ok += state in ("ok", "changed")
    if state in ("failed", "unreachable"):
        result.failures.append(told)
    listener(told)
    return True


def _role(data: Mapping[str, Any]) -> str:
    return str(data.get("role") or "").rpartition(".")[2]


def _message(outcome: Mapping[str, Any]) -> str:
    for item in outcome.get("results") or []:
        # A loop's own words are that all items were completed.
        if isinstance(item, Mapping) and (item.get("failed") or item.get("unreachable")):
            subject = item.get(item.get("ansible_loop_var") or "item", "an item")
            return f"{subject}: {_message({**item, 'results': None})}"
    parts = [str(outcome.get(key) or "").strip() for key in ("msg", "stderr", "detail")]
    words = "; ".join(part for part in parts if part)[:2000]
    # A task with `until` that waited in vain has no words of its own.
    return words or (f"gave up after {outcome['attempts']} attempts" if outcome.get("attempts") else "")


def _raise_failure(run: Any, result: PlaybookResult, playbook: str) -> None:
    if run.rc == 0:
        return
    if result.failures:
        # A failure under no_log says nothing, and a rescued one is not the reason: the last that has words is.
        first = next((failure for failure in reversed(result.failures) if failure.message), result.failures[-1])
        role = f"{first.role}: " if first.role else ""
        raise PlaybookError(f"{first.node}: {role}{first.task}: {first.state}: {first.message}")
    output = " ".join(run.stdout.read().split())[:1500] if run.stdout else ""
    raise PlaybookError(f"{playbook} ended with status {run.status} (exit code {run.rc}): {output}")
