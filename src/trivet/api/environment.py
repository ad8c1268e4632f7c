# SPDX-License-Identifier: GPL-3.0-or-later
"""An environment with its verbs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from trivet import model
from trivet.ansible import load_environment
from trivet.ansible.playbook import Listener as PlaybookListener
from trivet.ansible.playbook import PlaybookResult
from trivet.api.agents import AgentsAnswer, pause, resume
from trivet.api.clean import Cleaned, Leftovers, Selection, clean, left_behind
from trivet.api.converge import converge
from trivet.api.events import Timeline, events
from trivet.api.measure import reported
from trivet.api.recover import Recovery, RecoveryPlan, Tell, recover
from trivet.api.recover import plan as plan_recovery
from trivet.api.runs import SHOWN_RUNS, RunSummary, runs
from trivet.remote import Nodes, observe
from trivet.rotation.change import Change, Kind
from trivet.rotation.engine import RotationReport
from trivet.rotation.plan import Plan
from trivet.rotation.rotations import Rotations
from trivet.run.events import Listener, unheard
from trivet.run.stop import StopRequest
from trivet.scaling import ScaleIn, ScaleOut, ScaleReport
from trivet.verdict.assess import Verdict


@dataclass(frozen=True, slots=True)
class Environment:
    """A loaded environment. Every verb raises :class:`trivet.errors.TrivetError` when it is refused or fails.

    :param description: its nodes, gateway addresses and size, as the inventory says.
    """

    description: model.Environment

    @classmethod
    def load(cls, environment: str) -> Environment:
        """Read and check an inventory: a path, a lab's name, or a folder in inventories/. Nothing is contacted."""
        return cls(load_environment(environment))

    def status(self) -> Verdict:
        """The verdict on every service of every node, now."""
        with Nodes(self.description) as nodes:
            return observe(nodes).verdict

    def converge(self, *, check: bool = False, listener: PlaybookListener = lambda event: None) -> PlaybookResult:
        """Bring every node to what the inventory says; with ``check`` only tell what would change."""
        return converge(self.description, check=check, listener=listener)

    def left_behind(self, *, owner: str | None = None, expired: bool = False) -> Leftovers:
        """What is set on the nodes for a time, of one owner or of all, or only what has expired. Touches nothing."""
        return left_behind(self.description, Selection(owner, expired))

    def clean(self, shown: Leftovers, *, force: bool = False) -> Cleaned:
        """Remove what :meth:`left_behind` showed, under the lease; ``force`` also if a rotation is interrupted."""
        return clean(self.description, shown, force=force)

    def pause_agents(self, owner: str, seconds: float) -> AgentsAnswer:
        """Have the agents repair nothing for a time."""
        return pause(self.description, owner, seconds)

    def resume_agents(self, owner: str) -> AgentsAnswer:
        """Have the agents repair again."""
        return resume(self.description, owner)

    def events(self, since: float) -> Timeline:
        """Failures, repairs and changes later than a moment (epoch seconds), of all nodes in one timeline."""
        return events(self.description, since)

    def runs(self, limit: int = SHOWN_RUNS) -> tuple[RunSummary, ...]:
        """What was done to it, the newest first: who, what, when, and how it ended."""
        return runs(self.description, limit)

    def plan_recovery(self, service: str | None = None) -> RecoveryPlan:
        """What is wrong that the agents' rules allow to be repaired, and the evidence. Touches nothing."""
        return plan_recovery(self.description, service)

    def recover(self, service: str | None = None, *, tell: Tell = lambda text: None) -> Recovery:
        """Repair one service now, or everything."""
        return recover(self.description, service, tell=tell)

    def rotations(self, *, listener: Listener = unheard, stop: StopRequest | None = None) -> Rotations:
        """The rolling changes: plan, apply, resume, abort, rollback, status, history.

        Their report is left by :func:`trivet.api.reported`, or with a probe's figures by :func:`trivet.api.measured`.

        :param listener: takes what a change tells.
        :param stop: set its ``by`` from another thread or a signal handler to stop where it is safe.
        """
        return Rotations(self.description, listener, stop)

    def plan(self, size: str) -> Plan:
        """What an upscale to a size would do. Touches nothing."""
        return self.rotations().plan(Change.resize(self.description, size))

    def upscale(self, size: str, *, listener: Listener = unheard) -> RotationReport:
        """Resize the nodes one after the other; a smaller size is taken too."""
        return self._rolled(Change.resize(self.description, size), listener)

    def restart(self, nodes: tuple[str, ...], *, reboot: bool = False, listener: Listener = unheard) -> RotationReport:
        """Restart the services of nodes (with ``reboot`` their machines) one after the other."""
        return self._rolled(Change(Kind.RESTART, nodes, reboot=reboot), listener)

    def patch(self, nodes: tuple[str, ...], *, listener: Listener = unheard) -> RotationReport:
        """Upgrade the packages of nodes one after the other."""
        return self._rolled(Change(Kind.PATCH, nodes), listener)

    def replace(self, node: str, *, listener: Listener = unheard) -> RotationReport:
        """Have the provider make a new machine in the place of a node."""
        return self._rolled(Change(Kind.REPLACE, (node,)), listener)

    def scale_out(
        self,
        web: int,
        *,
        size: str | None = None,
        hosts: Mapping[str, str] | None = None,
        listener: Listener = unheard,
    ) -> ScaleReport:
        """Add web nodes, which the provider makes, or the hosts that are given (addresses by name).

        The environment has to be loaded anew to know them.
        """
        return reported(
            self.description,
            lambda heard: ScaleOut(self.description, web, size=size, given=hosts, listener=heard).apply(),
            listener=listener,
        )

    def scale_in(self, web: int, *, listener: Listener = unheard) -> ScaleReport:
        """Take web nodes away, the youngest first."""
        return reported(
            self.description, lambda heard: ScaleIn(self.description, web, listener=heard).apply(), listener=listener
        )

    def _rolled(self, change: Change, listener: Listener) -> RotationReport:
        return reported(self.description, lambda heard: self.rotations(listener=heard).apply(change), listener=listener)
