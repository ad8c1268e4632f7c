# SPDX-License-Identifier: GPL-3.0-or-later
"""Gather the facts of the node this runs on: all collectors at once, bounded in time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from trivet.health.collectors import database, files, gateway, host, proxies, redis, search, web
from trivet.health.config import NodeConfig
from trivet.health.external import Deadline, NoAnswer, NotRunning
from trivet.health.facts import (
    DatabaseFacts,
    FilesFacts,
    GatewayFacts,
    HostFacts,
    ProxiesFacts,
    RedisFacts,
    SearchFacts,
    ServiceFacts,
    WebFacts,
)

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

_running: dict[str, threading.Thread] = {}


def collect_node(config: NodeConfig | Mapping[str, Any]) -> dict[str, Any]:
    """The facts of this node as plain data, ready for JSON; read them with ``facts_from_dict``.

    Args:
        config: the content of ``/etc/trivet/node.json``.

    Raises:
        ValueError: the configuration does not fit. Nothing that a service does raises.
    """
    node = config if isinstance(config, NodeConfig) else NodeConfig.from_mapping(config)
    started = time.monotonic()
    deadline = Deadline(TOTAL_SECONDS)
    answers: dict[str, ServiceFacts] = {}
    threads = [thread for name in COLLECTORS if (thread := _start(name, node, deadline, answers)) is not None]
    for thread in threads:
        thread.join(deadline.left())
    gathered = {
        name: asdict(answers.get(name) or facts(error=f"no answer in {TOTAL_SECONDS} s"))
        for name, (_, facts) in COLLECTORS.items()
    }
    seconds = round(time.monotonic() - started, 3)
    return {"node": node.name, "address": node.address, "seconds": seconds, **gathered}


def _start(
    name: str, node: NodeConfig, deadline: Deadline, answers: dict[str, ServiceFacts]
) -> threading.Thread | None:
    """Start one collector, unless its thread of an earlier collection still hangs (a mount that blocks)."""
    collector, facts = COLLECTORS[name]
    earlier = _running.get(name)
    if earlier is not None and earlier.is_alive():
        answers[name] = facts(error="the collector still hangs from an earlier collection")
        return None

    def work() -> None:
        answers[name] = guarded(collector, facts, node, deadline)

    # A daemon thread, not an executor's: the interpreter would wait for those at its end.
    thread = threading.Thread(target=work, name=f"collect-{name}", daemon=True)
    _running[name] = thread
    thread.start()
    return thread


def guarded(
    collector: Collector, facts: type[ServiceFacts], node: NodeConfig, deadline: Deadline
) -> ServiceFacts:
    """Run a collector; whatever it raises becomes the ``error`` of its facts."""
    try:
        return collector(node, deadline)
    except NotRunning as problem:
        return facts(error=str(problem), down=True)
    except NoAnswer as problem:
        return facts(error=str(problem))
    except Exception as problem:  # One service's surprise must not hide the other services
        return facts(error=f"{type(problem).__name__}: {problem}")
