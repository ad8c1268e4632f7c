# SPDX-License-Identifier: GPL-3.0-or-later
"""Clean: the flags that a run or an operator left on the nodes, shown, and removed under the environment's lease."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from trivet.agent.journal import OPEN_STATES, is_change
from trivet.errors import InputError, LeaseHeld, RemoteError
from trivet.model import Environment, Node
from trivet.remote import Nodes, RemoteResult
from trivet.run.recorded import recorded

LIST_SECONDS = 120.0
"""A search cluster without a majority takes its time to say so."""
CLEAR_SECONDS = 300.0
USAGE_EXIT_CODE = 2
"""Of an agent that does not know a command."""


@dataclass(frozen=True, slots=True)
class LeftFlag:
    """A flag on a node, or (``node`` None) on the cluster. Moments are epoch seconds, None where it does not say.

    :param ending: all is done that can be without cutting anybody off; it ends at ``expires``.
    :param leased: whether its owner holds the lease now.
    """

    node: str | None
    kind: str
    subject: str
    owner: str
    what: str
    since: float | None
    expires: float | None
    expired: bool
    ending: bool
    leased: bool = False

    @property
    def key(self) -> tuple[str | None, str, str, str]:
        """What makes two looks see the same flag."""
        return self.node, self.kind, self.subject, self.owner


@dataclass(frozen=True, slots=True)
class Selection:
    """Which flags are meant.

    :param owner: those of one owner; of every owner when None.
    :param expired: only those whose time is over.
    """

    owner: str | None = None
    expired: bool = False

    def has(self, flag: LeftFlag) -> bool:
        """Whether a flag is meant."""
        return self.owner in (None, flag.owner) and (flag.expired or not self.expired)


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What is set on an environment.

    :param silent: nodes (or a kind of flag there) that nothing could be found out about, with the reason.
    :param lease: the vote of a live lease: owner, purpose, since_text, expires; None when there is none.
    :param interrupted: journals of changes that have not ended: id, owner, state.
    """

    environment: str
    selection: Selection
    flags: tuple[LeftFlag, ...]
    silent: dict[str, str]
    lease: dict[str, Any] | None
    interrupted: tuple[dict[str, Any], ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What was removed, and what is still there, by a second look at every node.

    :param ending: flags undone as far as it can be without cutting anybody off; they end by themselves.
    :param problems: what a node could not do, or could not be asked.
    """

    removed: tuple[LeftFlag, ...]
    ending: tuple[LeftFlag, ...]
    left: tuple[LeftFlag, ...]
    problems: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return asdict(self)


def left_behind(environment: Environment, selection: Selection) -> Leftovers:
    """Ask every node which flags are set. A silent node is part of the answer, never an error."""
    with Nodes(environment) as nodes:
        return _look(nodes, selection)


def clean(environment: Environment, shown: Leftovers, *, force: bool = False) -> Cleaned:
    """Remove what was shown, under the lease, and look again.

    Only the owners that were shown are asked for: what somebody else sets meanwhile stays.

    :param force: also while a change is interrupted, which may need its flags to go on.
    :raises LeaseHeld: a run holds the lease; nothing was removed.
    :raises InputError: a change is interrupted, and ``force`` was not given; nothing was removed.
    """
    with Nodes(environment) as nodes:
        before = _look(nodes, shown.selection)
        refuse(environment, before, force=force)
        known = {flag.key for flag in shown.flags}
        wanted = [flag for flag in before.flags if flag.key in known]
        with recorded(nodes, "clean", "clean") as run:
            problems = _remove(nodes, wanted, expired=shown.selection.expired)
            run.result = {"flags": [f"{flag.node or 'cluster'}: {flag.kind} {flag.subject}" for flag in wanted]}
            run.failure = "; ".join(problems)
        after = _look(nodes, shown.selection)
    problems += [f"{name}: {why}" for name, why in after.silent.items()]
    there = {flag.key: flag for flag in after.flags}
    # What a node that fell silent has is not known to be gone.
    removed = (flag for flag in wanted if flag.key not in there and flag.node not in after.silent)
    return Cleaned(
        removed=tuple(removed),
        ending=tuple(flag for flag in after.flags if flag.ending),
        left=tuple(flag for flag in after.flags if not flag.ending),
        problems=tuple(problems),
    )


def refuse(environment: Environment, left: Leftovers, *, force: bool) -> None:
    """See that nobody needs the flags.

    :raises LeaseHeld: a run holds the lease.
    :raises InputError: a change that may own them is interrupted, and ``force`` was not given.
    """
    if not left.flags:
        return
    if left.lease:
        holder = f"{left.lease['owner']} holds the lease since {left.lease['since_text']} for: {left.lease['purpose']}"
        own = sum(flag.leased for flag in left.flags)
        whose = (
            f"{own} of the flags are its own" if own else "its flags are none of these, but two must not act at once"
        )
        raise LeaseHeld(
            f"{environment.label}: {holder}; {whose}; nothing was removed",
            f"trivet rotation status {environment.label}",
        )
    needing = [journal for journal in left.interrupted if left.selection.owner in (None, journal["owner"])]
    if needing and not force:
        words = ", ".join(f"{item['id']} of {item['owner']} ({item['state']})" for item in needing)
        raise InputError(
            f"{environment.label}: a change is interrupted, and needs its flags to go on or to be taken back: "
            f"{words}; nothing was removed; resume, abort or roll it back (a scale-out or scale-in: the same command "
            "again), or, if it is given up for good, add --force",
            f"trivet rotation status {environment.label}",
        )


def _remove(nodes: Nodes, flags: Iterable[LeftFlag], *, expired: bool) -> list[str]:
    """Have each node undo the flags of the owners that it was shown with; what went wrong.

    A flag of the cluster is the same on all nodes: the first one that can removes it.
    """
    problems = []
    orders = dict.fromkeys((flag.node, flag.kind, flag.owner) for flag in flags)
    for name, kind, owner in orders:
        words = ["flags", "clear", "--kind", kind, "--owner", owner, *(["--expired"] if expired else [])]
        members = [node for node in nodes.environment.nodes if name in (None, node.name)]
        failures = _first_success(nodes, members, words)
        if len(failures) == len(members):
            problems += failures
    return problems


def _first_success(nodes: Nodes, members: Iterable[Node], words: list[str]) -> list[str]:
    """Run a command of the agent on one node after the other until one does it; the failures until then."""
    failures = []
    for node in members:
        try:
            nodes.agent(node, *words, timeout=CLEAR_SECONDS)
            break
        except RemoteError as error:
            failures.append(error.message)
    return failures


def _look(nodes: Nodes, selection: Selection) -> Leftovers:
    environment = nodes.environment
    silent: dict[str, str] = {}
    flags: dict[tuple[str | None, str, str, str], LeftFlag] = {}
    votes: list[dict[str, Any]] = []
    for result in nodes.run_on(environment.nodes, ["trivet-agent", "flags", "list"], LIST_SECONDS):
        answer, problem = _answer(result, environment)
        if answer is None:
            silent[result.node] = problem
            continue
        for kind, why in answer["unknown"].items():
            silent[f"{result.node} ({kind})"] = why
        votes += [answer["lease"]] if answer["lease"] else []
        for item in answer["flags"]:
            flag = _flag(result.node, item)
            flags.setdefault(flag.key, flag)
    owners = {vote["owner"] for vote in votes}
    found = (replace(flag, leased=flag.owner in owners) for flag in flags.values())
    return Leftovers(
        environment=environment.label,
        selection=selection,
        flags=tuple(flag for flag in found if selection.has(flag)),
        silent=silent,
        lease=votes[0] if votes else None,
        interrupted=_interrupted(nodes, silent),
    )


def _answer(result: RemoteResult, environment: Environment) -> tuple[dict[str, Any] | None, str]:
    """What an agent answered, or why it did not."""
    if not result.reached:
        return None, f"not reached: {result.error}"
    if result.code == USAGE_EXIT_CODE:
        return None, f"its agent is older than this command: trivet converge {environment.label}"
    try:
        answer = json.loads(result.output)
    except ValueError:
        answer = None
    if result.code != 0 or not isinstance(answer, dict):
        words = answer.get("error") if isinstance(answer, dict) else result.error or result.output.strip()
        return None, f"its agent failed: {words or f'exit code {result.code}'}"
    return answer, ""


def _flag(node: str, item: dict[str, Any]) -> LeftFlag:
    return LeftFlag(
        node=None if item["scope"] == "cluster" else node,
        kind=item["kind"],
        subject=item["subject"],
        owner=item["owner"],
        what=item["what"],
        since=item["since"],
        expires=item["expires"],
        expired=item["expired"],
        ending=item["ending"],
    )


def _interrupted(nodes: Nodes, silent: dict[str, str]) -> tuple[dict[str, Any], ...]:
    """The journals of changes that have not ended, each once; an agent without journals has none."""
    journals: dict[str, dict[str, Any]] = {}
    reached = [node for node in nodes.environment.nodes if node.name not in silent]
    for result in nodes.run_on(reached, ["trivet-agent", "journal", "list"]):
        if result.code == USAGE_EXIT_CODE:
            continue
        answer, problem = _answer(result, nodes.environment)
        if answer is None:
            silent[f"{result.node} (journal)"] = problem
            continue
        journals |= {
            item["id"]: item
            for item in answer["journals"]
            if item["state"] in OPEN_STATES and is_change(item["change"])
        }
    return tuple(journals.values())
