# SPDX-License-Identifier: GPL-3.0-or-later
"""Gather the facts of the node this runs on: all collectors at once, bounded in time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

from trivet.health.collectors import database, files, gateway, host, proxies, redis, search, web
from trivet.health.config import NodeConfig
from trivet.health.external import Deadline, NoAnswer, NotRunning
from trivet.health.facts import (
    DatabaseFacts,
    FilesFacts,
    GatewayFacts,
    HostFacts,
    IdentityFacts,
    ProxiesFacts,
    RedisFacts,
    SearchFacts,
    ServiceFacts,
    WebFacts,
)
from trivet.health.parallel import together
from trivet.services.registry import lasting, settings_of

TOTAL_SECONDS = 4.5
"""The longest that a collection takes."""

Collector = Callable[[NodeConfig, Deadline], ServiceFacts]

COLLECTORS: dict[str, tuple[Collector, type[ServiceFacts]]] = {
    "gateway": (gateway.collect, GatewayFacts),
    "proxies": (proxies.collect, ProxiesFacts),
    "web": (web.collect, WebFacts),
    "database": (database.collect, DatabaseFacts),
    "redis": (redis.collect, RedisFacts),
    "search": (search.collect, SearchFacts),
    "files": (files.collect, FilesFacts),
    "host": (host.collect, HostFacts),
}

WITHOUT_HEAL: dict[str, tuple[Collector, type[ServiceFacts]]] = {
    **COLLECTORS,
    "files": (files.collect_without_heal, FilesFacts),
}
"""For looks that follow each other."""

MEMBERS_ONLY = ("database", "redis", "search")
"""What a web node does not run."""


def collect_node(
    config: NodeConfig | Mapping[str, Any], collectors: Mapping[str, tuple[Collector, type[ServiceFacts]]] = COLLECTORS
) -> dict[str, Any]:
    """The facts of this node as plain data, ready for JSON; read them with ``facts_from_dict``.

    Args:
        config: the content of ``/etc/trivet/node.json``.
        collectors: by the name of the service, each with the kind of its facts.

    Raises:
        ValueError: the configuration does not fit. Nothing that a service does raises.
    """
    node = config if isinstance(config, NodeConfig) else NodeConfig.from_mapping(config)
    started = time.monotonic()
    deadline = Deadline(TOTAL_SECONDS)
    wanted = {name: collectors[name] for name in collectors if not (node.web_only and name in MEMBERS_ONLY)}
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
