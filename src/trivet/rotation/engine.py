# SPDX-License-Identifier: GPL-3.0-or-later
"""The loop of every rolling change: one node after the other, each step in the journal before it begins.

Never two nodes at a time, never the next node without a verdict of this moment, never a node stopped while another is
out of service, which is looked at anew before each stop.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from trivet.agent.journal import OPEN_STATES
from trivet.errors import ChangeHalted, ChangeStopped, InputError, LeaseHeld, TrivetError
from trivet.health.findings import State
from trivet.model import Environment
from trivet.model.size import SIZES, SMALLEST_NODE_MIB, is_of_size, session_memory_mib, size_named
from trivet.rotation.change import BRINGS_BACK, Change, Kind, Step, is_rolling
from trivet.rotation.cluster import Cluster, Steps
from trivet.rotation.plan import Plan, PlannedNode, Refusal, expected_seconds, ordered
from trivet.rotation.progress import Progress
from trivet.rotation.turn import told_clients
from trivet.rotation.view import View
from trivet.run.events import Listener, Progressed, Replanned
from trivet.run.journal import Journal, StepTime, changes
from trivet.run.lease import HeldLease
from trivet.run.steps import ChangeUnderWay
from trivet.run.stop import StopRequest

# A busy machine may keep a collector from its answer for a moment.
SETTLE_SECONDS = 90.0
LOOK_SECONDS = 2.0
TOLD_REASONS = 4


@dataclass(slots=True)
class RotationReport:
    """What a change did. Seconds are wall clock.

    :param lines: the journal's.
    """

    plan: Plan
    journal: Path
    seconds: float = 0.0
    times: list[StepTime] = field(default_factory=list)
    lines: list[dict[str, Any]] = field(default_factory=list)


class Planner:
    """Says what a change would do to a cluster as it is now. Touches nothing."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._environment = cluster.environment

    def plan(self, change: Change, recent: bool = False) -> Plan:
        """The plan of a change, with what refuses it.

        :param recent: whether a look of a moment ago is good enough.
        """
        view = settled(self._cluster, recent=recent)
        present = self._present_size(view) if change.kind is Kind.RESIZE else None
        warnings = list(self._cluster.table_warnings())
        if present:
            warnings.append(
                f"every node has what size {present} gives, and {self._environment.inventory} says trivet_size "
                f"{self._environment.size}: a rollback gives size {present} back"
            )
            change = replace(change, size_before=present)
        history = changes(self._cluster.journals.summaries())
        roles = {name: view.roles[name] for name in view.roles if name in change.nodes}
        return Plan(
            self._environment.name,
            change,
            ordered(roles),
            expected_seconds(item for item in history if item["change"].get("kind") == change.kind.value),
            tuple(self._refusals(change, view, history)),
            tuple(warnings),
        )

    def _present_size(self, view: View) -> str | None:
        """The size that every machine has, when it is another one than the inventory says.

        Providers ``command`` and ``aws`` leave it to the operator to write a new size down, who may have forgotten it.
        """
        machines = [(int(have["vcpus"]), int(have["memory_mib"])) for have in view.machines.values()]
        for name in (self._environment.size, *SIZES):
            # Provider aws takes only the sizes that the inventory has instance types for.
            with suppress(InputError):
                target = self._cluster.target(name)
                if machines and all(is_of_size(cpus, memory_mib, target) for cpus, memory_mib in machines):
                    return name if name != self._environment.size else None
        return None

    def _refusals(self, change: Change, view: View, history: list[dict[str, Any]]) -> list[Refusal]:
        label = self._environment.label
        refusals = []
        # Web nodes that are not finished are judged by the verdict: a node must be replaceable beside them.
        open_ones = [item for item in history if item["state"] in OPEN_STATES and is_rolling(item["change"])]
        if open_ones:
            first = open_ones[0]
            refusals.append(
                Refusal(
                    f"a {first['change'].get('summary', 'change')} by {first['owner']} is not over ({first['state']})",
                    f"trivet rotation status {label}; then resume, abort or rollback",
                )
            )
        if view.strangers:
            refusals.append(
                Refusal(
                    f"the inventory changes a cluster-wide name: {'; '.join(view.strangers[:TOLD_REASONS])}. A rolling "
                    f"change cannot do that: the first restarted node would no longer be recognised by its peers",
                    "restore the old value in the inventory, or build a second environment and move to it",
                )
            )
        # A node that is replaced may be the reason why the environment is not healthy.
        excused = change.nodes[0] if change.kind is Kind.REPLACE else None
        if foreign := [name for name in self._cluster.foreign_agents() if name != excused]:
            refusals.append(
                Refusal(
                    f"the agent of {' and '.join(foreign)} is of another Trivet than this runner, and may not "
                    f"know what it asks",
                    f"trivet converge {label}",
                )
            )
        reasons = view.not_serving(but=excused) if excused else view.blocking()
        if reasons:
            refusals.append(
                Refusal(
                    f"{self._environment.name} is not healthy, so no node may be taken out: "
                    f"{'; '.join(reasons[:TOLD_REASONS])}",
                    f"trivet status {label}",
                )
            )
        return refusals + self._cut(change, view) + self._too_small(change, view)

    def _cut(self, change: Change, view: View) -> list[Refusal]:
        """Whoever keeps something in the database of a node whose turn comes, and has for long."""
        return [
            Refusal(
                f"a change of {name} would cut {told_clients(kept)}",
                f"end them (ssh {self._environment.node(name).address} mariadb-admin kill NUMBER) or wait, then again",
            )
            for name, kept in view.kept.items()
            if name in change.nodes
        ]

    def _too_small(self, change: Change, view: View) -> list[Refusal]:
        if change.kind is not Kind.RESIZE:
            return []
        # Sessions are never evicted: what is there must fit into what the role gives the instance.
        room = session_memory_mib(self._cluster.target(change.size).memory_mib)
        return [
            Refusal(f"size {change.size} gives the sessions {room} MiB of memory, but {name} holds {used} MiB of them")
            for name, used in view.session_mib.items()
            if used > room
        ]


def check_input(cluster: Cluster, change: Change) -> None:
    """Refuse what could never be done, before any node is asked.

    :raises InputError: for too few nodes, an unknown node, a web node, one that is named twice, an unknown or too small
        size, a provider that cannot do it.
    """
    environment = cluster.environment
    if change.kind is Kind.REPLACE and environment.provider == "aws":
        raise InputError(
            "provider aws gives a new machine another address, and the peers of a node know it by the old one",
            "replace the instance by hand with the same private address, then `trivet converge`",
        )
    if len(environment.nodes) < 3:
        raise InputError(
            f"{environment.name} has one node; a rotation needs three, since two must go on serving",
            "stop the machine, resize it, start it, then `trivet converge`: "
            "one node cannot be resized without downtime",
        )
    _check_names(environment, change.nodes)
    if change.kind is not Kind.RESIZE:
        return
    target = size_named(change.size)
    memory = cluster.target(change.size).memory_mib
    if memory < SMALLEST_NODE_MIB:
        raise InputError(
            f"size {target.name} gives a node {memory} MiB; "
            f"every service together needs at least {SMALLEST_NODE_MIB} MiB"
        )


def _check_names(environment: Environment, names: tuple[str, ...]) -> None:
    """Refuse what is no service node, and a node that is named twice: it would be taken out twice."""
    service_nodes = [node.name for node in environment.nodes]
    for name in names:
        if environment.node(name).name not in service_nodes:
            raise InputError(
                f"{name} is a web node, which no rolling change takes: a new one takes its place",
                f"trivet scale-out {environment.label} --web 1, then trivet scale-in {environment.label} --web 1",
            )
        if names.count(name) > 1:
            raise InputError(f"{name} is named twice")


def settled(cluster: Cluster, enough: Callable[[View], bool] = lambda view: False, recent: bool = False) -> View:
    """Look until nothing is merely busy or unknown, for SETTLE_SECONDS at most; nobody waits for what is broken.

    :param recent: whether a look of a moment ago is good enough to begin with.
    """
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        view = cluster.view(recent)
        recent = False
        if view.state in (State.HEALTHY, State.BROKEN) or enough(view) or time.monotonic() > deadline:
            return view
        time.sleep(LOOK_SECONDS)


class Engine:
    """Makes a change, from its begin or from wherever its journal ends.

    :param owner: this run, recorded with every flag that it sets.
    :param listener: takes what is done.
    :param stop: looked at before each step.
    """

    def __init__(
        self,
        cluster: Cluster,
        lease: HeldLease,
        journal: Journal,
        plan: Plan,
        owner: str,
        listener: Listener,
        stop: StopRequest,
    ) -> None:
        self._cluster = cluster
        self._environment = cluster.environment
        self._under_way = ChangeUnderWay(lease, journal, listener, stop)
        self._journal = journal
        self._owner = owner
        self._listener = listener
        self._stop = stop
        self._change = plan.change
        self.report = RotationReport(plan, journal.path, lines=journal.lines)

    def run(self, remaining: list[str], current: tuple[str, Step] | None = None, recorded: str | None = None) -> None:
        """Rotate the nodes that remain, the current one first and from its step on.

        :param recorded: the size to remember as the environment's own at the end.
        :raises TrivetError: when it halts; the journal says where.
        """
        started = time.monotonic()
        remaining = list(remaining)
        with self.halting():
            if current is not None:
                self.rotate(current[0], current[1])
                remaining.remove(current[0])
            while remaining:
                self._heed_stop(None)
                name = self._next_node(remaining)
                self.rotate(name, Step.HAND_OVER)
                remaining.remove(name)
            if recorded:
                self._cluster.record(recorded)
            self._journal.write("snapshot", **self._cluster.view(recent=True).to_line("after"))
        self.report.seconds = time.monotonic() - started
        self._journal.write("done", seconds=round(self.report.seconds, 1))

    def halting(self) -> AbstractContextManager[None]:
        """Have the journal say that the change stopped here, when it ends by an error."""
        return self._under_way.halting(lambda: list(Progress.of(self._journal.lines).remaining))

    def _next_node(self, remaining: list[str]) -> str:
        """The next node by the verdict of this moment: roles move with each node, so that the order is decided anew.

        :raises ChangeHalted: when the environment is not healthy.
        """
        # The last look of the node before was at everything, and so was that of the plan. Whether the others serve is
        # looked at once more before anything of this one stops.
        view = settled(self._cluster, recent=True)
        # A node that is replaced may be the reason why the environment is not healthy.
        replaced = self._change.kind is Kind.REPLACE
        reasons = view.not_serving(but=remaining[0]) if replaced else view.blocking()
        if reasons:
            raise ChangeHalted(
                f"{self._environment.name} is no longer healthy: {'; '.join(reasons[:TOLD_REASONS])}",
                f"trivet status {self._environment.label}",
            )
        order = ordered({name: view.roles[name] for name in view.roles if name in remaining})
        planned = [node.name for node in self.report.plan.nodes if node.name in remaining]
        if order[0].name != planned[0]:
            reason = f"{order[0].name} goes before {planned[0]}, which now {_reason(order, planned[0])}"
            self._journal.write("replanned", reason=reason)
            self._listener(Replanned(reason))
        return order[0].name

    def rotate(self, name: str, first: Step) -> None:
        """Take one node through its steps, from ``first`` on.

        :raises TrivetError: when a step fails, or the operator stops it.
        """
        steps = self._cluster.steps(name, self._change, self._owner, lambda text: self._tell(name, text))
        sequence = self._change.steps
        for step in sequence[sequence.index(first) :]:
            self._begin(steps, name, step)
            try:
                seconds = self._under_way.do(step.value, partial(steps.apply, step), node=name)
            except BaseException as error:
                # What can be undone is, whatever the error is.
                left = self._left(steps, name, step)
                if isinstance(error, TrivetError):
                    raise self._told(error, name, step, left) from error
                raise
            self.report.times.append(StepTime(name, step.value, seconds))

    def _begin(self, steps: Steps, name: str, step: Step) -> None:
        """All that must hold before a step; then its line in the journal."""
        try:
            self._under_way.check_lease(step.value, node=name)
            self._heed_stop(name)
            # Also before a machine is removed: on a resumption it may hold the second copy of what a lost node had.
            if step in (Step.STOP, Step.REPLACE):
                self._check_others_serve(name)
            self._under_way.begin(step.value, node=name, majority=step not in BRINGS_BACK)
        except LeaseHeld:
            raise
        except TrivetError as error:
            raise self._told(error, name, step, self._left(steps, name, step)) from error

    def _heed_stop(self, name: str | None) -> None:
        """Stop where it is safe: between nodes, and before a node's services are stopped; with ``at_once`` anywhere.

        :raises ChangeStopped: saying who asked.
        """
        safe = name is None or not self._touched(name) or self._stop.at_once
        if safe and (by := self._under_way.stopped_by()):
            raise ChangeStopped(f"stopped by {by}", f"trivet rotation resume {self._environment.label}")

    def _check_others_serve(self, name: str) -> None:
        """Never go below two serving nodes by an act of one's own.

        :raises ChangeHalted: when another node does not serve.
        """
        view = settled(self._cluster, enough=lambda seen: not seen.not_serving(but=name))
        reasons = view.not_serving(but=name)
        if reasons:
            raise ChangeHalted(
                f"{name} stays as it is, since another node does not serve: {'; '.join(reasons)}",
                f"trivet status {self._environment.label}",
            )

    def _touched(self, name: str) -> bool:
        """Whether the node's services were stopped since it was taken out."""
        progress = Progress.of(self._journal.lines)
        return progress.current == name and progress.current_touched

    def _left(self, steps: Steps, name: str, step: Step) -> str:
        """Take the drain of an untouched node back; what state a node is left in, in words."""
        if self._touched(name):
            return self._left_touched(name, step)
        if Progress.of(self._journal.lines).current != name:
            return "nothing was changed"
        try:
            self._under_way.check_lease(step.value, node=name)
            steps.undo_drain()
        except TrivetError as error:
            # The first failure is what the operator must read; that the drain stands is told beside it.
            self._journal.write("drain stands", node=name, error=error.message)
            self._tell(name, f"the drain could not be undone: {error.message}")
            return "the drain could not be undone"
        self._journal.write("drain undone", node=name)
        return "the drain was undone, nothing was changed"

    def _left_touched(self, name: str, step: Step) -> str:
        if step in (Step.UNDRAIN, Step.SOAK):
            self._journal.write("left in use", node=name, step=step.value)
            return "the node is in use again" if step is Step.SOAK else "the node may be in use again"
        self._journal.write("left drained", node=name)
        return "the node stays drained"

    def _told(self, error: TrivetError, name: str, step: Step, left: str) -> TrivetError:
        kind = type(error) if isinstance(error, ChangeStopped | LeaseHeld) else ChangeHalted
        label = self._environment.label
        return kind(
            f"{name}: {step.value}: {error.message} ({left}; journal: {self._journal.id})",
            error.next_command or f"trivet rotation status {label}; then trivet rotation resume {label}, or rollback",
        )

    def _tell(self, name: str, text: str) -> None:
        self._listener(Progressed(name, text))


def current_step(progress: Progress, view: View) -> tuple[str, Step] | None:
    """Where a broken-off change goes on, if it was at a node."""
    if progress.current is None:
        return None
    return progress.current, progress.resume_at(serves=progress.current not in view.out_of_service)


def _reason(order: Iterable[PlannedNode], name: str) -> str:
    return next(node.reason for node in order if node.name == name)
