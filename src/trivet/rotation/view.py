# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engine needs to know of an environment at one moment, drawn from its facts and its verdict. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from trivet.health.facts import RESTART, NodeFacts, Unreachable
from trivet.health.findings import Finding, State
from trivet.model import Environment
from trivet.remote import Observation
from trivet.rotation.plan import Roles
from trivet.services.database.clients import words
from trivet.services.database.facts import DatabaseFacts
from trivet.services.database.roles import writer
from trivet.services.gateway.facts import GatewayFacts
from trivet.services.gateway.roles import gateway_holders
from trivet.services.proxy.facts import ProxiesFacts
from trivet.services.redis.facts import RedisFacts
from trivet.services.redis.roles import SESSIONS_FIRST, redis_primary
from trivet.services.registry import lasting, settings_of
from trivet.services.search.facts import SearchFacts
from trivet.services.web.facts import WebFacts
from trivet.verdict.assess import Verdict

DATABASE_IN_SERVICE = ("Synced", "Donor/Desynced")


@dataclass(frozen=True, slots=True)
class View:
    """An environment at one moment.

    :param roles: what each node holds, in the order of the inventory.
    :param out_of_service: by node, why it does not serve customers; a node that serves is not there.
    :param unreachable: nodes that do not answer.
    :param session_mib: memory that the sessions take, by node, in MiB.
    :param pending: services that wait for a restart, by node.
    :param kept: by node, the clients of its database that a change of it would cut, in words.
    :param strangers: why the nodes are not those of the inventory, in words.
    :param machines: what each machine is and has, as JSON data for the report.
    """

    verdict: Verdict
    roles: Mapping[str, Roles]
    out_of_service: Mapping[str, str] = field(default_factory=dict)
    unreachable: frozenset[str] = frozenset()
    session_mib: Mapping[str, int] = field(default_factory=dict)
    pending: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    kept: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    strangers: tuple[str, ...] = ()
    machines: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def state(self) -> State:
        """The verdict's."""
        return self.verdict.state

    def blocking(self, drained: str | None = None) -> list[str]:
        """Why a rotation may not go on; what is only the drain of ``drained`` does not block."""
        return blocking(self.verdict, drained)

    def not_serving(self, but: str) -> list[str]:
        """Why the nodes other than ``but`` could not carry the shop, in words; empty when all of them can."""
        return [f"{name}: {why}" for name, why in self.out_of_service.items() if name != but]

    def to_line(self, when: str) -> dict[str, Any]:
        """The journal's ``snapshot`` line."""
        findings = [
            {"service": item.service, "node": item.node, "state": item.state.value, "reason": item.reason}
            for item in self.verdict.findings
            if item.state is not State.HEALTHY or item.is_note
        ]
        return {"when": when, "state": self.state.value, "findings": findings, "nodes": dict(self.machines)}


def blocking(verdict: Verdict, drained: str | None) -> list[str]:
    """Reasons why a rotation may not go on, in words; what is only the drain of ``drained`` does not block."""
    return [
        f"{finding.node or 'cluster'}: {finding.service}: {finding.reason}"
        for finding in verdict.findings
        if finding.state is not State.HEALTHY and not (finding.by_drain and finding.node == drained)
    ]


def own_blocking(verdict: Verdict, node: str) -> list[str]:
    """Reasons on one node alone why it may not serve; neither its drain nor other nodes nor the whole cluster count."""
    return [
        f"{finding.node}: {finding.service}: {finding.reason}"
        for finding in verdict.findings
        if finding.node == node and finding.state is not State.HEALTHY and not finding.by_drain
    ]


def others_broken(verdict: Verdict, node: str) -> list[Finding]:
    """What is broken on other nodes."""
    return [item for item in verdict.findings if item.node not in (None, node) and item.state is State.BROKEN]


def view_of(environment: Environment, observation: Observation) -> View:
    """Draw the view from what was observed."""
    known = {name: facts for name, facts in observation.facts.items() if not isinstance(facts, Unreachable)}
    silent = {name: facts.reason for name, facts in observation.facts.items() if isinstance(facts, Unreachable)}
    out = {name: f"is not reached ({reason})" for name, reason in silent.items()}
    for name, facts in known.items():
        if why := _why_out_of_service(facts):
            out[name] = why
    order = [node.name for node in environment.nodes]
    return View(
        verdict=observation.verdict,
        roles=_roles(environment, observation),
        out_of_service={name: out[name] for name in order if name in out},
        unreachable=frozenset(silent),
        session_mib={
            name: session.used_memory // 2**20
            for name, facts in known.items()
            if (session := facts.of(RedisFacts).instances.get("session")) is not None
        },
        pending={name: _waiting(facts) for name, facts in known.items()},
        kept={name: _kept(environment, facts) for name, facts in known.items() if facts.of(DatabaseFacts).lasting},
        strangers=tuple(word for name, facts in known.items() for word in _strange(environment, name, facts)),
        machines={name: _machine(facts) for name, facts in known.items()},
    )


def _waiting(facts: NodeFacts) -> tuple[str, ...]:
    """The services of a node that wait for a restart."""
    return tuple(item.service for item in facts.host.pending if item.kind == RESTART)


def _kept(environment: Environment, facts: NodeFacts) -> tuple[str, ...]:
    """The clients of a node's database that a change of the node would cut."""
    names = {node.address: node.name for node in environment.proxies}
    return tuple(words(client, names) for client in facts.of(DatabaseFacts).lasting)


def _why_out_of_service(facts: NodeFacts) -> str:
    """Why a node does not serve customers: what they meet there, and not every wish that the verdict has."""
    if facts.drained("web") is not None:
        return "is drained"
    page, haproxy = facts.of(WebFacts).direct, facts.of(GatewayFacts).haproxy
    if page.status != 200:
        return f"its own page answers {page.status or page.error or 'nothing'}"
    if haproxy not in ("active", "reloading"):
        return f"its HAProxy is {haproxy}"
    database = facts.of(DatabaseFacts)
    if database.cluster_status != "Primary" or not database.ready or database.state not in DATABASE_IN_SERVICE:
        return (
            f"its database is {database.state or 'down'} in a component that is {database.cluster_status or 'unknown'}"
        )
    return ""


def _roles(environment: Environment, observation: Observation) -> dict[str, Roles]:
    holders = gateway_holders(observation.facts)
    present_writer = writer(observation.facts)
    primaries = {instance: redis_primary(observation.facts, instance) for instance in SESSIONS_FIRST}
    return {
        node.name: Roles(
            writer=present_writer == node.name,
            redis_primaries=tuple(instance for instance, name in primaries.items() if name == node.name),
            gateways=tuple(address for address, names in holders.items() if node.name in names),
            home=environment.gateways[node.node_id - 1],
        )
        for node in environment.nodes
    }


def _strange(environment: Environment, name: str, facts: NodeFacts) -> list[str]:
    """What the inventory says of the whole cluster that the node was not set up with.

    Such a change strands the first node of a rolling run: it would come back under a name that its peers refuse.
    """
    have, node = facts.identity, environment.node(name)
    if have.error is not None:
        return []
    wanted = {
        "trivet_environment": (environment.name, have.environment),
        "trivet_address": (node.address, have.address),
        "trivet_node_id": (str(node.node_id), str(have.node_id)),
        "trivet_gateway_addresses": (", ".join(environment.gateways), ", ".join(have.gateways)),
    }
    settings = lasting(settings_of(environment.terms))
    wanted |= {key: (settings[key], old) for key, old in have.settings.items() if key in settings}
    return [
        f"{key} is {new!r} in the inventory and {old!r} on {name}" for key, (new, old) in wanted.items() if new != old
    ]


def _machine(facts: NodeFacts) -> dict[str, Any]:
    return {
        "address": facts.address,
        "vcpus": facts.host.vcpus,
        "memory_mib": facts.host.memory_mib,
        "versions": {
            name: version
            for name, version in {
                "MariaDB": facts.of(DatabaseFacts).version,
                "HAProxy": facts.of(ProxiesFacts).version,
                "search": facts.of(SearchFacts).version,
                "kernel": facts.host.kernel,
            }.items()
            if version
        },
    }
