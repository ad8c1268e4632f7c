# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engine asks of a cluster, and the real one behind SSH, Ansible and the provider.

The engine decides and knows nothing of how: tests give it a simulated cluster that dies at any moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Protocol

from trivet.ansible.secrets import check_secrets
from trivet.model import Environment, Size
from trivet.providers import provider_for
from trivet.remote import Nodes
from trivet.rotation.agents import foreign_agents
from trivet.rotation.change import Change, Step
from trivet.rotation.looks import APART_SECONDS, Looks
from trivet.rotation.priorities import core_priorities
from trivet.rotation.steps import NodeSteps
from trivet.rotation.tables import table_warnings
from trivet.rotation.view import View, view_of
from trivet.run.copies import JournalCopies, NodeJournals
from trivet.run.lease import HeldLease, Lease, lease_holder

Tell = Callable[[str], None]

ASKED = ("collect", "drain", "galera", "gateway", "gluster", "journal", "lease", "proxy", "redis", "search", "undrain")
"""Commands of the agents that a change uses."""


class Steps(Protocol):
    """The steps of one node."""

    def apply(self, step: Step) -> None:
        """Do one step and wait until it is done; harmless when repeated."""

    def undo_drain(self) -> None:
        """Take back what was done to a node that was not touched yet."""

    def power_on(self) -> None:
        """Have the machine run, whatever state a broken-off step left it in."""


class Cluster(Protocol):
    """Three nodes that a change is made to."""

    @property
    def environment(self) -> Environment:
        """What the inventory says."""

    @property
    def journals(self) -> JournalCopies:
        """The nodes' copies of the journals."""

    def view(self, recent: bool = False) -> View:
        """How it stands now, or, where that is enough, how it stood in a look at everything of a moment ago."""

    def target(self, size: str) -> Size:
        """What a node gets at a size of the table."""

    def check(self, nodes: tuple[str, ...]) -> None:
        """Raise a TrivetError when a secret is missing, or the provider could not act on one of these machines."""

    def check_new(self, nodes: tuple[str, ...]) -> None:
        """Raise a TrivetError when the provider could not make one of these machines anew."""

    def steps(self, node: str, change: Change, owner: str, tell: Tell) -> Steps:
        """The steps of a node for a change."""

    def attended(self) -> AbstractContextManager[None]:
        """While it lasts, the nodes' agents answer at once, and where they share cores the nodes come first."""

    def lease(self, owner: str, purpose: str, patience: bool, tell: Tell) -> AbstractContextManager[HeldLease]:
        """The environment's lease."""

    def lease_holder(self) -> str | None:
        """Who holds the lease, since when and what for, in words; None when nobody does."""

    def table_warnings(self) -> tuple[str, ...]:
        """Tables that Galera does not keep alike on all members, in words."""

    def foreign_agents(self) -> tuple[str, ...]:
        """Names of the nodes whose agent is not the one that this runner was made with."""

    def record(self, size: str) -> None:
        """Remember the size as the environment's own."""


class LiveCluster:
    """The real one; a context that closes its connections at its end."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._nodes = Nodes(environment)
        self._looks = Looks(self._nodes)
        self._priorities = core_priorities(environment)

    def __enter__(self) -> LiveCluster:
        self._nodes.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._nodes.__exit__(kind, error, trace)

    @property
    def environment(self) -> Environment:
        """What the inventory says."""
        return self._environment

    @property
    def journals(self) -> NodeJournals:
        """The nodes' copies of the journals."""
        return NodeJournals(self._nodes)

    def view(self, recent: bool = False) -> View:
        """How it stands now, or, where that is enough, how it stood in a look at everything of a moment ago."""
        return view_of(self._environment, self._looks.recent() if recent else self._looks.look())

    def target(self, size: str) -> Size:
        """What a node of this provider gets at a size of the table."""
        return provider_for(self._environment).target(size)

    def check(self, nodes: tuple[str, ...]) -> None:
        """Check the secrets, and have the provider check that it could act on these machines.

        :raises TrivetError: naming the secret that is missing, or the first machine that it could not act on.
        """
        check_secrets(self._environment)
        provider = provider_for(self._environment)
        for name in nodes:
            provider.check(self._environment.node(name))

    def check_new(self, nodes: tuple[str, ...]) -> None:
        """Have the provider check that it could make these machines anew, at the addresses that they have.

        :raises TrivetError: for the first one that it could not make.
        """
        for name in nodes:
            address = self._environment.node(name).address
            provider_for(self._environment).check_create(name, self._environment.size, address)

    def steps(self, node: str, change: Change, owner: str, tell: Tell) -> NodeSteps:
        """The steps of a node for a change."""
        return NodeSteps(
            self._environment,
            self._nodes,
            self._looks,
            self._environment.node(node),
            change,
            owner,
            tell,
            self._priorities,
        )

    @contextmanager
    def attended(self) -> Iterator[None]:
        """While it lasts, the nodes' agents answer at once, and where they share cores the nodes come first.

        A node is asked some forty questions while it is rotated, and each start of an agent takes a tenth of a second
        of its processor and more.
        """
        with (
            self._priorities.lower_runner_priority(),
            self._nodes.sessions(self._environment.proxies, *ASKED, apart=APART_SECONDS),
        ):
            yield

    def lease(self, owner: str, purpose: str, patience: bool, tell: Tell) -> Lease:
        """The environment's lease."""
        return Lease(self._nodes, owner, purpose, patience=patience, tell=tell)

    def lease_holder(self) -> str | None:
        """Who holds the lease, since when and what for, in words; None when nobody does."""
        return lease_holder(self._nodes)

    def table_warnings(self) -> tuple[str, ...]:
        """Tables that Galera does not keep alike on all members, in words."""
        return table_warnings(self._nodes)

    def foreign_agents(self) -> tuple[str, ...]:
        """Names of the nodes whose agent is not the one that this runner was made with."""
        return foreign_agents(self._nodes)

    def record(self, size: str) -> None:
        """Have the provider remember the size where it keeps the inventory."""
        provider_for(self._environment).record(size)
