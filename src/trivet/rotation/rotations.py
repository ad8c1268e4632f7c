# SPDX-License-Identifier: GPL-3.0-or-later
"""The verbs of rolling changes: plan, apply, resume, abort, roll back, status, history."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from types import TracebackType
from typing import Any

from trivet.agent.journal import OPEN_STATES
from trivet.errors import ChangeHalted, ChangeStopped, InputError
from trivet.model import Environment
from trivet.report import ReportFiles
from trivet.rotation.change import Change, Kind, Step, is_rolling
from trivet.rotation.cluster import Cluster, LiveCluster
from trivet.rotation.engine import Engine, Planner, RotationReport, check_input, current_step
from trivet.rotation.plan import Plan, PlannedNode, Refusing
from trivet.rotation.progress import Progress, progress_of
from trivet.rotation.view import View
from trivet.run.events import LeaseTold, Listener, Progressed, Replanned, RunBegan, unheard
from trivet.run.journal import Journal, bring_together, changes, rolled_back
from trivet.run.lease import HeldLease, run_owner
from trivet.run.report import write_report_of
from trivet.run.stop import StopRequest


def refuse(plan: Refusing) -> None:
    """Refuse what a plan refuses.

    :raises InputError: with every reason, and what to do about the first.
    """
    if plan.refusals:
        raise InputError("; ".join(item.reason for item in plan.refusals), plan.refusals[0].next_command)


class Rotations:
    """The rolling changes of an environment.

    :param listener: takes what a change tells.
    :param stop: where a signal handler leaves the operator's wish to stop.
    :param connect: opens the cluster; tests give a simulated one.
    """

    def __init__(
        self,
        environment: Environment,
        listener: Listener = unheard,
        stop: StopRequest | None = None,
        connect: Callable[[Environment], AbstractContextManager[Cluster]] = LiveCluster,
    ) -> None:
        self._environment = environment
        self._listener = listener
        self._stop = stop or StopRequest()
        self._connect = connect
        self._owner = run_owner()
        self._stack = ExitStack()
        self._open: Cluster | None = None

    def __enter__(self) -> Rotations:
        """Open the cluster once for all verbs until the end of the context; without it each verb opens its own."""
        self._open = self._stack.enter_context(self._connect(self._environment))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open = None
        self._stack.close()

    def bound(self, listener: Listener, stop: StopRequest) -> Rotations:
        """The same, on the same open cluster, with another listener and wish to stop."""
        other = Rotations(self._environment, listener, stop, self._connect)
        other._open = self._open
        return other

    @contextmanager
    def _opened(self) -> Iterator[Cluster]:
        if self._open is not None:
            yield self._open
            return
        with self._connect(self._environment) as cluster:
            yield cluster

    def plan(self, change: Change) -> Plan:
        """What a change would do now, and what refuses it. Touches nothing.

        :raises TrivetError: for bad input.
        """
        with self._opened() as cluster:
            check_input(cluster, change)
            return Planner(cluster).plan(change)

    def apply(self, change: Change, shown: Plan | None = None) -> RotationReport:
        """Make a change.

        :param shown: the plan that the operator agreed to; what differs from it by now is said before anything is done.
        :raises TrivetError: when it is refused or halts; the journal says where.
        """
        with self._opened() as cluster:
            check_input(cluster, change)
            cluster.check(change.needs_machines)
            cluster.check_new(change.new_machines)
            with cluster.attended():
                plan = shown or self._agreed(cluster, change, None)
                refuse(plan)
                with self._lease(cluster, change.purpose) as lease:
                    # Somebody may have finished a change between the plan and the lease.
                    plan = self._agreed(cluster, change, plan)
                    return self._begin(cluster, lease, plan, recorded=change.size or None)

    def resume(self) -> RotationReport:
        """Continue the change that was broken off, from where its journal ends.

        :raises TrivetError: when there is none, its runner is alive, or it halts again.
        """
        with self._continued("resume") as (cluster, lease, journal):
            progress = Progress.of(journal.lines)
            view = cluster.view()
            current = current_step(progress, view)
            engine = self._reopen(cluster, lease, journal, progress)
            engine.run(list(progress.remaining), current, recorded=progress.change.size or None)
            if progress.change.rolls_back:
                self._close(cluster, progress.change.rolls_back, "rolled back")
            return engine.report

    def abort(self) -> RotationReport:
        """End the change that was broken off, where it is: the node in hand is brought back into use as it is.

        A rollback is ended together with the change that it was to take back.

        :raises TrivetError: when there is none, its runner is alive, or the node does not come back.
        """
        with self._continued("abort") as (cluster, lease, journal):
            progress = Progress.of(journal.lines)
            engine = self._reopen(cluster, lease, journal, progress)
            if progress.current is not None:
                self._bring_back(cluster, engine, progress, cluster.view())
            journal.write("snapshot", **cluster.view().to_line("after"))
            journal.write("aborted", by=self._owner, finished=list(progress.finished))
            if progress.change.rolls_back:
                self._close(cluster, progress.change.rolls_back, "aborted")
            return engine.report

    def rollback(self) -> RotationReport:
        """Take the change that was broken off back, on every node that it has touched.

        :raises TrivetError: when there is none, it cannot be taken back, or the way back halts.
        """
        with self._continued("roll back") as (cluster, lease, journal):
            progress = Progress.of(journal.lines)
            change = progress.change.rolled_back(journal.id, progress.touched)
            if progress.current is not None and not progress.current_touched:
                cluster.steps(progress.current, change, self._owner, self._teller(progress.current)).undo_drain()
            if not change.nodes:
                journal.write("rolled back", by=self._owner)
                return RotationReport(self._plan_of(journal), journal.path, lines=journal.lines)
            current = self._way_back(progress, cluster.view())
            nodes = tuple(PlannedNode(name, "was touched") for name in change.nodes)
            report = self._begin(cluster, lease, Plan(self._environment.name, change, nodes), change.size, current)
            journal.write("rolled back", by=self._owner, journal=report.journal.stem)
            return report

    def status(self) -> dict[str, Any]:
        """The change that is not over, else the last one; ``{}`` when there was none.

        Keys: those of ``trivet-agent journal list``, and finished, current, step, remaining, held_by, lines.
        """
        with self._opened() as cluster:
            listed = changes(cluster.journals.summaries())
            if not listed:
                return {}
            # A change of web nodes is told too, but never hides a rolling one that waits for a verb.
            open_ones = [item for item in listed if item["state"] in OPEN_STATES]
            chosen = min(open_ones or listed[:1], key=lambda item: not is_rolling(item["change"]))
            journal = Journal.reopened(self._environment.label, chosen["id"], cluster.journals)
            return {
                **chosen,
                **progress_of(chosen["change"], journal.lines),
                "held_by": cluster.lease_holder(),
                "lines": journal.lines,
            }

    def check_open(self) -> None:
        """Refuse when there is nothing to resume, abort or roll back.

        :raises InputError: no rolling change is broken off.
        """
        with self._opened() as cluster:
            self._open_journal(cluster)

    def history(self) -> list[dict[str, Any]]:
        """Summaries of all changes that the nodes remember, the newest first."""
        with self._opened() as cluster:
            return changes(cluster.journals.summaries())

    def pending_restart(self) -> tuple[str, ...]:
        """Names of the nodes whose changed configuration waits for a restart."""
        with self._opened() as cluster:
            pending = cluster.view().pending
            return tuple(node.name for node in self._environment.nodes if pending.get(node.name))

    def report(self, journal: str = "") -> ReportFiles:
        """Write the report of a change from the nodes' copies of its journal: also of one that another machine made.

        :param journal: its id; the newest when empty.
        :raises TrivetError: when there is no such journal, or the files cannot be written.
        """
        with self._opened() as cluster:
            known = [item["id"] for item in changes(cluster.journals.summaries())]
            if not known or (journal and journal not in known):
                raise InputError(
                    f"{self._environment.name} has no journal {journal}".rstrip(),
                    f"trivet rotation history {self._environment.label}",
                )
            found = Journal.reopened(self._environment.label, journal or known[0], cluster.journals)
            return write_report_of(self._environment.label, found.id)

    def request_stop(self) -> str:
        """Ask the runner of the change that runs to stop at its next safe point; the journal's id.

        :raises TrivetError: when there is none, or no node could keep the request.
        """
        with self._opened() as cluster:
            # The one that runs is written to: a scale-out, too, stops between two of its steps.
            chosen = max(self._open_journals(cluster), key=lambda item: item["last"] or 0.0)
            cluster.journals.request_stop(chosen["id"], self._owner)
            return str(chosen["id"])

    def _agreed(self, cluster: Cluster, change: Change, shown: Plan | None) -> Plan:
        plan = Planner(cluster).plan(change, recent=True)
        refuse(plan)
        for words in plan.differences(shown) if shown else ():
            self._listener(Replanned(words))
        return plan

    def _begin(
        self,
        cluster: Cluster,
        lease: HeldLease,
        plan: Plan,
        recorded: str | None,
        current: tuple[str, Step] | None = None,
    ) -> RotationReport:
        if self._stop.by:
            raise ChangeStopped(f"stopped by {self._stop.by} before anything was touched")
        bring_together(self._environment.label, cluster.journals)
        for taken_back in rolled_back(cluster.journals.summaries()):
            self._close(cluster, taken_back, "rolled back")
        journal = Journal.begin(self._environment.label, self._owner, cluster.journals)
        begins_at = {"current": {"node": current[0], "step": current[1].value}} if current else {}
        journal.write("plan", majority=True, owner=self._owner, plan=plan.to_dict(), **begins_at)
        journal.write("snapshot", **cluster.view(recent=True).to_line("before"))
        self._listener(RunBegan(journal.id, plan.change.purpose, plan.to_dict()))
        engine = Engine(cluster, lease, journal, plan, self._owner, self._listener, self._stop)
        engine.run([node.name for node in plan.nodes], current, recorded)
        return engine.report

    def _reopen(self, cluster: Cluster, lease: HeldLease, journal: Journal, progress: Progress) -> Engine:
        journal.write("resumed", majority=True, owner=self._owner)
        plan = self._plan_of(journal)
        self._listener(RunBegan(journal.id, plan.change.purpose, plan.to_dict()))
        return Engine(cluster, lease, journal, plan, self._owner, self._listener, self._stop)

    def _plan_of(self, journal: Journal) -> Plan:
        """The plan as its journal has it."""
        plan = next(line for line in journal.lines if line["kind"] == "plan")["plan"]
        return Plan(
            plan["environment"],
            Change.from_dict(plan["change"]),
            tuple(PlannedNode(node["name"], node["reason"], tuple(node["actions"])) for node in plan["nodes"]),
            {step["step"]: step["expected_seconds"] for step in plan["steps"] if step["expected_seconds"] is not None},
        )

    @contextmanager
    def _continued(self, verb: str) -> Iterator[tuple[Cluster, HeldLease, Journal]]:
        """The broken-off change, its lease taken over once nobody renews it any more.

        :raises InputError: when no change is broken off.
        """
        with self._opened() as cluster, cluster.attended():
            chosen = self._open_journal(cluster)
            with self._lease(cluster, f"{verb}: {chosen['change'].get('summary', 'change')}", patience=True) as lease:
                # Only under the lease is it certain that nobody else goes on with it.
                chosen = self._open_journal(cluster)
                cluster.check(Change.from_dict(chosen["change"]).needs_machines)
                yield cluster, lease, Journal.reopened(self._environment.label, chosen["id"], cluster.journals)

    def _open_journal(self, cluster: Cluster) -> dict[str, Any]:
        """The rolling change that is not over.

        :raises InputError: when there is none; a change of web nodes has another way on.
        """
        found = self._open_journals(cluster)
        for item in found:
            if is_rolling(item["change"]):
                return item
        change = found[0]["change"]
        raise InputError(
            f"the {change.get('summary', 'change')} is not over, and is no rolling change: "
            f"the same command goes on with it",
            change.get("command"),
        )

    def _open_journals(self, cluster: Cluster) -> list[dict[str, Any]]:
        """The changes that are not over, the newest first.

        :raises InputError: when there is none.
        """
        found = [item for item in changes(cluster.journals.summaries()) if item["state"] in OPEN_STATES]
        if not found:
            raise InputError(
                f"{self._environment.name} has no change that was broken off",
                f"trivet rotation history {self._environment.label}",
            )
        return found

    def _close(self, cluster: Cluster, journal: str, kind: str) -> None:
        """Write the last line of another journal."""
        Journal.reopened(self._environment.label, journal, cluster.journals).write(kind, by=self._owner)

    def _way_back(self, progress: Progress, view: View) -> tuple[str, Step] | None:
        """Where the node in hand begins its way back: it is stopped and resized at once unless it serves again."""
        if not progress.current_touched or progress.current is None:
            return None
        if progress.current not in view.out_of_service:
            return progress.current, Step.HAND_OVER
        return progress.current, Step.RESIZE if progress.current in view.unreachable else Step.STOP

    def _bring_back(self, cluster: Cluster, engine: Engine, progress: Progress, view: View) -> None:
        name = progress.current
        assert name is not None
        steps = cluster.steps(name, progress.change, self._owner, self._teller(name))
        if not progress.current_touched:
            steps.undo_drain()
            return
        if progress.change.kind is Kind.REPLACE and progress.step is Step.REPLACE:
            raise ChangeHalted(
                f"{name} has no machine of its own yet, so it cannot be brought back as it is",
                f"trivet rotation resume {self._environment.label}",
            )
        if name in view.unreachable:
            steps.power_on()
        with engine.halting():
            engine.rotate(name, progress.abort_at(serves=name not in view.out_of_service))

    def _lease(self, cluster: Cluster, purpose: str, patience: bool = False) -> AbstractContextManager[HeldLease]:
        return cluster.lease(self._owner, purpose, patience, lambda text: self._listener(LeaseTold(text)))

    def _teller(self, name: str) -> Callable[[str], None]:
        return lambda text: self._listener(Progressed(name, text))
