# SPDX-License-Identifier: GPL-3.0-or-later
"""The loop of a rotation: plan, lease, preflight, one node after the other, final verdict.

Never two nodes at a time, never the next node without a fresh verdict, and every step is in the journal before it
begins.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trivet.ansible.secrets import check_secrets
from trivet.errors import InputError, LeaseHeld, RotationHalted, TrivetError
from trivet.health.facts import Unreachable
from trivet.health.findings import State
from trivet.health.holders import gateway_holders, redis_primary, writer
from trivet.health.verdict import Verdict
from trivet.model import Environment
from trivet.model.size import SMALLEST_NODE_MIB, size_named
from trivet.providers import Provider, provider_for
from trivet.remote import Nodes, Observation, observe
from trivet.rotation.journal import Journal, StepTime
from trivet.rotation.lease import Lease, run_owner
from trivet.rotation.plan import Plan, Roles, Step, ordered
from trivet.rotation.steps import REDIS_INSTANCES, NodeSteps, blocking

# From this step on a failure leaves the node drained; before it, the drain is undone.
FIRST_TOUCHING_STEP = Step.STOP

# A busy machine may keep a collector from its answer for a moment.
SETTLE_SECONDS = 90.0

Event = Mapping[str, Any]
Listener = Callable[[Event], None]


@dataclass(slots=True)
class RotationReport:
    """What a rotation did. Seconds are wall clock."""

    plan: Plan
    journal: Path
    seconds: float = 0.0
    times: list[StepTime] = field(default_factory=list)


class Rotation:
    """Makes the nodes of an environment larger (or smaller), one after the other.

    :param size: a size of the table.
    :param listener: takes events: ``plan``, ``step begins``, ``step ends``, ``progress``.
    """

    def __init__(self, environment: Environment, size: str, listener: Listener = lambda event: None) -> None:
        self._environment = environment
        self._size = size
        self._listener = listener
        self._owner = run_owner()

    def plan(self) -> Plan:
        """Look at the environment and say what would be done. Touches nothing.

        :raises TrivetError: when it is refused: unknown size, size too small, environment not healthy, a node not
            reachable.
        """
        self._check_input()
        with Nodes(self._environment) as nodes:
            return self._planned(nodes)

    def apply(self) -> RotationReport:
        """Do it.

        :raises TrivetError: when it is refused or halted; the journal says where.
        """
        self._check_input()
        provider = provider_for(self._environment)
        for node in self._environment.nodes:
            provider.check(node)
        with Nodes(self._environment) as nodes:
            plan = self._planned(nodes)
            with Lease(nodes, self._owner, f"upscale to size {self._size}") as lease:
                return self._run(nodes, provider, plan, lease)

    def _check_input(self) -> None:
        target = size_named(self._size)
        if len(self._environment.nodes) < 3:
            raise InputError(
                f"{self._environment.name} has one node; a rotation needs three, since two must go on serving",
                "stop the machine, resize it, start it, then `trivet converge`: "
                "one node cannot be resized without downtime",
            )
        check_secrets(self._environment)
        memory = provider_for(self._environment).target(self._size).memory_mib
        if memory < SMALLEST_NODE_MIB:
            raise InputError(
                f"size {target.name} gives a node {memory} MiB; "
                f"every service together needs at least {SMALLEST_NODE_MIB} MiB"
            )

    def _planned(self, nodes: Nodes) -> Plan:
        observation = self._settled(nodes)
        reasons = blocking(observation.verdict, drained=None)
        if reasons:
            raise InputError(
                f"{self._environment.name} is not healthy, so no node may be taken out: {'; '.join(reasons[:4])}",
                f"trivet status {self._environment.label}",
            )
        self._check_data_fits(observation)
        return Plan(self._environment.name, self._environment.size, self._size, ordered(self._roles(observation)))

    def _settled(self, nodes: Nodes) -> Observation:
        """Look until nothing is merely busy or unknown, for SETTLE_SECONDS at most; nobody waits for what is broken."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while True:
            observation = observe(nodes)
            if observation.verdict.state in (State.HEALTHY, State.BROKEN) or time.monotonic() > deadline:
                return observation
            time.sleep(2)

    def _check_data_fits(self, observation: Observation) -> None:
        memory = provider_for(self._environment).target(self._size).memory_mib
        for name, facts in observation.facts.items():
            session = None if isinstance(facts, Unreachable) else facts.redis.instances.get("session")
            used = session.used_memory // 2**20 if session else 0
            # Sessions are never evicted: what is there must fit into what the role gives the instance.
            if used > memory // 24:
                raise InputError(
                    f"size {self._size} gives the sessions {memory // 24} MiB of memory, "
                    f"but {name} holds {used} MiB of them"
                )

    def _roles(self, observation: Observation) -> dict[str, Roles]:
        holders = gateway_holders(observation.facts)
        present_writer = writer(observation.facts)
        primaries = {instance: redis_primary(observation.facts, instance) for instance in REDIS_INSTANCES}
        return {
            node.name: Roles(
                writer=present_writer == node.name,
                redis_primaries=tuple(instance for instance, name in primaries.items() if name == node.name),
                gateways=tuple(address for address, names in holders.items() if node.name in names),
                home=self._environment.gateways[node.node_id - 1],
            )
            for node in self._environment.nodes
        }

    def _run(self, nodes: Nodes, provider: Provider, plan: Plan, lease: Lease) -> RotationReport:
        journal = Journal.begin(self._environment.label.replace("/", "-"), self._owner.replace("/", "-"), plan)
        report = RotationReport(plan, journal.path)
        self._listener({"event": "plan", **plan.to_dict(), "journal": str(journal.path)})
        started = time.monotonic()
        remaining = [planned.name for planned in plan.nodes]
        try:
            while remaining:
                name = self._next_node(nodes, remaining)
                self._rotate_node(nodes, provider, name, journal, report, lease)
                remaining.remove(name)
            provider.record(self._size)
        except BaseException as error:
            journal.write("halted", error=str(error) or type(error).__name__, remaining=remaining)
            raise
        report.seconds = time.monotonic() - started
        journal.write("done", seconds=round(report.seconds, 1))
        return report

    def _next_node(self, nodes: Nodes, remaining: list[str]) -> str:
        """The next node by a fresh verdict: roles move with each node, so that the order is decided anew.

        :raises RotationHalted: when the environment is not healthy.
        """
        observation = self._settled(nodes)
        self._halt_unless_healthy(observation.verdict)
        roles = self._roles(observation)
        return ordered({node: roles[node] for node in roles if node in remaining})[0].name

    def _halt_unless_healthy(self, verdict: Verdict) -> None:
        reasons = blocking(verdict, drained=None)
        if reasons:
            raise RotationHalted(
                f"{self._environment.name} is no longer healthy: {'; '.join(reasons[:4])}",
                f"trivet status {self._environment.label}",
            )

    def _rotate_node(
        self, nodes: Nodes, provider: Provider, name: str, journal: Journal, report: RotationReport, lease: Lease
    ) -> None:
        node = self._environment.node(name)

        def tell(text: str) -> None:
            self._listener({"event": "progress", "node": name, "text": text})

        steps = NodeSteps(self._environment, nodes, provider, node, self._size, self._owner, tell)
        touched = False
        for step in report.plan.steps:
            self._check_lease(lease, journal, name, step)
            touched = touched or step == FIRST_TOUCHING_STEP
            journal.write("begin", node=name, step=step.value)
            self._listener({"event": "step begins", "node": name, "step": step.value})
            began = time.monotonic()
            try:
                steps.apply(step)
            except BaseException as error:
                journal.write("failed", node=name, step=step.value, error=str(error) or type(error).__name__)
                left = self._leave(steps, name, touched, step, journal)
                if isinstance(error, TrivetError):
                    raise _halted(error, name, step, left, journal) from error
                raise
            seconds = round(time.monotonic() - began, 2)
            report.times.append(StepTime(name, step.value, seconds))
            journal.write("end", node=name, step=step.value, seconds=seconds)
            self._listener({"event": "step ends", "node": name, "step": step.value, "seconds": seconds})

    @staticmethod
    def _check_lease(lease: Lease, journal: Journal, name: str, step: Step) -> None:
        """Stop without another act when the lease is lost: whoever has it now may be at the same node."""
        try:
            lease.check()
        except LeaseHeld as error:
            journal.write("lease lost", node=name, before=step.value, error=error.message)
            raise

    def _leave(self, steps: NodeSteps, name: str, touched: bool, step: Step, journal: Journal) -> str:
        """Before the node was touched, undo its drain; after, it stays drained. Says, in words, which it was."""
        if step in (Step.UNDRAIN, Step.SOAK):
            journal.write("left in use", node=name, step=step.value)
            return "the node is in use again" if step is Step.SOAK else "the node may be in use again"
        if touched:
            journal.write("left drained", node=name)
            return "the node stays drained"
        try:
            steps.undo_drain()
        except TrivetError as error:
            # The first failure is what the operator must read; that the drain stands is told beside it.
            journal.write("drain stands", node=name, error=error.message)
            self._listener(
                {"event": "progress", "node": name, "text": f"the drain could not be undone: {error.message}"}
            )
            return "the drain could not be undone"
        journal.write("drain undone", node=name)
        return "the drain was undone, nothing was changed"


def _halted(error: TrivetError, node: str, step: Step, left: str, journal: Journal) -> RotationHalted:
    return RotationHalted(
        f"{node}: {step.value}: {error.message} ({left}; journal: {journal.path})", error.next_command
    )
