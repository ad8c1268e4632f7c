# SPDX-License-Identifier: GPL-3.0-or-later
"""nginx and PHP-FPM that do not run, or do not answer although what they wait for does."""

from __future__ import annotations

from collections.abc import Iterator

from trivet.health.config import NodeConfig
from trivet.node.repair import Repair, Up
from trivet.node.symptom import Symptom, View, hung, stopped
from trivet.services.files.facts import FilesFacts
from trivet.services.proxy.facts import WRITER_BACKEND, ProxiesFacts
from trivet.services.web.facts import WebFacts

GATEWAY_TIMEOUTS = (0, 502, 504)
"""Answers of nginx whose cause is on its own node: none at all, or PHP-FPM gave none. 500 may be anybody's fault."""
BEHIND_PHP = (WRITER_BACKEND, "redis_session_primary")
"""What a page waits for, in the node's own HAProxy."""


def _reached(view: View, backend: str) -> bool:
    """Whether this node's HAProxy has somebody to ask; not when it does not answer itself."""
    if view.own.of(ProxiesFacts).error is not None:
        return False
    servers = view.own.of(ProxiesFacts).backend(backend)
    return not servers or any(server.status.startswith(("UP", "DRAIN")) for server in servers)


def symptoms(view: View) -> Iterator[Symptom]:
    """What is wrong with this node's nginx and PHP-FPM."""
    web, files = view.own.of(WebFacts), view.own.of(FilesFacts)
    yield from stopped(view, "web", ("nginx", "php-fpm"))
    if web.error is not None or web.direct.status not in GATEWAY_TIMEOUTS:
        return
    # PHP that waits for what does not answer is not helped by a restart.
    if not files.mounted or files.mount_error or not all(_reached(view, backend) for backend in BEHIND_PHP):
        return
    error = web.direct.error or f"no answer in time (status {web.direct.status})"
    yield from hung(view, "web", ("php-fpm", "nginx"), error, lambda facts: facts.of(WebFacts).direct.status == 200)


def _unserved(config: NodeConfig, up: Up) -> tuple[str, ...]:
    return up.misses(config.name, "web")


REPAIR = Repair(symptoms=symptoms, unserved=_unserved)
