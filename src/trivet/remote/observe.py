# SPDX-License-Identifier: GPL-3.0-or-later
"""Gathers the facts of all nodes at once and has them judged."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

from trivet.health.expectation import Expectation, NodeExpectation
from trivet.health.facts import NodeFacts, Unreachable
from trivet.model.environment import Environment, Node
from trivet.remote.result import RemoteResult
from trivet.remote.ssh import Nodes
from trivet.verdict.assess import Verdict, assess
from trivet.verdict.facts import facts_from_dict

# The collectors bound themselves to five seconds; SSH and a busy node come on top.
COLLECT_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Observation:
    """Facts by node name and the verdict on them, of one moment."""

    facts: dict[str, NodeFacts | Unreachable]
    verdict: Verdict


def expectation_of(environment: Environment) -> Expectation:
    """What the environment should look like."""
    return Expectation(
        environment=environment.name,
        nodes=tuple(NodeExpectation(node.name, node.address) for node in environment.nodes),
        web_nodes=tuple(
            NodeExpectation(node.name, node.address, in_service=node.in_service) for node in environment.web_nodes
        ),
        gateways=environment.gateways,
        terms=environment.terms,
        label=environment.label,
    )


def observe(nodes: Nodes, *, apart: float = 0.0, heal_from: Node | None = None) -> Observation:
    """Ask every node's agent for its facts and judge them. A silent node is part of the verdict, never an error.

    :param apart: seconds between the questions to one node and to the next. A look costs a node a third of a second of
        a CPU: beside customers' load it is not to do so on all of them in the same moment.
    :param heal_from: the only node that is asked what GlusterFS has to heal, by far the dearest question; by default
        all are. Whether every other node reaches every brick is not seen then.
    """
    environment = nodes.environment
    places = {node.name: number for number, node in enumerate(environment.machines)}

    def ask(node: Node) -> tuple[str, NodeFacts | Unreachable]:
        time.sleep(apart * places[node.name])
        asked_at = time.time()
        words = ["--without-heal"] if heal_from is not None and node.name != heal_from.name else []
        result = nodes.asked(node, ["collect", *words], COLLECT_SECONDS)
        return node.name, _facts(result, asked_at, time.time())

    facts = dict(nodes.at_once(ask, environment.machines))
    return Observation(facts, assess(expectation_of(environment), facts))


def _facts(result: RemoteResult, asked_at: float, answered_at: float) -> NodeFacts | Unreachable:
    if not result.reached:
        return Unreachable(f"SSH: {result.error or 'no answer'}")
    try:
        answer = json.loads(result.output)
        if not isinstance(answer, dict):
            raise TypeError("facts are an object")
        return facts_from_dict(answer, asked_at=asked_at, answered_at=answered_at)
    except (ValueError, TypeError, KeyError):
        words = result.error.splitlines()[-1] if result.error else f"exit code {result.code}"
        return Unreachable(f"the agent did not answer: {words}")
