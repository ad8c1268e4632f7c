# SPDX-License-Identifier: GPL-3.0-or-later
"""Gather the facts of the node this runs on: all collectors at once, bounded in time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

from trivet.health.collector import Collect, Collector
from trivet.health.config import NodeConfig
from trivet.health.external import Deadline, NoAnswer, NotRunning
from trivet.health.facts import IdentityFacts, ServiceFacts
from trivet.health.parallel import together
from trivet.services.parts import parts
from trivet.services.registry import SERVICES, lasting, present, settings_of

TOTAL_SECONDS = 4.5
"""The longest that a collection takes."""

PARTS = {part.facts.NAME: part for part in parts("collect", Collect).values()}
Collectors = Mapping[str, tuple[Collector, type[ServiceFacts]]]
"""By the name of the facts, each with their kind."""
COLLECTORS: Collectors = {name: (part.full, part.facts) for name, part in PARTS.items()}
OFTEN: Collectors = {name: (part.often or part.full, part.facts) for name, part in PARTS.items()}
"""For looks that follow each other."""
MEMBERS_ONLY = tuple(name for name, part in PARTS.items() if part.members_only)
"""What a web node does not run."""


def collect_node(config: NodeConfig | Mapping[str, Any], collectors: Collectors = COLLECTORS) -> dict[str, Any]:
    """The facts of this node as plain data, ready for JSON; read them with ``facts_from_dict``.

    Args:
        config: the content of ``/etc/trivet/node.json``.
        collectors: what to ask.

    Raises:
        ValueError: the configuration does not fit. Nothing that a service does raises.
    """
    node = config if isinstance(config, NodeConfig) else NodeConfig.from_mapping(config)
    started = time.monotonic()
    deadline = Deadline(TOTAL_SECONDS)
    absent = {*SERVICES} - {*present(node.terms)} | ({*MEMBERS_ONLY} if node.web_only else set())
    wanted = {name: collectors[name] for name in collectors if name not in absent}
    questions = {name: partial(collector, node, deadline) for name, (collector, _) in wanted.items()}
    answers = together(questions, deadline.left())
    gathered = {name: asdict(facts_of(answers[name], kind)) for name, (_, kind) in wanted.items()}
    seconds = round(time.monotonic() - started, 3)
    identity = asdict(_identity(node))
    return {"node": node.name, "address": node.address, "seconds": seconds, "identity": identity, **gathered}


def _identity(node: NodeConfig) -> IdentityFacts:
    return IdentityFacts(
        environment=node.environment,
        node_id=node.node_id,
        address=node.address,
        gateways=node.gateways,
        settings=lasting(settings_of(node.terms)),
    )


def facts_of(answer: ServiceFacts | NoAnswer, kind: type[ServiceFacts]) -> ServiceFacts:
    """A collector's facts; when it had no answer, facts that say why."""
    if isinstance(answer, NoAnswer):
        return kind(error=str(answer), down=isinstance(answer, NotRunning))
    return answer
