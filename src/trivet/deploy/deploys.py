# SPDX-License-Identifier: GPL-3.0-or-later
"""The verbs of deploys: plan, apply, resume, roll back, list."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from trivet.agent.journal import OPEN_STATES
from trivet.build import BuildSettings, Release
from trivet.deploy.compose import Composed, check_runtime, compose
from trivet.deploy.plan import (
    DEPLOY,
    ROLLBACK,
    UNDONE_UNTIL,
    Data,
    DeployPlan,
    Standing,
    Step,
    left_behind,
    other_change,
)
from trivet.deploy.source import Opened, Source
from trivet.deploy.steps import IN_FLIGHT_SECONDS, Steps
from trivet.errors import ChangeHalted, ChangeStopped, InputError, LeaseHeld, TrivetError
from trivet.model import Environment, Node
from trivet.remote import Nodes, observe
from trivet.rotation.plan import Refusal
from trivet.rotation.priorities import core_priorities
from trivet.rotation.rotations import refuse
from trivet.rotation.view import view_of
from trivet.run.copies import NodeJournals
from trivet.run.events import LeaseTold, Noted, Progressed, RunBegan
from trivet.run.journal import Journal, changes
from trivet.run.lease import Lease, lease_holder
from trivet.run.opened import OnNodes
from trivet.run.steps import ChangeUnderWay


@dataclass(slots=True)
class DeployReport:
    """What was done. Seconds are wall clock, by step in ``steps``.

    :param journal: this machine's copy.
    :param held_seconds: how long requests waited; None when none had to.
    :param lost: nodes that were lost meanwhile, and how that showed.
    """

    plan: DeployPlan
    journal: Path
    seconds: float = 0.0
    steps: dict[str, float] = field(default_factory=dict)
    held_seconds: float | None = None
    lost: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return {
            "release": self.plan.release,
            "instance": self.plan.instance,
            "seconds": round(self.seconds, 1),
            "held_seconds": self.held_seconds,
            "steps": self.steps,
            "lost": self.lost,
            "journal": str(self.journal),
        }


@dataclass(frozen=True, slots=True)
class _Work:
    """What the steps of one deploy need. Without a release it is one that the nodes have."""

    composed: Composed | None = None
    release: Release | None = None


class Deploys(OnNodes):
    """The deploys of an environment.

    :param listener: takes what a deploy tells.
    :param stop: the operator's wish to stop, looked at before each step.
    """

    # ---------------------------------------------------------------- what there is

    def holder(self) -> str | None:
        """Who changes the environment now, since when and what for, in words; None when nobody does."""
        with self._opened() as nodes:
            # Opens the connections beside one another.
            nodes.run_on(self._environment.nodes, ["true"], timeout=15)
            return lease_holder(nodes)

    def serving(self) -> str:
        """Name of the release that the environment serves.

        :raises InputError: it serves none yet.
        """
        with self._opened() as nodes:
            current = self._current(self._listed(nodes))
        if current is None:
            raise InputError(
                f"{self._environment.name} serves no release yet", f"trivet deploy {self._environment.label} DIR"
            )
        return current.rpartition("-")[0]

    def listed(self) -> dict[str, dict[str, Any]]:
        """Releases and instances of each node that answers, as ``trivet-agent release list`` has them."""
        with self._opened() as nodes:
            return self._listed(nodes)

    def _listed(self, nodes: Nodes) -> dict[str, dict[str, Any]]:
        found = {}
        words = ("release", "list")
        for result in nodes.at_once(lambda node: nodes.asked(node, words), self._environment.machines):
            if result.reached:
                found[result.node] = nodes.answer(result, words)
        if not found:
            raise ChangeHalted(f"no node of {self._environment.name} answers")
        return found

    def _current(self, listed: Mapping[str, Mapping[str, Any]]) -> str | None:
        return next((item["recorded"] for item in listed.values() if item.get("recorded")), None)

    # ---------------------------------------------------------------- deploy

    def check(self, opened: Opened, settings: BuildSettings) -> None:
        """Refuse what would fail after a build: before anything is built.

        :raises InputError: with every reason, and what to do about the first.
        """
        check_runtime(self._environment, opened.project, opened.application)
        with self._opened() as nodes:
            refusals = self._refusals(nodes)
        if refusals:
            raise InputError("; ".join(item.reason for item in refusals), refusals[0].next_command)

    def composed(self, opened: Opened, release: Release, custom: Mapping[str, str]) -> Composed:
        """What the release runs with here.

        :param custom: variables of the environment.
        :raises InputError: the environment does not have what the application asks for.
        """
        return compose(self._environment, opened.project, opened.application, release, opened.tree.directory, custom)

    def plan(self, opened: Opened, release: Release, composed: Composed, *, leave_data: bool = False) -> DeployPlan:
        """What a deploy would do now, and what refuses it. Touches nothing.

        :param leave_data: the release may leave data of the one that serves behind unused.
        """
        with self._opened() as nodes:
            listed = self._listed(nodes)
            return DeployPlan(
                kind=DEPLOY,
                environment=self._environment.name,
                label=self._environment.label,
                application=release.application,
                release=release.name,
                instance=composed.instance.name,
                before=self._current(listed),
                nodes=tuple(node.name for node in self._environment.machines if node.in_service),
                hook_node=self._hook_node(listed).name,
                hold=opened.project.own(opened.application.name).hold,
                commit=release.commit,
                refusals=(*self._refusals(nodes), *(() if leave_data else self._left_behind(nodes, listed, composed))),
                warnings=tuple(
                    f"{node.name} cannot be reached: it takes the release when it is back"
                    for node in self._environment.machines
                    if node.in_service and node.name not in listed
                ),
            )

    def _left_behind(
        self, nodes: Nodes, listed: Mapping[str, Mapping[str, Any]], composed: Composed
    ) -> tuple[Refusal, ...]:
        """What refuses a release that would not find the data of the one that serves."""
        current = self._current(listed)
        asked = next((name for name, item in listed.items() if current and item["current"] == current), None)
        if asked is None:
            return ()
        said = nodes.agent(self._environment.node(asked), "application", "describe")
        databases = (item["path"] for item in said["relationships"].values() if item["scheme"] == "mysql")
        mounts = (item["source"] for item in said["mounts"] if item["shared"])
        serving = Data(said["application"], frozenset(databases), frozenset(mounts))
        return left_behind(self._environment.label, serving, composed.data)

    def _hook_node(self, listed: Mapping[str, Any]) -> Node:
        return next(node for node in self._environment.nodes if node.name in listed)

    def _refusals(self, nodes: Nodes) -> tuple[Refusal, ...]:
        found = list(other_change(self._environment.label, changes(NodeJournals(nodes).summaries())))
        answering = [result for result in nodes.run_on(self._environment.nodes, ["true"], timeout=15) if result.reached]
        if len(answering) * 2 <= len(self._environment.nodes):
            found.append(
                Refusal(
                    f"only {len(answering)} of {len(self._environment.nodes)} nodes can be reached",
                    f"trivet status {self._environment.label}",
                )
            )
        return tuple(found)

    def apply(self, plan: DeployPlan, composed: Composed, release: Release) -> DeployReport:
        """Deploy.

        :raises TrivetError: it is refused, stopped or fails. Up to the step *record* it was undone then.
        """
        refuse(plan)
        with self._opened() as nodes, self._lease(nodes, plan.purpose, patience=False) as lease:
            # Somebody may have deployed, or begun another change, between the plan and the lease.
            plan = replace(plan, before=self._current(self._listed(nodes)), refusals=self._refusals(nodes))
            refuse(plan)
            return self._begun(nodes, lease, plan, _Work(composed, release))

    def rollback(self, instance: str = "") -> DeployReport:
        """Go back to the instance that served before, or to a named one, without a deploy hook.

        A deploy that was broken off is taken back first.

        :raises TrivetError: there is none, or it does not serve.
        """
        with self._opened() as nodes, self._lease(nodes, ROLLBACK, patience=True) as lease:
            broken_off = self._open_journal(nodes)
            if broken_off is not None:
                return self._taken_back(nodes, lease, broken_off)
            plan = self._plan_back(nodes, instance)
            return self._begun(nodes, lease, plan, _Work())

    def _plan_back(self, nodes: Nodes, instance: str) -> DeployPlan:
        listed = self._listed(nodes)
        current = self._current(listed)
        known = sorted({name for item in listed.values() for name in item["instances"]} - {current})
        wanted = instance or self._previous(nodes, current, known)
        if wanted not in known:
            raise InputError(
                f"{self._environment.name} has no instance {wanted}; it has {', '.join(known) or 'no other'}",
                f"trivet releases {self._environment.label}",
            )
        release = wanted.rpartition("-")[0]
        return DeployPlan(
            kind=ROLLBACK,
            environment=self._environment.name,
            label=self._environment.label,
            application=release.rpartition("-")[0],
            release=release,
            instance=wanted,
            before=current,
            nodes=tuple(node.name for node in self._environment.machines if node.in_service),
            hook_node=self._hook_node(listed).name,
            hold="never",
        )

    def _previous(self, nodes: Nodes, current: str | None, known: list[str]) -> str:
        """What served before, as the last deploy's journal has it."""
        for item in changes(NodeJournals(nodes).summaries()):
            change = item["change"]
            if change.get("kind") in (DEPLOY, ROLLBACK) and change.get("instance") == current:
                before = change.get("before")
                if before in known:
                    return str(before)
        raise InputError(
            f"{self._environment.name} has no release that served before this one",
            f"trivet releases {self._environment.label}",
        )

    def resume(self) -> DeployReport:
        """Go on with the deploy that was broken off, from where its journal ends.

        :raises TrivetError: there is none, its runner is alive, or it fails.
        """
        with self._opened() as nodes, self._lease(nodes, "deploy, resumed", patience=True) as lease:
            journal = self._open_journal(nodes)
            if journal is None:
                raise InputError(
                    f"{self._environment.name} has no deploy that was broken off",
                    f"trivet runs {self._environment.label}",
                )
            plan = _plan_of(journal)
            standing = Standing.of(journal.lines)
            journal.write("resumed", majority=True, owner=self._owner)
            remaining = standing.remaining(plan.steps)
            if {Step.SHIP, Step.PREPARE} & set(remaining) and plan.kind == DEPLOY:
                # Nothing of it can be seen, and what it runs with is not in the journal, since it has secrets.
                self._undo(nodes, journal, plan, held=False)
                raise InputError(
                    f"the {plan.purpose} had changed nothing yet, and was taken back",
                    f"trivet deploy {self._environment.label} again",
                )
            return self._run(nodes, lease, journal, plan, _Work(), remaining, held=standing.held)

    def check_open(self) -> None:
        """Refuse when there is nothing to go on with.

        :raises InputError: no deploy is broken off.
        """
        with self._opened() as nodes:
            if self._open_journal(nodes) is None:
                raise InputError(
                    f"{self._environment.name} has no deploy that was broken off",
                    f"trivet runs {self._environment.label}",
                )

    # ---------------------------------------------------------------- the run

    def _lease(self, nodes: Nodes, purpose: str, *, patience: bool) -> Lease:
        return Lease(
            nodes,
            self._owner,
            purpose,
            patience=patience,
            at_once=True,
            tell=lambda text: self._listener(LeaseTold(text)),
        )

    def _open_journal(self, nodes: Nodes) -> Journal | None:
        """The journal of the deploy that is not over."""
        copies = NodeJournals(nodes)
        for item in changes(copies.summaries()):
            if item["state"] in OPEN_STATES and item["change"].get("kind") in (DEPLOY, ROLLBACK):
                return Journal.reopened(self._environment.label, item["id"], copies)
        return None

    def _begun(self, nodes: Nodes, lease: Lease, plan: DeployPlan, work: _Work) -> DeployReport:
        if self._stop.by:
            raise ChangeStopped(f"stopped by {self._stop.by} before anything was touched")
        journal = Journal.begin(self._environment.label, self._owner, NodeJournals(nodes))
        journal.write("plan", majority=True, owner=self._owner, plan=plan.to_dict())
        return self._run(nodes, lease, journal, plan, work, list(plan.steps), held=None)

    def _run(
        self,
        nodes: Nodes,
        lease: Lease,
        journal: Journal,
        plan: DeployPlan,
        work: _Work,
        remaining: list[Step],
        *,
        held: bool | None,
    ) -> DeployReport:
        self._listener(RunBegan(journal.id, plan.purpose, plan.to_dict()))
        under_way = ChangeUnderWay(lease, journal, self._listener, self._stop)
        with core_priorities(self._environment).lower_runner_priority():
            run = _Run(
                self._environment, plan, work, under_way, Steps(self._environment, nodes, self._owner, self._tell)
            )
            run.held = held
            try:
                if not Standing.of(journal.lines).ended:
                    journal.write("snapshot", **view_of(self._environment, observe(nodes)).to_line("before"))
                run.through(remaining)
            except BaseException as error:
                self._failed(nodes, journal, plan, run, error)
                raise
            journal.write("snapshot", **view_of(self._environment, observe(nodes)).to_line("after"))
            report = run.report(journal.path)
            journal.write("done", seconds=round(report.seconds, 1), result=report.to_dict())
        if run.problem is not None:
            raise run.problem
        return report

    def _failed(self, nodes: Nodes, journal: Journal, plan: DeployPlan, run: _Run, error: BaseException) -> None:
        """Undo what no customer has seen; else leave it to be gone on with. A runner that is killed gets here never.

        Without the lease nothing is undone: whoever has it by now may be at the same nodes.
        """
        words = str(error) or type(error).__name__
        if run.beyond_return or isinstance(error, LeaseHeld):
            journal.write("halted", error=words, remaining=list(plan.nodes))
            return
        self._undo(nodes, journal, plan, held=bool(run.held), error=words)

    def _undo(self, nodes: Nodes, journal: Journal, plan: DeployPlan, *, held: bool, error: str = "taken back") -> None:
        """Have everything as it was before the deploy: the old release never stopped serving."""
        steps = Steps(self._environment, nodes, self._owner, self._tell)
        if held:
            steps.release()
        steps.discard(plan.instance)
        steps.work()
        journal.write("run failed", error=error, by=self._owner)
        self._listener(Noted(f"the deploy was taken back: {plan.before or 'what served before'} goes on serving"))

    def _taken_back(self, nodes: Nodes, lease: Lease, journal: Journal) -> DeployReport:
        """Take a deploy that was broken off back."""
        plan, standing = _plan_of(journal), Standing.of(journal.lines)
        journal.write("resumed", majority=True, owner=self._owner)
        if standing.may_be_undone or plan.before is None:
            if plan.before is None and not standing.may_be_undone:
                raise InputError(
                    "there is no release to go back to: this is the first one", f"trivet deploy {plan.label} --resume"
                )
            self._undo(nodes, journal, plan, held=bool(standing.held))
            return DeployReport(plan, journal.path)
        back = replace(
            plan,
            kind=ROLLBACK,
            instance=plan.before,
            release=plan.before.rpartition("-")[0],
            hold="never",
            before=plan.instance,
        )
        if standing.held:
            Steps(self._environment, nodes, self._owner, self._tell).release()
        journal.write("rolled back", by=self._owner)
        return self._begun(nodes, lease, back, _Work())

    def _tell(self, node: str, text: str) -> None:
        self._listener(Progressed(node, text))


class _Run:
    """The steps of one deploy, one after the other."""

    def __init__(
        self, environment: Environment, plan: DeployPlan, work: _Work, under_way: ChangeUnderWay, steps: Steps
    ) -> None:
        self._environment = environment
        self._plan = plan
        self._work = work
        self._under_way = under_way
        self._steps = steps
        self._began = time.monotonic()
        self._seconds: dict[str, float] = {}
        self._hold_began: float | None = None
        self._hold_ended: float | None = None
        self.held: bool | None = None
        self.beyond_return = False
        self.problem: TrivetError | None = None
        """A post-deploy hook that failed: the release is live all the same."""

    def through(self, remaining: list[Step]) -> None:
        """Do the steps.

        :raises TrivetError: one failed, or it was stopped.
        """
        # On the way already: what may have been seen is not undone by itself.
        self.beyond_return = UNDONE_UNTIL not in remaining
        for step in remaining:
            if step in (Step.HOLD, Step.RELEASE) and not self.held:
                continue
            self._under_way.check_lease(step)
            self._heed_stop(step)
            self.beyond_return = self.beyond_return or step == UNDONE_UNTIL
            self._under_way.begin(step, majority=step in (Step.HOOK, Step.RECORD))
            self._seconds[step] = self._under_way.do(step, self._works()[step])

    def _heed_stop(self, before: Step) -> None:
        """Stop where nothing is half-done: up to the record it is undone, and later it is short."""
        if before not in (Step.SWITCH, Step.RELEASE) and (by := self._under_way.stopped_by()):
            raise ChangeStopped(f"stopped by {by} before {before}", f"trivet deploy {self._plan.label} --resume")

    def _works(self) -> Mapping[Step, Callable[[], None]]:
        instance = self._plan.instance
        return {
            Step.SHIP: self._ship,
            Step.PREPARE: self._prepare,
            Step.ASK: self._ask,
            Step.HOLD: self._hold,
            Step.REST: self._steps.rest,
            Step.WORK: self._steps.work,
            Step.HOOK: lambda: self._hook("deploy"),
            Step.WARM: lambda: self._steps.warm(instance),
            Step.RECORD: lambda: self._steps.record(instance),
            Step.SWITCH: lambda: self._steps.switch(instance, at_once=bool(self.held)),
            Step.RELEASE: self._release,
            Step.POST_DEPLOY: self._post_deploy,
            Step.RETIRE: lambda: self._steps.retire(instance),
            Step.VERDICT: self._steps.verdict,
        }

    def _ship(self) -> None:
        assert self._work.release is not None
        release = self._work.release
        self._steps.ship(release.name, release.archive, release.sha256)

    def _prepare(self) -> None:
        if self._work.composed is None:
            self._steps.restore(self._plan.instance)
            return
        self._steps.prepare(self._work.composed.instance, self._work.composed.accounts)

    def _ask(self) -> None:
        self.held, why = self._steps.ask(self._plan.instance, self._plan.hold, self._plan.before)
        self._under_way.journal.write("decided", hold=self.held, reason=why)
        self._under_way.listener(Noted(f"requests {'wait for' if self.held else 'do not wait for'} the hook: {why}"))

    def _hold(self) -> None:
        self._hold_began = time.monotonic()
        if left := self._steps.hold():
            raise ChangeHalted(
                f"{left} requests were still in flight after {IN_FLIGHT_SECONDS:.0f} s, and the hook would change the "
                f"database below them",
                f"trivet-agent proxy sessions web, on each node; then deploy to {self._plan.label} again",
            )

    def _hook(self, hook: str) -> None:
        self._steps.hook(self._plan.instance, hook, self._plan.hook_node)

    def _release(self) -> None:
        self._steps.release()
        self._hold_ended = time.monotonic()

    def _post_deploy(self) -> None:
        try:
            self._hook("post_deploy")
        except TrivetError as error:
            self.problem = error
            self._under_way.journal.write("note", text=error.message)
            self._under_way.listener(Noted(f"W: {error.message} (the new release is live)"))

    def report(self, journal: Path) -> DeployReport:
        """What was done."""
        held = None
        if self._hold_began is not None and self._hold_ended is not None:
            held = round(self._hold_ended - self._hold_began, 2)
        seconds = time.monotonic() - self._began
        return DeployReport(self._plan, journal, seconds, dict(self._seconds), held, self._steps.lost)


def _plan_of(journal: Journal) -> DeployPlan:
    return DeployPlan.from_dict(next(line for line in journal.lines if line["kind"] == "plan")["plan"])


__all__ = ["ROLLBACK", "DeployReport", "Deploys", "Source"]
