# SPDX-License-Identifier: GPL-3.0-or-later
"""The loops of scale-out and scale-in: plan, preflight, lease, one step after the other.

How far the nodes have come is in the record before each step that others must know of, so that the same command
continues a killed run. What was done is in a journal on the nodes, of which a report is left however the run ends.
Whatever fails, the nodes that serve go on serving.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from trivet.ansible import load_environment
from trivet.ansible.secrets import check_secrets
from trivet.errors import ChangeHalted, ChangeStopped, InputError, TrivetError
from trivet.health.findings import State
from trivet.model import Environment
from trivet.model.size import size_named
from trivet.providers import provider_for
from trivet.remote import Nodes, observe
from trivet.rotation.plan import Refusal
from trivet.rotation.priorities import core_priorities
from trivet.rotation.rotations import refuse
from trivet.run.copies import NodeJournals
from trivet.run.events import LeaseTold, Listener, Noted, Progressed, RunBegan, unheard
from trivet.run.journal import Journal, changes
from trivet.run.lease import Lease
from trivet.run.opened import OnNodes
from trivet.run.steps import ChangeUnderWay
from trivet.run.stop import StopRequest
from trivet.scaling.journal import gone_through, open_journal, plan_of, rolling, seconds_of, snapshot
from trivet.scaling.plan import SCALE_IN, SCALE_OUT, InStep, OutStep, ScalePlan, plan_scale_in, plan_scale_out
from trivet.scaling.record import Progress, Record, WebHost
from trivet.scaling.steps import Steps, check_memory, wrong

# Below this a web node has no room for its two PHP processes (role base refuses less, too).
SMALLEST_WEB_NODE_MIB = 768
TOLD_REASONS = 4
# A busy machine may keep a collector from its answer for a moment.
SETTLE_SECONDS = 90.0


@dataclass(slots=True)
class ScaleReport:
    """What was done. Seconds are wall clock, by step in ``steps``.

    :param journal: this machine's copy.
    """

    plan: ScalePlan
    journal: Path
    seconds: float = 0.0
    steps: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Intent:
    """What there is to do.

    :param ended: the journal of the change, when a killed run has left nothing of it to do but the last line.
    """

    plan: ScalePlan
    ended: Journal | None = None

    def tell(self, listener: Listener) -> None:
        """Say when nothing is done."""
        if self.ended is not None:
            text = (
                f"the {self.plan.purpose} was done by an earlier run that was ended before it said so: nothing is left"
            )
            listener(Noted(text))


@dataclass(frozen=True, slots=True)
class _Run:
    """What one run of a plan works with."""

    plan: ScalePlan
    record: Record
    under_way: ChangeUnderWay
    nodes: Nodes
    report: ScaleReport


class _Scaling(OnNodes):
    """What both directions share."""

    def __init__(
        self, environment: Environment, count: int, listener: Listener, stop: StopRequest | None = None
    ) -> None:
        super().__init__(environment, listener, stop)
        self._count = count

    def plan(self) -> ScalePlan:
        """Look at the environment and say what would be done. Touches nothing.

        :raises TrivetError: for bad input; what refuses it as things are is part of the plan.
        """
        with self._opened() as nodes:
            intent = self._agreed(Record(self._environment), nodes)
        intent.tell(self._listener)
        return intent.plan

    def apply(self, shown: ScalePlan | None = None) -> ScaleReport:
        """Do it.

        :param shown: the plan that the operator agreed to; other nodes than its are refused.
        :raises TrivetError: when it is refused, stopped or halted; the same command goes on with it.
        """
        with self._opened() as nodes:
            shown = shown or self._agreed(Record(self._environment), nodes).plan
            refuse(shown)
            with self._lease(nodes, shown) as lease, core_priorities(self._environment).lower_runner_priority():
                # Somebody may have changed the record, or the inventory, between the plan and the lease.
                self._environment = self._loaded()
                record = Record(self._environment)
                intent = self._agreed(record, nodes)
                refuse(intent.plan)
                self._refuse_others(shown, intent.plan)
                if intent.ended is not None:
                    intent.tell(self._listener)
                    return self._ended(intent.plan, record, intent.ended, nodes)
                return self._applied(intent.plan, record, lease, nodes)

    def _agreed(self, record: Record, nodes: Nodes) -> _Intent:
        """What is to be done now, and what refuses it.

        :raises TrivetError: for bad input.
        """
        copies = NodeJournals(nodes)
        journals = changes(copies.summaries())
        rolled = rolling(self._environment, journals)
        if ended := gone_through(self._environment, journals, copies, self._command()):
            return _Intent(replace(plan_of(ended), refusals=rolled), ended)
        plan = self._planned(record)
        return _Intent(replace(plan, refusals=rolled or self._unhealthy(plan, nodes)))

    def _refuse_others(self, shown: ScalePlan, plan: ScalePlan) -> None:
        """Refuse to take or make other nodes than those that were shown.

        :raises InputError: naming both.
        """
        if plan.names != shown.names:
            raise InputError(
                f"another run was faster: this was to be a {shown.purpose}, and would be a {plan.purpose} now",
                f"{self._command()} --plan",
            )

    def _applied(self, plan: ScalePlan, record: Record, lease: Lease, nodes: Nodes) -> ScaleReport:
        copies = NodeJournals(nodes)
        journal, continued = open_journal(self._environment, copies, plan, self._owner, self._command())
        if not continued:
            journal.write("snapshot", **snapshot(nodes.of(self._environment), "before"))
        self._listener(_began(plan, journal))
        under_way = ChangeUnderWay(lease, journal, self._listener, self._stop)
        run = _Run(plan, record, under_way, nodes, ScaleReport(plan, journal.path))
        with under_way.halting(lambda: list(plan.names)):
            started = time.monotonic()
            self._run(run)
            self._settle(record, plan.names)
            journal.write("snapshot", **snapshot(nodes.of(self._loaded()), "after"))
            run.report.seconds = time.monotonic() - started
            journal.write("done", seconds=round(run.report.seconds, 1))
        return run.report

    def _ended(self, plan: ScalePlan, record: Record, journal: Journal, nodes: Nodes) -> ScaleReport:
        """Write what a killed run has left to write: all of its steps were done."""
        seconds, steps = seconds_of(journal)
        self._listener(_began(plan, journal))
        journal.write("resumed", majority=True, owner=self._owner)
        self._settle(record, plan.names)
        journal.write("snapshot", **snapshot(nodes.of(self._loaded()), "after"))
        journal.write("done", seconds=round(seconds, 1))
        return ScaleReport(plan, journal.path, seconds, steps)

    def _planned(self, record: Record) -> ScalePlan:
        raise NotImplementedError

    def _run(self, run: _Run) -> None:
        raise NotImplementedError

    def _settle(self, record: Record, names: tuple[str, ...]) -> None:
        """Have the record say that it is done; harmless when it does."""
        raise NotImplementedError

    def _command(self) -> str:
        """What goes on with a run of it."""
        raise NotImplementedError

    def _lease(self, nodes: Nodes, plan: ScalePlan) -> Lease:
        """The environment's lease; that of a killed run is waited for when this one goes on with its work."""
        return Lease(
            nodes,
            self._owner,
            plan.purpose,
            patience=plan.continued,
            tell=lambda text: self._listener(LeaseTold(text)),
        )

    def _loaded(self) -> Environment:
        """The environment as the inventory has it by now."""
        return load_environment(str(self._environment.inventory))

    def _unhealthy(self, plan: ScalePlan, nodes: Nodes) -> tuple[Refusal, ...]:
        """What refuses unless all is healthy but for the nodes that come or go: a broken one must be removable."""
        deadline = time.monotonic() + SETTLE_SECONDS
        present = nodes.of(self._environment)
        while True:
            findings = [item for item in observe(present).verdict.findings if item.node not in plan.names]
            reasons = wrong(findings)
            passing = all(item.state in (State.HEALTHY, State.BUSY, State.UNKNOWN) for item in findings)
            if not reasons or not passing or time.monotonic() > deadline:
                break
            time.sleep(2)
        if not reasons:
            return ()
        told = "; ".join(reasons[:TOLD_REASONS])
        return (
            Refusal(
                f"{self._environment.name} is not healthy, so nothing is added or taken away: {told}",
                f"trivet status {self._environment.label}",
            ),
        )

    def _step(self, run: _Run, step: str, work: Callable[[Steps], None]) -> None:
        """One step, on the environment as the inventory has it by now.

        :raises ChangeHalted: when it failed; says that the serving nodes serve, and what next.
        """
        run.under_way.check_lease(step)
        self._heed_stop(run)
        names = list(run.plan.names)
        subject: dict[str, Any] = {"node": ", ".join(names), "nodes": names}
        run.under_way.begin(step, **subject)
        try:
            run.report.steps[step] = run.under_way.do(step, lambda: self._do(run, work), **subject)
        except TrivetError as error:
            raise ChangeHalted(
                f"{step}: {error.message} (the other nodes go on serving; the same command continues; "
                f"journal: {run.under_way.journal.id})",
                self._command(),
            ) from error

    def _do(self, run: _Run, work: Callable[[Steps], None]) -> None:
        def tell(subject: str, text: str) -> None:
            self._listener(Progressed(subject, text))

        environment = self._loaded()
        work(Steps(environment, run.nodes.of(environment), run.plan.names, self._owner, tell))

    def _heed_stop(self, run: _Run) -> None:
        """Stop between two steps when the operator, or another one by the journal, wishes it.

        :raises ChangeStopped: saying who asked.
        """
        if by := run.under_way.stopped_by():
            raise ChangeStopped(
                f"stopped by {by} (the other nodes go on serving; the same command continues; "
                f"journal: {run.under_way.journal.id})",
                self._command(),
            )


def _began(plan: ScalePlan, journal: Journal) -> RunBegan:
    begun = " (continued)" if plan.continued else ""
    return RunBegan(journal.id, f"{plan.purpose}{begun}", plan.to_dict())


class ScaleOut(_Scaling):
    """Adds web nodes.

    :param count: how many.
    :param size: of the machines that the provider makes, by default the environment's.
    :param given: addresses of the operator's own hosts by name, instead of the provider's machines.
    :param listener: takes what is done.
    :param stop: the operator's wish to stop, looked at before each step.
    """

    def __init__(
        self,
        environment: Environment,
        count: int,
        *,
        size: str | None = None,
        given: Mapping[str, str] | None = None,
        listener: Listener = unheard,
        stop: StopRequest | None = None,
    ) -> None:
        super().__init__(environment, count, listener, stop)
        self._size = size or environment.size
        self._given = dict(given or {})

    def _planned(self, record: Record) -> ScalePlan:
        plan = plan_scale_out(self._environment, record, self._count, self._size, self._given)
        size_named(self._size)
        if not all(host.given for host in plan.nodes):
            check_memory(provider_for(self._environment), self._size, SMALLEST_WEB_NODE_MIB)
        check_secrets(self._environment)
        return plan

    def _command(self) -> str:
        """What goes on with a run of it: killed before its nodes were recorded, it needs all options again."""
        words = ["trivet", SCALE_OUT, self._environment.label]
        if self._size != self._environment.size:
            words += ["--size", self._size]
        for name, address in self._given.items():
            words += ["--host", f"{name}={address}"]
        return " ".join([*words, "--web", str(self._count)])

    def _run(self, run: _Run) -> None:
        plan, record = run.plan, run.record
        self._step(run, OutStep.CREATE, lambda steps: self._create(plan, record, steps))
        self._step(run, OutStep.ADMIT, lambda steps: steps.let_in())
        self._step(run, OutStep.CONFIGURE, lambda steps: steps.configure())
        self._step(run, OutStep.GATE, lambda steps: steps.gate())
        record.progressed(plan.names, Progress.ENTERING)
        self._step(run, OutStep.ENTER, lambda steps: steps.enter())
        self._step(run, OutStep.VERDICT, lambda steps: steps.verdict())

    def _settle(self, record: Record, names: tuple[str, ...]) -> None:
        record.progressed(names, Progress.SERVING)

    def _create(self, plan: ScalePlan, record: Record, steps: Steps) -> None:
        """Have every machine, each recorded as soon as it is there: only what is recorded can be taken back.

        :raises ChangeHalted: when a given host is not reached, before it is recorded; for an address that cannot be.
        """
        recorded = {host.name for host in record.hosts}
        steps.try_given([host for host in plan.nodes if host.given and host.name not in recorded])
        taken = {node.address: node.name for node in self._environment.machines} | dict.fromkeys(
            self._environment.gateways, "a gateway"
        )
        for host in plan.nodes:
            address = host.address if host.given else steps.make(host.name, self._size)
            _check_address(host, address, taken)
            record.add([replace(host, address=address)])
            taken[address] = host.name


def _check_address(host: WebHost, address: str, taken: Mapping[str, str]) -> None:
    """Refuse an address that others have, or that is not the recorded one: the others may let that one in by now.

    :param taken: whose address it is, by address.
    :raises ChangeHalted: for either.
    """
    if taken.get(address, host.name) != host.name:
        raise ChangeHalted(
            f"{host.name} got {address}, which is the address of {taken[address]}; "
            "its machine is not recorded: remove it where the provider lives"
        )
    if host.address not in ("", address):
        raise ChangeHalted(
            f"{host.name} is recorded with the address {host.address}, and its machine has {address} now; "
            "a scale-in takes it back"
        )


class ScaleIn(_Scaling):
    """Takes web nodes away.

    :param count: how many.
    :param listener: as with :class:`ScaleOut`.
    :param stop: as with :class:`ScaleOut`.
    """

    def __init__(
        self,
        environment: Environment,
        count: int,
        *,
        listener: Listener = unheard,
        stop: StopRequest | None = None,
    ) -> None:
        super().__init__(environment, count, listener, stop)

    def _planned(self, record: Record) -> ScalePlan:
        check_secrets(self._environment)
        return plan_scale_in(self._environment, record, self._count)

    def _command(self) -> str:
        return f"trivet {SCALE_IN} {self._environment.label} --web {self._count}"

    def _run(self, run: _Run) -> None:
        plan, record = run.plan, run.record
        # One that no proxy has, or that an earlier run has got so far, is not to be in one again.
        used = [host.name for host in plan.nodes if host.progress not in (Progress.JOINING, Progress.LEAVING)]
        if used:
            record.progressed(used, Progress.DRAINING)
            self._step(run, InStep.DRAIN, lambda steps: steps.drain())
        record.progressed(plan.names, Progress.LEAVING)
        self._step(run, InStep.LEAVE, lambda steps: steps.tell_proxies())
        self._step(run, InStep.REMOVE, lambda steps: steps.remove(plan.nodes))
        self._step(run, InStep.FORGET, lambda steps: steps.tell_members())
        self._step(run, InStep.VERDICT, lambda steps: steps.verdict())

    def _settle(self, record: Record, names: tuple[str, ...]) -> None:
        record.remove(names)
