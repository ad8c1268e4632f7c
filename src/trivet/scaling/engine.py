# SPDX-License-Identifier: GPL-3.0-or-later
"""The loops of scale-out and scale-in: plan, preflight, lease, one step after the other.

How far the nodes have come is in the record before each step that others must know of, so that the same command
continues a killed run. Whatever fails, the nodes that serve go on serving.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from trivet.ansible import load_environment
from trivet.ansible.secrets import check_secrets
from trivet.errors import InputError, ScalingHalted, TrivetError
from trivet.health.findings import State
from trivet.model import Environment
from trivet.model.size import size_named
from trivet.providers import Provider, provider_for
from trivet.remote import Nodes, observe
from trivet.rotation.lease import Lease, run_owner
from trivet.scaling.plan import InStep, OutStep, ScalePlan, plan_scale_in, plan_scale_out
from trivet.scaling.record import Progress, Record, WebHost
from trivet.scaling.steps import Steps, check_memory, wrong

# Below this a web node has no room for its two PHP processes (role base refuses less, too).
SMALLEST_WEB_NODE_MIB = 768
# A busy machine may keep a collector from its answer for a moment.
SETTLE_SECONDS = 90.0

Event = Mapping[str, Any]
Listener = Callable[[Event], None]


@dataclass(slots=True)
class ScaleReport:
    """What was done. Seconds are wall clock, by step in ``steps``."""

    plan: ScalePlan
    seconds: float = 0.0
    steps: dict[str, float] = field(default_factory=dict)


class _Scaling:
    """What both directions share."""

    def __init__(self, environment: Environment, count: int, listener: Listener) -> None:
        self._environment = environment
        self._count = count
        self._listener = listener
        self._owner = run_owner()
        self._report: ScaleReport | None = None

    def plan(self) -> ScalePlan:
        """Look at the environment and say what would be done. Touches nothing.

        :raises TrivetError: when it is refused: bad input, environment not healthy, a node not reachable.
        """
        plan = self._planned(Record(self._environment))
        self._preflight(plan)
        return plan

    def apply(self) -> ScaleReport:
        """Do it.

        :raises TrivetError: when it is refused or halted; the same command goes on with it.
        """
        record = Record(self._environment)
        plan = self._planned(record)
        self._preflight(plan)
        with Nodes(self._environment) as nodes, Lease(nodes, self._owner, self._purpose(plan)) as lease:
            self._report = ScaleReport(plan)
            self._listener({"event": "plan", **plan.to_dict()})
            started = time.monotonic()
            self._run(plan, record, lease)
            self._report.seconds = time.monotonic() - started
        return self._report

    def _planned(self, record: Record) -> ScalePlan:
        raise NotImplementedError

    def _run(self, plan: ScalePlan, record: Record, lease: Lease) -> None:
        raise NotImplementedError

    def _purpose(self, plan: ScalePlan) -> str:
        return f"{plan.kind} of {', '.join(plan.names)}"

    def _preflight(self, plan: ScalePlan) -> None:
        """Refuse unless all is healthy but for the nodes that come or go: a broken one must be removable.

        :raises InputError: with the reasons.
        """
        deadline = time.monotonic() + SETTLE_SECONDS
        with Nodes(self._environment) as nodes:
            while True:
                findings = [item for item in observe(nodes).verdict.findings if item.node not in plan.names]
                reasons = wrong(findings)
                passing = all(item.state in (State.HEALTHY, State.BUSY, State.UNKNOWN) for item in findings)
                if not reasons or not passing or time.monotonic() > deadline:
                    break
                time.sleep(2)
        if reasons:
            raise InputError(
                f"{self._environment.name} is not healthy, so nothing is added or taken away: {'; '.join(reasons[:4])}",
                f"trivet status {self._environment.label}",
            )

    def _step(self, plan: ScalePlan, lease: Lease, step: str, work: Callable[[Steps], None]) -> None:
        """One step, on the environment as the inventory has it by now.

        :raises ScalingHalted: when it failed; says that the serving nodes serve, and what next.
        """
        lease.check()
        self._listener({"event": "step begins", "step": step})
        began = time.monotonic()
        environment = load_environment(str(self._environment.inventory))

        def tell(subject: str, text: str) -> None:
            self._listener({"event": "progress", "node": subject, "text": text})

        try:
            with Nodes(environment) as nodes:
                work(Steps(environment, nodes, plan.names, self._owner, tell))
        except TrivetError as error:
            raise ScalingHalted(
                f"{step}: {error.message} (the other nodes go on serving; the same command continues)",
                f"trivet {plan.kind} {self._environment.label} --web {len(plan.nodes)}",
            ) from error
        seconds = round(time.monotonic() - began, 1)
        if self._report:
            self._report.steps[step] = seconds
        self._listener({"event": "step ends", "step": step, "seconds": seconds})


class ScaleOut(_Scaling):
    """Adds web nodes.

    :param count: how many.
    :param size: of the machines that the provider makes, by default the environment's.
    :param given: addresses of the operator's own hosts by name, instead of the provider's machines.
    :param listener: takes events: ``plan``, ``step begins``, ``step ends``, ``progress``.
    """

    def __init__(
        self,
        environment: Environment,
        count: int,
        *,
        size: str | None = None,
        given: Mapping[str, str] | None = None,
        listener: Listener = lambda event: None,
    ) -> None:
        super().__init__(environment, count, listener)
        self._size = size or environment.size
        self._given = dict(given or {})

    def _planned(self, record: Record) -> ScalePlan:
        plan = plan_scale_out(self._environment, record, self._count, self._size, self._given)
        size_named(self._size)
        if self._provider(plan):
            check_memory(provider_for(self._environment), self._size, SMALLEST_WEB_NODE_MIB)
        check_secrets(self._environment)
        return plan

    def _provider(self, plan: ScalePlan) -> Provider | None:
        """The provider, when it has a machine to make."""
        return None if all(host.given for host in plan.nodes) else provider_for(self._environment)

    def _run(self, plan: ScalePlan, record: Record, lease: Lease) -> None:
        self._step(plan, lease, OutStep.CREATE, lambda steps: self._create(plan, record, steps))
        self._step(plan, lease, OutStep.ADMIT, lambda steps: steps.let_in())
        self._step(plan, lease, OutStep.CONFIGURE, lambda steps: steps.configure())
        self._step(plan, lease, OutStep.GATE, lambda steps: steps.gate())
        record.progressed(plan.names, Progress.ENTERING)
        self._step(plan, lease, OutStep.ENTER, lambda steps: steps.enter())
        self._step(plan, lease, OutStep.VERDICT, lambda steps: steps.verdict())
        record.progressed(plan.names, Progress.SERVING)

    def _create(self, plan: ScalePlan, record: Record, steps: Steps) -> None:
        """Have every machine, then record all at once: a killed run finds all of them, or makes them again."""
        provider = self._provider(plan)
        made = []
        for host in plan.nodes:
            if host.given or provider is None:
                made.append(host)
                continue
            self._listener({"event": "progress", "node": host.name, "text": f"making a machine of size {self._size}"})
            made.append(replace(host, address=provider.create(host.name, self._size)))
        self._check_addresses(made)
        record.add(made)

    def _check_addresses(self, hosts: list[WebHost]) -> None:
        taken = {node.address: node.name for node in self._environment.machines} | dict.fromkeys(
            self._environment.gateways, "a gateway"
        )
        for host in hosts:
            if taken.get(host.address, host.name) != host.name:
                raise ScalingHalted(f"{host.name} got {host.address}, which is the address of {taken[host.address]}")


class ScaleIn(_Scaling):
    """Takes web nodes away.

    :param count: how many.
    :param listener: takes events, as with :class:`ScaleOut`.
    """

    def __init__(self, environment: Environment, count: int, *, listener: Listener = lambda event: None) -> None:
        super().__init__(environment, count, listener)

    def _planned(self, record: Record) -> ScalePlan:
        check_secrets(self._environment)
        return plan_scale_in(self._environment, record, self._count)

    def _run(self, plan: ScalePlan, record: Record, lease: Lease) -> None:
        # One that no proxy has, or that an earlier run has got so far, is not to be in one again.
        used = [host.name for host in plan.nodes if host.progress not in (Progress.JOINING, Progress.LEAVING)]
        if used:
            record.progressed(used, Progress.DRAINING)
            self._step(plan, lease, InStep.DRAIN, lambda steps: steps.drain())
        record.progressed(plan.names, Progress.LEAVING)
        self._step(plan, lease, InStep.LEAVE, lambda steps: steps.tell_proxies())
        self._step(plan, lease, InStep.REMOVE, lambda steps: steps.remove(plan.nodes, self._provider(plan)))
        self._step(plan, lease, InStep.FORGET, lambda steps: steps.tell_members())
        self._step(plan, lease, InStep.VERDICT, lambda steps: steps.verdict())
        record.remove(plan.names)

    def _provider(self, plan: ScalePlan) -> Provider | None:
        """The provider, when it has a machine to remove."""
        return None if all(host.given for host in plan.nodes) else provider_for(self._environment)
