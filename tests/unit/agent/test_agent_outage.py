# SPDX-License-Identifier: GPL-3.0-or-later
"""Three members that crash, stop, start and are looked after by three agents, in every order: no order is ever lost.

The model knows the truth (who has which transactions, who is in a primary component); the agents know what is reported
to them, which may be old by the time they act.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.unit import agent_views as views
from tests.unit.agent_views import NAMES, UUID
from trivet.agent.repair import Action, Memory, Policy, decide
from trivet.health.facts import NodeFacts
from trivet.node.symptom import KILL, START, View
from trivet.services.database.election import MemberReport, elect
from trivet.services.database.facts import DatabaseFacts
from trivet.services.database.repair import BOOTSTRAP, SETTLE
from trivet.services.proxy.facts import ProxiesFacts

MEMBERS = views.config(1).members
POLICY = Policy(attempts=10**6, first_pause=0.0)
names = st.sampled_from(NAMES)


@dataclass
class Member:
    """One node's MariaDB as it really is."""

    seqno: int = 0
    machine: bool = True
    server: str = "primary"
    """``primary``, ``stranded`` (answers, in no primary component), ``waiting`` (does not answer yet) or ``down``."""
    recovered: bool = False
    view_saved: bool = False
    left_last: bool = False

    def unit(self) -> str:
        return {"waiting": "activating", "down": "inactive"}.get(self.server, "active")

    def facts(self, node: NodeFacts) -> NodeFacts:
        answers = self.server in ("primary", "stranded")
        primary = self.server == "primary"
        database = DatabaseFacts(
            error=None if answers else "ERROR 2002",
            down=not answers,
            unit=self.unit(),
            wsrep=answers,
            cluster_status="Primary" if primary else "non-Primary" if answers else "",
            state="Synced" if primary else "Initialized" if answers else "",
            ready=primary,
            connected=answers,
        )
        host = replace(node.host, units={**node.host.units, "mariadb": self.unit()})
        return replace(node.having(database), host=host)

    def report(self, name: str) -> MemberReport:
        known = self.server == "down" and self.recovered
        return MemberReport(
            node=name,
            unit=self.unit(),
            process=self.server != "down",
            answers=self.server in ("primary", "stranded"),
            component={"primary": "Primary", "stranded": "non-Primary"}.get(self.server, ""),
            uuid=UUID,
            seqno=self.seqno if known else -1,
            safe_to_bootstrap=self.left_last and self.server == "down",
            view_saved=self.view_saved,
        )


class Outages(RuleBasedStateMachine):
    """Whatever happens, who bootstraps has every order that was acknowledged, and nobody else serves meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.members = {name: Member() for name in NAMES}
        self.view = set(NAMES)
        self.acknowledged = 0
        self.memory: dict[str, Memory] = {}
        self.pending: dict[str, Action] = {}
        self.now = 0.0

    def primary(self) -> set[str]:
        return {name for name, member in self.members.items() if member.server == "primary"}

    # ---------------------------------------------------------------- what happens

    @rule()
    def order(self) -> None:
        """An order is taken by whoever can, and acknowledged."""
        if not self.primary():
            return
        self.acknowledged += 1
        for name in self.primary():
            self.members[name].seqno = self.acknowledged

    @rule(name=names, late=st.booleans())
    def crash(self, name: str, late: bool) -> None:
        member = self.members[name]
        if not member.machine:
            return
        was_primary = member.server == "primary"
        others = self.primary() - {name}
        if was_primary and late and others and member.seqno:
            member.seqno -= 1  # It had not applied the last one yet; another member has it.
        if member.server != "down":
            member.recovered = False
        member.machine, member.server = False, "down"
        if was_primary:
            member.view_saved = True
            self._lost(name)

    @rule()
    def power_cut(self) -> None:
        alive = self.primary()
        for name in NAMES:
            member = self.members[name]
            member.view_saved |= name in alive
            if member.server != "down":
                member.recovered = False
            member.machine, member.server = False, "down"

    def _lost(self, name: str) -> None:
        """The others count who is left; a component keeps going with more than half of what it was."""
        left = self.view - {name}
        if len(left) * 2 > len(self.view):
            self.view = left
            return
        for other in left:
            self.members[other].server = "stranded"
            self.members[other].view_saved = True

    @rule(name=names)
    def stop(self, name: str) -> None:
        """A clean stop: the others know that it left."""
        self._stop(name)

    def _stop(self, name: str) -> None:
        member = self.members[name]
        if member.server == "down":
            return
        member.left_last = member.server == "primary" and self.view == {name}
        if member.server == "primary":
            self.view = self.view - {name} or {name}
        # A server that never got its state knows no better than its disk.
        member.recovered = member.server in ("primary", "stranded")
        member.server, member.view_saved = "down", False

    @rule(name=names)
    def boot(self, name: str) -> None:
        member = self.members[name]
        if not member.machine:
            member.machine, member.server = True, "waiting"
            self._join(name)

    def _join(self, name: str) -> None:
        alive = self.primary()
        member = self.members[name]
        if alive:
            member.server = "primary"
            member.seqno = max(self.members[other].seqno for other in alive)
            member.left_last = False
            self.view = alive | {name}
            for other in alive:
                self.members[other].left_last = False

    @rule(name=names)
    def waiting_members_join(self, name: str) -> None:
        if self.primary() and self.members[name].machine and self.members[name].server in ("waiting", "stranded"):
            self._join(name)

    @rule()
    def pc_recovery(self) -> None:
        """All members of the last view are there and waiting: Galera restores the component, with the newest state."""
        able = all(
            member.machine and member.server in ("waiting", "stranded") and member.view_saved
            for member in self.members.values()
        )
        if able:
            newest = max(member.seqno for member in self.members.values())
            for member in self.members.values():
                member.server, member.seqno = "primary", newest
            self.view = set(NAMES)

    # ---------------------------------------------------------------- the agents

    def look(self, name: str, heard: set[str]) -> View:
        alive = {other for other in heard | {name} if self.members[other].machine}
        primary = self.primary()
        cluster = {}
        for other in alive:
            facts = self.members[other].facts(views.node(int(other[1:])))
            servers = tuple(
                replace(server, status="UP" if server.server in primary else "DOWN")
                for server in facts.of(ProxiesFacts).servers
            )
            cluster[other] = facts.having(replace(facts.of(ProxiesFacts), servers=servers))
        reports = {other: self.members[other].report(other) for other in alive}
        peers = {other: facts for other, facts in cluster.items() if other != name}
        return View(views.config(int(name[1:])), cluster[name], peers, reports)

    @rule(name=names, heard=st.sets(names), patient=st.booleans())
    def agent_looks(self, name: str, heard: set[str], patient: bool) -> None:
        if not self.members[name].machine:
            return
        for _ in range(13 if patient else 1):
            self.now += 5.0
            decision = decide(self.look(name, heard), self.memory.get(name, {}), self.now, POLICY)
            self.memory[name] = decision.memory
            for action in decision.actions:
                if action.symptom.service == "database":
                    self.pending[name] = action

    @rule(rounds=st.integers(1, 3), deaf=st.sets(names, max_size=1))
    def agents_work(self, rounds: int, deaf: set[str]) -> None:
        """Time passes: everybody looks for long enough, and acts."""
        for _ in range(rounds):
            for name in NAMES:
                self.agent_looks(name, set(NAMES) - deaf, True)
            for name in NAMES:
                self.agent_acts(name)

    @rule(absent=names, how=st.sampled_from(["stop", "crash", "late"]), returning=st.sets(names, min_size=2))
    def outage(self, absent: str, how: str, returning: set[str]) -> None:
        """One member is away while orders are taken; then all go down, and some come back and are looked after."""
        self.stop(absent) if how == "stop" else self.crash(absent, how == "late")
        self.order()
        self.power_cut()
        for name in returning:
            self.boot(name)
        self.agents_work(2, set())

    @rule(name=names)
    def agent_acts(self, name: str) -> None:
        """The act follows the look, but much may happen in between."""
        action = self.pending.pop(name, None)
        member = self.members[name]
        if action is None or action.symptom.remedy is None or not member.machine:
            return
        kind = action.symptom.remedy.kind
        if kind == SETTLE and member.server != "primary":
            self._stop(name)
            member.recovered = True
        elif kind == BOOTSTRAP:
            self._bootstrap(name, action.symptom.remedy.arguments[0])
        elif kind == START and member.server == "down":
            member.server = "waiting"
            self._join(name)
        elif kind == KILL:
            assert self.primary() - {name}, "the last one was taken away"

    def _bootstrap(self, name: str, position: str) -> None:
        """As the healer does it: all members are asked again, now that nobody else may act."""
        reports = {other: member.report(other) for other, member in self.members.items() if member.machine}
        election = elect(MEMBERS, reports)
        if not election.acts(name) or election.position != position:
            return
        member = self.members[name]
        assert not self.primary(), "bootstrapped beside a primary component"
        assert member.seqno == max(other.seqno for other in self.members.values()), "bootstrapped a lower position"
        assert member.seqno == self.acknowledged, "an acknowledged order was lost"
        member.server, member.left_last = "primary", False
        self.view = {name}

    @invariant()
    def no_acknowledged_order_is_lost(self) -> None:
        for name in self.primary():
            assert self.members[name].seqno == self.acknowledged


Outages.TestCase.settings = settings(max_examples=100, stateful_step_count=20, deadline=None)
TestOutages = Outages.TestCase


def test_an_outage_is_overcome_without_anybody() -> None:
    """All members crash, come back without a saved view, and the agents alone bring the cluster up."""
    world = Outages()
    for _ in range(3):
        world.order()
    world.power_cut()
    for name in NAMES:
        world.members[name].view_saved = False
        world.boot(name)
    for _ in range(12):
        for name in NAMES:
            world.agent_looks(name, set(NAMES), False)
            world.agent_acts(name)
            world.waiting_members_join(name)
    assert world.primary() == set(NAMES)
    assert world.acknowledged == 3
