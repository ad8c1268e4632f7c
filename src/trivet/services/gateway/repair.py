# SPDX-License-Identifier: GPL-3.0-or-later
"""HAProxy, keepalived and the agent of a node that do not run, or do not answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from trivet.health.config import KEEPALIVED_ALIVE, NodeConfig
from trivet.health.external import Deadline
from trivet.health.facts import NodeFacts
from trivet.node.repair import Question, Repair
from trivet.node.symptom import Symptom, View, hung, stopped
from trivet.services.gateway.collect import age
from trivet.services.gateway.facts import KEEPALIVED_SILENCE_SECONDS, GatewayFacts
from trivet.services.proxy.facts import ProxiesFacts

PROXY_HUNG_LOOKS = 2
"""One loop of HAProxy serves its admin socket and its clients: while it is silent everybody who asks its gateway
address waits, and nobody else takes the address, since keepalived sees that the port listens."""


def symptoms(view: View) -> Iterator[Symptom]:
    """What keeps this node from answering its addresses."""
    facts = view.own.of(GatewayFacts)
    if facts.handover or facts.forwards or facts.releases:
        return  # An address is being handed over.
    yield from stopped(view, "gateway", ("haproxy", "keepalived", "trivet-agent"))
    silence, serves = view.own.of(ProxiesFacts).error, lambda facts: facts.of(ProxiesFacts).error is None
    yield from hung(view, "gateway", ("haproxy",), silence, serves, PROXY_HUNG_LOOKS)
    if view.config.gateways:
        yield from hung(view, "gateway", ("keepalived",), facts.keepalived_error, _takes_addresses)


def _takes_addresses(facts: NodeFacts) -> bool:
    return facts.of(GatewayFacts).keepalived == "active" and facts.of(GatewayFacts).keepalived_error is None


def _pulse(config: NodeConfig, _deadline: Deadline) -> Mapping[str, Question]:
    if not config.gateways:
        return {}
    return {"pulse of keepalived": lambda: silent_file("keepalived", KEEPALIVED_ALIVE, KEEPALIVED_SILENCE_SECONDS)}


def silent_file(name: str, path: Path, seconds: float) -> tuple[str, ...]:
    """The name, when nobody has touched the file for so long; one that never was there says nothing."""
    silence = age(path)
    return (name,) if silence is not None and silence > seconds else ()


REPAIR = Repair(symptoms=symptoms, pulse=_pulse)
