# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether, when and how often the agent does something about what it sees. Pure.

A symptom must be there for several looks in a row, so that what mends itself is left to do so. A remedy is tried a few
times with growing pauses and then no more: a repair that does not help is a fault of its own. What concerns the whole
cluster is the work of one node, which every node computes alike; since two nodes may for a moment hear different
members, such work is done under the lease of a majority as well (:mod:`trivet.agent.lease`).
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from trivet.agent.drain import SERVICES as DRAINED_SERVICES
from trivet.agent.symptoms import symptoms
from trivet.health.decode import decode
from trivet.health.facts import LeaseMode, NodeFacts
from trivet.node.symptom import Symptom, View
from trivet.services.registry import SERVICES, present

AGENT_OWNER = "agent@"
"""How the owner of a lease begins that an agent took for a repair."""


@dataclass(frozen=True)
class Policy:
    """How patient the agent is; times in seconds."""

    attempts: int = 5
    first_pause: float = 30.0
    growth: float = 2.0
    """Each pause is so many times the one before: 30, 60, 120, 240 s."""
    earn_back: float = 120.0
    """A symptom that stays away for so long gives an attempt back: the repair held. All five are there again after ten
    minutes, which is also how long Kubernetes lets a container run until it resets its back-off."""
    services: frozenset[str] = frozenset(SERVICES)
    """Whose symptoms are looked at."""
    lease_owner: str = AGENT_OWNER
    """How the owner of a lease begins that does not hold this one back."""
    boot: float = 30.0
    """A machine that has just started is given this time to start its services."""

    def earned(self, calm: float) -> int:
        """How many attempts so many seconds without the symptom give back."""
        return int(calm // self.earn_back)

    def pause_after(self, attempts: int) -> float:
        """Seconds between an attempt, counted from 1, and the next one."""
        return self.first_pause * self.growth ** (attempts - 1)


@dataclass(frozen=True)
class Incident:
    """What is remembered of a symptom between looks. Moments are those of the monotonic clock."""

    symptom: Symptom
    since: float
    looks: int = 0
    told: bool = False
    attempts: int = 0
    last_attempt: float | None = None
    last_kind: str | None = None
    gave_up: bool = False
    gone_since: float | None = None
    """Since when it is not seen any more; its attempts are remembered for a while."""


Memory = Mapping[str, Incident]


@dataclass(frozen=True)
class Action:
    """Something to do now."""

    symptom: Symptom
    attempt: int

    @property
    def needs_lease(self) -> bool:
        """Whether a majority of the nodes must agree that this node acts."""
        return self.symptom.alone or (self.symptom.cluster_wide and not self.symptom.each_its_part)


class News(enum.StrEnum):
    """What there is to tell of an incident."""

    NOTICED = "noticed"
    GAVE_UP = "gave up"
    RESOLVED = "resolved"


@dataclass(frozen=True)
class Notice:
    """News of an incident, each told once."""

    news: News
    symptom: Symptom
    since: float
    attempts: int
    alert: bool
    """Whether this node is the one that tells people."""


@dataclass(frozen=True)
class Decision:
    """What a look leads to."""

    memory: Memory
    actions: tuple[Action, ...] = ()
    notices: tuple[Notice, ...] = ()
    held_back: str | None = None
    """Why nothing at all is done now."""
    cluster_held_back: str | None = None
    """Why nothing is done for the whole cluster."""


@dataclass
class _Draft:
    """A decision being made."""

    view: View
    now: float
    policy: Policy
    cluster_held_back: str | None
    memory: dict[str, Incident] = field(default_factory=dict)
    actions: list[Action] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)


def decide(view: View, memory: Memory, now: float, policy: Policy) -> Decision:
    """What to do after a look.

    Args:
        now: seconds of the monotonic clock.
    """
    if why := held_back(view, policy):
        # What is seen while somebody works says nothing about the time after.
        waiting = {key: replace(incident, looks=0) for key, incident in memory.items()}
        return Decision(waiting, held_back=why)
    draft = _Draft(view, now, policy, cluster_held_back(view))
    looked_at = (symptom for symptom in symptoms(view) if symptom.service in policy.services)
    found = {symptom.key: symptom for symptom in looked_at if not withheld(view, symptom)}
    for symptom in found.values():
        _treat(draft, _seen_again(memory.get(symptom.key), symptom, draft))
    for key, incident in memory.items():
        if key not in found:
            _part_with(draft, incident)
    return Decision(draft.memory, tuple(draft.actions), tuple(draft.notices), None, draft.cluster_held_back)


def _seen_again(known: Incident | None, symptom: Symptom, draft: _Draft) -> Incident:
    if known is not None and known.gone_since is not None:
        left = known.attempts - draft.policy.earned(draft.now - known.gone_since)
        gave_up = known.gave_up and left >= draft.policy.attempts
        known = replace(known, since=draft.now, looks=0, told=False, gone_since=None, attempts=left, gave_up=gave_up)
        if left <= 0:
            known = None
    if known is None:
        return Incident(symptom, since=draft.now, looks=1)
    return replace(known, symptom=symptom, looks=known.looks + 1)


def _treat(draft: _Draft, incident: Incident) -> None:
    """Note an incident that is there, and what is to be done and told about it."""
    symptom = incident.symptom
    if incident.looks >= symptom.looks:
        if not incident.told and (not symptom.waits or owner(draft.view) == draft.view.config.name):
            incident = replace(incident, told=True)
            draft.notices.append(_notice(draft, News.NOTICED, incident))
        if symptom.remedy is not None and _our_turn(draft, symptom) and _due(incident, draft.now, draft.policy):
            incident = _attempt(draft, incident, symptom.remedy.kind)
    draft.memory[symptom.key] = incident


def _attempt(draft: _Draft, incident: Incident, kind: str) -> Incident:
    if incident.attempts >= draft.policy.attempts:
        if not incident.gave_up:
            incident = replace(incident, gave_up=True)
            draft.notices.append(_notice(draft, News.GAVE_UP, incident))
        return incident
    action = Action(incident.symptom, incident.attempts + 1)
    if incident.symptom.alone and any(other.symptom.alone for other in draft.actions):
        return incident  # One thing at a time is taken away.
    draft.actions.append(action)
    return replace(incident, attempts=action.attempt, last_attempt=draft.now, last_kind=kind)


def _due(incident: Incident, now: float, policy: Policy) -> bool:
    """Whether the pause after the last attempt is over; the next step of a repair needs none."""
    if incident.last_attempt is None or incident.symptom.remedy is None:
        return True
    if incident.symptom.remedy.kind != incident.last_kind and incident.attempts < policy.attempts:
        return True
    return now - incident.last_attempt >= policy.pause_after(incident.attempts)


def _our_turn(draft: _Draft, symptom: Symptom) -> bool:
    """Whether this node is the one to act, and may."""
    if not symptom.cluster_wide:
        return True
    if draft.cluster_held_back is not None:
        return False
    return symptom.each_its_part or owner(draft.view) == draft.view.config.name


def _part_with(draft: _Draft, incident: Incident) -> None:
    """Note that an incident is not there any more."""
    if incident.gone_since is None:
        if incident.told:
            draft.notices.append(_notice(draft, News.RESOLVED, incident))
        incident = replace(incident, gone_since=draft.now)
    if incident.attempts > draft.policy.earned(draft.now - (incident.gone_since or draft.now)):
        draft.memory[incident.symptom.key] = incident


def _notice(draft: _Draft, news: News, incident: Incident) -> Notice:
    symptom = incident.symptom
    alert = not symptom.cluster_wide or owner(draft.view) in (None, draft.view.config.name)
    return Notice(news, symptom, incident.since, incident.attempts, alert)


def owner(view: View) -> str | None:
    """The node that acts for the whole cluster: the lowest id of those that are heard and may repair.

    None without a majority of the members: then nobody does.
    """
    if len(view.heard) * 2 <= len(view.config.members):
        return None
    able = [member for member in view.config.members if (facts := view.heard.get(member.name)) and _able(facts)]
    return min(able, key=lambda member: member.node_id).name if able else None


def _able(facts: NodeFacts) -> bool:
    return facts.host.error is None and facts.host.pause is None


def held_back(view: View, policy: Policy) -> str | None:
    """Why this node repairs nothing at all: somebody works on it or on the cluster, or may do so."""
    host = view.own.host
    if host.error is not None:
        return f"the flags of this node are not known: {host.error}"
    if host.pause is not None:
        return f"paused by {host.pause.owner}"
    if lease := _foreign_lease(view, policy):
        return lease
    if host.package_lock:
        return "packages are being worked on"
    if host.uptime_seconds < policy.boot:
        return "the machine has just started"
    services = [service for service in present(view.config.terms) if service in DRAINED_SERVICES]
    drains = [drain for service in services if (drain := view.own.drained(service))]
    if len(drains) == len(services):
        return f"drained by {drains[0].owner}"
    return None


def _foreign_lease(view: View, policy: Policy) -> str | None:
    """The lease of a rotation or a converge, whichever node voted for it; beside a backup repairs go on."""
    for facts in (view.own, *view.peers.values()):
        vote = facts.host.vote
        if vote is not None and keeps_off(vote.owner, vote.mode, policy.lease_owner):
            return f"{vote.owner} holds the lease for: {vote.purpose}"
    return None


def keeps_off(owner: str, mode: object, own: str = AGENT_OWNER) -> bool:
    """Whether a vote keeps healers from their work.

    Args:
        mode: a :class:`LeaseMode`; a vote of an older agent has none, and keeps everybody off.
        own: how the owners begin that work together with this one.
    """
    return mode != LeaseMode.NO_CHANGE and not owner.startswith(own)


def cluster_held_back(view: View) -> str | None:
    """Why this node does nothing for the whole cluster: too few are heard, or somebody works on one of them."""
    if len(view.heard) * 2 <= len(view.config.members):
        return "a majority of the members is not heard"
    for name, facts in view.heard.items():
        if facts.host.error is not None:
            return f"the flags of {name} are not known: {facts.host.error}"
        if facts.host.pause is not None:
            return f"{name} is paused by {facts.host.pause.owner}"
        if facts.host.package_lock:
            return f"packages are being worked on on {name}"
    return None


def withheld(view: View, symptom: Symptom) -> bool:
    """Whether somebody keeps what a symptom is about out of service on purpose."""
    if symptom.subject in view.own.host.disabled_units:
        return True
    concerned = view.heard.values() if symptom.cluster_wide else (view.own,)
    return any(facts.drained(symptom.service) is not None for facts in concerned)


# ---------------------------------------------------------------- between two lives of the agent


def memory_to_dict(memory: Memory) -> dict[str, Any]:
    """The memory as JSON-able plain data."""
    return {key: asdict(incident) for key, incident in memory.items()}


def memory_from_dict(data: Mapping[str, Any]) -> Memory:
    """Read what :func:`memory_to_dict` gave.

    Raises:
        TypeError, ValueError: ``data`` is no memory.
    """
    return dict(_incidents(data))


def _incidents(data: Mapping[str, Any]) -> Iterator[tuple[str, Incident]]:
    for key, item in data.items():
        incident = decode(Incident, {**item, "last_kind": None, "symptom": {**item["symptom"], "remedy": None}})
        kind = item.get("last_kind")
        yield key, replace(incident, last_kind=str(kind) if kind else None)
