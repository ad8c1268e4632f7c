# SPDX-License-Identifier: GPL-3.0-or-later
"""Recover: the agents' own decisions and acts, led by an operator under the environment's lease.

What is wrong and what is done about it is computed here as every agent computes it (:mod:`trivet.agent.repair`), for
each node in turn. So an operator's recovery can do nothing that the rules of the agents do not allow, and needs no
healer to run.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from trivet.agent.repair import Decision, Memory, News, Policy, decide, owner, withheld
from trivet.agent.symptoms import symptoms
from trivet.errors import InputError, RemoteError, TrivetError
from trivet.health.config import Member, NodeConfig
from trivet.health.facts import NodeFacts, Unreachable
from trivet.model import Environment, Node
from trivet.node.symptom import Remedy, Symptom, View
from trivet.remote import Nodes, observe
from trivet.run.recorded import Recorded, recorded
from trivet.services.database.election import MemberReport, elect

SERVICES = ("database", "redis", "search", "files")
"""What can be named: the words of a verdict."""
FORMER_WORDS = {"galera": "database", "elasticsearch": "search", "glusterfs": "files"}
REPORT_SECONDS = 20.0
ACT_SECONDS = 960.0
"""MariaDB may take a quarter of an hour to stop, and to start."""
LOOK_SECONDS = 3.0
TOTAL_SECONDS = 1800.0
CALM_LOOKS = 2
"""Looks in a row without anything to repair or to wait for, after which it is over."""
STALLED_SECONDS = 150.0
"""So long after the last act nothing more is to come; longer than the pauses between attempts."""

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Step:
    """Something that is wrong on a node, and what would be done about it.

    :param order: the agent's command on the node; None when a human has to decide, or another node acts first.
    :param next_command: what the human runs.
    """

    node: str
    service: str
    reason: str
    order: tuple[str, ...] | None
    next_command: str | None
    waits: bool


@dataclass(frozen=True, slots=True)
class RecoveryPlan:
    """What is wrong now, and what would be done.

    :param silent: nodes that did not answer, with the reason.
    :param election: of Galera's members, when no primary component is there: outcome, reason, evidence.
    """

    environment: str
    steps: tuple[Step, ...]
    silent: dict[str, str]
    election: dict[str, Any] | None

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Recovery:
    """What was done.

    :param done: what each act said, in order.
    :param left: what is still wrong, which the agents' rules leave to a human.
    :param states: state of each service that was meant, by the verdict at the end.
    """

    done: tuple[str, ...]
    left: tuple[Step, ...]
    states: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return asdict(self)


def plan(environment: Environment, service: str | None) -> RecoveryPlan:
    """What a recovery would do now. Touches nothing.

    :param service: one of :data:`SERVICES`; None for everything.
    """
    wanted = services(service)
    with Nodes(environment) as nodes:
        look = _look(nodes)
    steps = tuple(step for view in look.views.values() for step in _steps(view, wanted))
    members = members_of(environment)
    outage = "database" in wanted and len(members) > 1 and not any(item.primary for item in look.reports.values())
    election = asdict(elect(members, look.reports)) if outage else None
    return RecoveryPlan(environment.label, steps, look.silent, election)


def recover(environment: Environment, service: str | None, *, tell: Tell = lambda text: None) -> Recovery:
    """Repair what the rules allow until nothing is left that they do.

    :raises LeaseHeld: another run holds the environment; nothing was done.
    :raises TrivetError: an act failed, or it did not end in time.
    """
    wanted = services(service)
    purpose = f"recover {service or 'all services'}"
    with Nodes(environment) as nodes, recorded(nodes, "recover", purpose) as run:
        recovery = _Recovering(nodes, wanted, run, tell).run()
        run.result = {"done": list(recovery.done), "states": recovery.states}
        run.failure = "; ".join(step.reason for step in recovery.left)
        return recovery


def services(service: str | None) -> frozenset[str]:
    """The services of a verdict that a word on the command line means.

    :raises InputError: it is none of :data:`SERVICES`.
    """
    if service is None:
        return frozenset({*SERVICES, "web", "gateway"})
    if service in FORMER_WORDS:
        raise InputError(
            f"{service!r} is called {FORMER_WORDS[service]} now", f"trivet recover ENV {FORMER_WORDS[service]}"
        )
    if service not in SERVICES:
        raise InputError(f"{service!r} cannot be recovered by name: one of {', '.join(SERVICES)}, or none for all")
    return frozenset({service})


def members_of(environment: Environment) -> tuple[Member, ...]:
    """The members of the clusters, as the agents know them."""
    return tuple(Member(node.name, node.node_id, node.address) for node in environment.nodes)


@dataclass(frozen=True, slots=True)
class _Look:
    views: dict[str, View]
    reports: dict[str, MemberReport]
    silent: dict[str, str]
    states: Mapping[str, str]


def _look(nodes: Nodes) -> _Look:
    """What every member's agent would see now."""
    environment = nodes.environment
    observation = observe(nodes)
    reports = _reports(nodes, environment.nodes)
    facts = {name: item for name, item in observation.facts.items() if isinstance(item, NodeFacts)}
    silent = {name: item.reason for name, item in observation.facts.items() if isinstance(item, Unreachable)}
    members = members_of(environment)
    # An operator's recovery is what a pause of the agents makes room for.
    heard = {
        item.name: replace(facts[item.name], host=replace(facts[item.name].host, pause=None))
        for item in members
        if item.name in facts
    }
    views = {}
    for member in members:
        if member.name not in heard:
            continue
        config = NodeConfig(
            environment.name, member.name, member.node_id, member.address, "", members, terms=environment.terms
        )
        peers = {name: item for name, item in heard.items() if name != member.name}
        views[member.name] = View(config, heard[member.name], peers, reports)
    states = {service: str(observation.verdict.of(service)) for service in services(None)}
    return _Look(views, reports, silent, states)


def _reports(nodes: Nodes, members: Iterable[Node]) -> dict[str, MemberReport]:
    found = {}
    for result in nodes.run_on(members, ["trivet-agent", "galera", "report"], timeout=REPORT_SECONDS):
        try:
            found[result.node] = MemberReport.from_dict(json.loads(result.output))
        except (ValueError, TypeError):
            continue  # Who does not report is missing from the election, which then refuses.
    return found


def _steps(view: View, wanted: frozenset[str]) -> Iterable[Step]:
    for symptom in symptoms(view):
        if symptom.service in wanted and not withheld(view, symptom):
            yield _step(view, symptom)


def _step(view: View, symptom: Symptom) -> Step:
    ours = not symptom.cluster_wide or symptom.each_its_part or owner(view) == view.config.name
    return Step(
        node=view.config.name,
        service=symptom.service,
        reason=symptom.reason,
        order=order(symptom.remedy) if symptom.remedy is not None and ours else None,
        next_command=symptom.next_command,
        waits=symptom.waits or not ours,
    )


def order(remedy: Remedy) -> tuple[str, ...]:
    """The command of ``trivet-agent`` that does it."""
    return ("repair", remedy.kind, *remedy.arguments)


class _Recovering:
    """One recovery under way."""

    def __init__(self, nodes: Nodes, wanted: frozenset[str], run: Recorded, tell: Tell) -> None:
        self._nodes = nodes
        self._wanted = wanted
        self._lease = run.lease
        self._tell = tell
        self._owner = run.owner
        self._memory: dict[str, Memory] = {}
        self._done: list[str] = []
        self._policy = Policy(attempts=3, services=wanted, lease_owner=self._owner, boot=0.0)

    def run(self) -> Recovery:
        end = time.monotonic() + TOTAL_SECONDS
        acted_at, calm = time.monotonic(), 0
        while True:
            look = _look(self._nodes)
            acted_at = time.monotonic() if self._act_on(look) else acted_at
            left = [step for view in look.views.values() for step in _steps(view, self._wanted)]
            calm = 0 if any(step.order or step.waits for step in left) else calm + 1
            if calm >= CALM_LOOKS or time.monotonic() - acted_at > STALLED_SECONDS:
                return Recovery(
                    tuple(self._done), tuple(left), {name: look.states[name] for name in sorted(self._wanted)}
                )
            if time.monotonic() > end:
                raise TrivetError(
                    f"not recovered within {TOTAL_SECONDS / 60:.0f} min: {'; '.join(step.reason for step in left)}",
                    f"trivet status {self._nodes.environment.label}",
                )
            time.sleep(LOOK_SECONDS)

    def _act_on(self, look: _Look) -> bool:
        """Do what every member's agent would do after this look; whether there was anything."""
        decisions = {
            name: decide(view, self._memory.get(name, {}), time.monotonic(), self._policy)
            for name, view in look.views.items()
        }
        self._refuse(decisions)
        acted = False
        for name, decision in decisions.items():
            self._memory[name] = decision.memory
            for action in decision.actions:
                if action.symptom.remedy is not None:
                    self._order(self._nodes.environment.node(name), action.symptom, action.symptom.remedy)
                    acted = True
            if any(action.needs_lease for action in decision.actions):
                return True  # What was taken away is to serve again before the next node's turn.
        return acted

    def _refuse(self, decisions: Mapping[str, Decision]) -> None:
        """End when every node is somebody's work, or all attempts were in vain.

        :raises TrivetError: says whose, or what.
        """
        label = self._nodes.environment.label
        held_back = {name: decision.held_back for name, decision in decisions.items() if decision.held_back}
        told = [f"{name} is left alone: {why}" for name, why in held_back.items()]
        if len(held_back) == len(decisions):
            raise TrivetError("; ".join(told) or "no node answers", f"trivet clean {label} --plan")
        for words in told:
            if words not in self._done:
                self._done.append(words)
                self._tell(words)
        for name, decision in decisions.items():
            for notice in decision.notices:
                if notice.news is News.GAVE_UP:
                    words = f"{name}: {notice.symptom.reason}; tried {notice.attempts} times"
                    raise TrivetError(words, f"trivet events {label}")

    def _order(self, node: Node, symptom: Symptom, remedy: Remedy) -> None:
        self._lease.check()
        self._tell(f"{node.name}: {symptom.reason.splitlines()[0]}")
        try:
            did = self._nodes.agent(node, *order(remedy), "--owner", self._owner, timeout=ACT_SECONDS)["did"]
        except RemoteError as error:
            did = f"failed: {error.message}"
        self._done.append(f"{node.name}: {did}")
        self._tell(self._done[-1])
