# SPDX-License-Identifier: GPL-3.0-or-later
"""From the facts of all nodes to a verdict. Pure: nothing is asked, nothing is touched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from trivet.health.cluster import Cluster, Rules
from trivet.health.expectation import Expectation
from trivet.health.facts import ClusterFacts
from trivet.health.findings import AS_IT_SHOULD_BE, Finding, State, worst
from trivet.health.flaps import flapping, journal_of
from trivet.services.parts import parts
from trivet.services.registry import SERVICES, present, service_of_unit

RULES = parts("rules", Rules)


@dataclass(frozen=True)
class Verdict:
    """How it stands with an environment."""

    environment: str
    nodes: tuple[str, ...]
    unreachable: tuple[str, ...]
    findings: tuple[Finding, ...]
    """What is wrong, and notes (state healthy), by service in the order of a request's path."""
    services: tuple[str, ...] = SERVICES
    """Those that the environment has."""

    @property
    def state(self) -> State:
        """The worst state of all."""
        return worst(finding.state for finding in self.findings)

    @property
    def exit_code(self) -> int:
        """0 healthy, 1 busy, 2 broken, 3 unknown."""
        return self.state.exit_code

    @property
    def problems(self) -> tuple[Finding, ...]:
        """The findings that keep the environment from being healthy, the worst first."""
        wrong = (finding for finding in self.findings if finding.state is not State.HEALTHY)
        return tuple(sorted(wrong, key=lambda finding: -finding.state.severity))

    @property
    def notes(self) -> tuple[Finding, ...]:
        """What is well and worth knowing, such as a service that waits for a restart."""
        return tuple(finding for finding in self.findings if finding.is_note)

    def of(self, service: str, node: str | None = None) -> State:
        """The state of a service, on one node or (without ``node``) everywhere, cluster included.

        Nothing on a node that cannot be reached is better than broken.
        """
        if node is None:
            states = [self.of(service, name) for name in self.nodes]
            return worst([*states, *(item.state for item in self._about(service, None))])
        if node in self.unreachable:
            return State.BROKEN
        return worst(item.state for item in self._about(service, node))

    def _about(self, service: str, node: str | None) -> Iterator[Finding]:
        return (item for item in self.findings if item.service == service and item.node == node)

    def to_dict(self) -> dict[str, Any]:
        """The verdict as JSON-able plain data; :meth:`from_dict` reads it back."""
        return {
            "environment": self.environment,
            "state": str(self.state),
            "exit_code": self.exit_code,
            "services": {service: str(self.of(service)) for service in self.services},
            "nodes": {node: {service: str(self.of(service, node)) for service in self.services} for node in self.nodes},
            "unreachable": list(self.unreachable),
            "findings": [{**asdict(finding), "state": str(finding.state)} for finding in self.findings],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Verdict:
        """Read what :meth:`to_dict` gave; what follows from the findings is worked out anew.

        Raises:
            KeyError, TypeError, ValueError: ``data`` is no verdict.
        """
        return cls(
            environment=str(data["environment"]),
            nodes=tuple(data["nodes"]),
            unreachable=tuple(data["unreachable"]),
            findings=tuple(Finding(**{**item, "state": State(item["state"])}) for item in data["findings"]),
            services=tuple(data["services"]),
        )


def assess(expectation: Expectation, facts: ClusterFacts) -> Verdict:
    """Judge an environment.

    Args:
        expectation: what should be there.
        facts: what is known of each node, by name. An expected node that is missing here counts as unreachable.
    """
    cluster = Cluster(expectation, facts)
    services = present(expectation.terms)
    findings = tuple(finding for service in services for finding in _of_service(cluster, service))
    return Verdict(
        environment=expectation.environment,
        nodes=tuple(node.name for node in expectation.machines),
        unreachable=tuple(cluster.unreachable()),
        findings=findings,
        services=services,
    )


def _of_service(cluster: Cluster, service: str) -> list[Finding]:
    """The findings of one service: at least one for every node that answered."""
    judged = (*_flaps(cluster, service), *RULES[service].findings(cluster))
    found = [*_drains(cluster, service), *(_softened(cluster, item) for item in judged)]
    named = {finding.node for finding in found}
    well = (name for name, _ in cluster.machines() if name not in named)
    return [*found, *(Finding(service, name, State.HEALTHY, AS_IT_SHOULD_BE) for name in well)]


def _drains(cluster: Cluster, service: str) -> Iterator[Finding]:
    """Say who took the service out where."""
    for node, _ in cluster.machines():
        drain = cluster.drain(service, node)
        if drain is not None:
            reason, command = cluster.told(drain, "drained")
            yield Finding(service, node, State.BUSY, reason, command, by_drain=True)


def _flaps(cluster: Cluster, service: str) -> Iterator[Finding]:
    """The units of the service that fall over and over; a look may find them up, or on their way."""
    for node, facts in cluster.machines():
        for unit, flap in flapping(facts.host).items():
            if service_of_unit(unit, cluster.terms) == service:
                command = cluster.logs(node, journal_of(unit))
                yield Finding(service, node, State.BROKEN, f"{unit} {flap}", command)


def _softened(cluster: Cluster, finding: Finding) -> Finding:
    """What is broken where it is drained is somebody's work in progress; what is unknown stays unknown."""
    if finding.state is not State.BROKEN or finding.node is None:
        return finding
    drain = cluster.drain(finding.service, finding.node)
    if drain is None:
        return finding
    return replace(finding, state=State.BUSY, reason=f"{finding.reason} (drained by {drain.owner})", softened=True)
