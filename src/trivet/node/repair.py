# SPDX-License-Identifier: GPL-3.0-or-later
"""What a service's folder says of its repair."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trivet.health.config import NodeConfig
from trivet.health.external import Deadline
from trivet.node.symptom import Remedy, Symptom, View

Act = Callable[[Sequence[str], NodeConfig, Mapping[str, Any]], str]
"""Does something, given the remedy's arguments, the node and the content of ``node.json``; says in a few words what it
did, or raises ``AgentError``."""


Question = Callable[[], tuple[str, ...]]
"""Says what is not as it should be."""


@dataclass(frozen=True)
class Up:
    """What this node's HAProxy finds up, drained or not: the servers of each backend that it has."""

    servers: Mapping[str, frozenset[str]]

    def has(self, backend: str, node: str) -> bool:
        """Whether a node's server is up in a backend."""
        return node in self.servers.get(backend, frozenset())

    def misses(self, node: str, *backends: str) -> tuple[str, ...]:
        """Those backends, of the ones that are there, in which a node's server is not up."""
        return tuple(backend for backend in backends if backend in self.servers and not self.has(backend, node))


def _asks_nothing(_config: NodeConfig, _deadline: Deadline) -> Mapping[str, Question]:
    return {}


def _misses_nothing(_config: NodeConfig, _up: Up) -> tuple[str, ...]:
    return ()


def _waits_for_nobody(_view: View, _unit: str) -> bool:
    return False


def _nothing_helps(_view: View, _unit: str) -> Remedy | None:
    return None


def _no_advice(_view: View, _unit: str) -> str:
    return ""


@dataclass(frozen=True, kw_only=True)
class Repair:
    """What can be wrong with a service on a node, and what can be done about it."""

    symptoms: Callable[[View], Iterator[Symptom]]
    """Everything that is wrong, the first to be mended first. Pure."""
    acts: Mapping[str, Act] = field(default_factory=dict)
    """What it can do beside starting a unit and killing one, by the names that its remedies have."""
    pulse: Callable[[NodeConfig, Deadline], Mapping[str, Question]] = _asks_nothing
    """Cheap questions whether anything is worth a thorough look, by names that nobody else gives a question of this
    process. They start no program."""
    unserved: Callable[[NodeConfig, Up], tuple[str, ...]] = _misses_nothing
    """What HAProxy does not find on this node and should."""
    waits_for_others: Callable[[View, str], bool] = _waits_for_nobody
    """Whether a unit tries again and again until enough other nodes are there, and they are not."""
    after_falls: Callable[[View, str], Remedy | None] = _nothing_helps
    """What helps a unit that falls over and over."""
    advice_after_falls: Callable[[View, str], str] = _no_advice
    """What a human can do beside reading its journal; follows the command that shows it."""
    written_at_start: tuple[Path, ...] = ()
    """Files by which a start of a unit is seen whose control group outlives it."""
