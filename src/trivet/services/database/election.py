# SPDX-License-Identifier: GPL-3.0-or-later
"""Which member of a Galera cluster may form its primary component, from the reports of all members. Pure.

A member that bootstraps makes its own data the cluster's: whatever another member had beyond it is lost. So nobody does
unless every member was heard, and all of them tell one history. Everyone who has the reports computes the same answer.

Sources of the rules: Galera documentation, "Recovering the primary component" (the member with the highest seqno of
one UUID is bootstrapped) and "Safe-to-bootstrap protection" (``safe_to_bootstrap`` is 1 on the last member that left,
and on no other).
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from trivet.health.config import Member
from trivet.health.decode import decode

OLDEST_SECONDS = 30.0
"""A report older than this is no report: its member may have been started since."""
DOWN = ("inactive", "failed", "masked")
"""States of a systemd unit whose server does not run, and is not started again by systemd."""
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NO_UUID = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, kw_only=True)
class MemberReport:
    """What one member says of itself, read on its own node."""

    node: str
    age_seconds: float = 0.0
    """How long ago this was read; ages, since the clocks of the members may differ."""
    unit: str = "unknown"
    """State of ``mariadb.service``."""
    process: bool = False
    """A server process lives, under the unit or not."""
    answers: bool = False
    """The server takes questions."""
    component: str = ""
    """``wsrep_cluster_status``: Primary, non-Primary, Disconnected; empty when the server does not say."""
    synced: bool = False
    """In the primary component, in step with it and ready; also while it is a donor."""
    standalone: bool = False
    """A server answers that was started without Galera."""
    transfer: str | None = None
    """The state transfer under way, None when there is none."""
    uuid: str = ""
    """The history that the data belongs to; empty when it is not known."""
    seqno: int = -1
    """The last transaction of that history in the data; -1 when it is not known."""
    source: str = ""
    """Where the position is from: ``saved`` by a clean stop, ``recovered`` from InnoDB after a crash, or empty."""
    safe_to_bootstrap: bool = False
    view_saved: bool = False
    """A view of the last primary component is on the disk: the member did not leave it (``pc.recovery``)."""
    databases: tuple[str, ...] = ()
    """Databases beside the system's own."""
    unreadable: str | None = None
    """Why the position could not be read."""

    @property
    def primary(self) -> bool:
        """Whether the member is in a primary component; it may still be joining."""
        return self.component == "Primary"

    @property
    def down(self) -> bool:
        """Whether no server runs and none is about to: only then does a position stay what it is."""
        return self.unit in DOWN and not self.process and not self.answers

    @property
    def position(self) -> str | None:
        """``UUID:SEQNO`` as Galera writes it; None when it is not known."""
        return f"{self.uuid}:{self.seqno}" if known(self.uuid) and self.seqno >= 0 else None

    @property
    def has_data(self) -> bool:
        """Whether there is anything to lose."""
        return bool(known(self.uuid) or self.view_saved or self.databases)

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON-able plain data."""
        return {**asdict(self), "primary": self.primary, "down": self.down, "position": self.position}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> MemberReport:
        """Read what :meth:`to_dict` gave.

        Raises:
            TypeError, ValueError: ``data`` is no report.
        """
        report = decode(cls, dict(data))
        assert isinstance(report, cls)
        return report


def known(uuid: str) -> bool:
    """Whether a text is the UUID of a history; the one of zeros stands for none."""
    return uuid != _NO_UUID and _UUID.fullmatch(uuid) is not None


class Outcome(enum.StrEnum):
    """What the reports of all members allow."""

    JOIN = "join"
    """A primary component is there: everybody joins it, nobody bootstraps."""
    ELECTED = "elected"
    """One member may bootstrap, and only that one."""
    UNSETTLED = "unsettled"
    """A server runs outside of a primary component, or a position waits to be recovered: not yet."""
    REFUSED = "refused"
    """The evidence is incomplete or contradicts itself: a human decides."""


@dataclass(frozen=True)
class Election:
    """The answer, with the evidence that it rests on."""

    outcome: Outcome
    reason: str
    winner: str | None = None
    position: str | None = None
    """Of the winner: what it must still have when it acts."""
    evidence: str = ""
    """A table with one line per member."""
    next_command: str | None = None
    """What a human runs next; None when there is nothing to decide."""

    def acts(self, node: str) -> bool:
        """Whether a node may bootstrap its own member."""
        return self.outcome is Outcome.ELECTED and self.winner == node


def elect(members: Sequence[Member], reports: Mapping[str, MemberReport]) -> Election:
    """Choose the member that may bootstrap, or say why nobody may.

    Args:
        members: all that belong to the cluster.
        reports: by name of the member that was asked; who did not answer is not there.
    """
    table = evidence(members, reports)
    heard = {member.name: reports[member.name] for member in members if member.name in reports}
    if primaries := sorted(name for name, report in heard.items() if report.primary):
        return Election(Outcome.JOIN, f"{_listed(primaries)} is in a primary component", evidence=table)
    if why := _incomplete(members, heard):
        return Election(Outcome.REFUSED, why, evidence=table, next_command=_by_hand(members, heard))
    if why := _unsettled(heard):
        return Election(Outcome.UNSETTLED, why, evidence=table)
    if why := _contradiction(heard):
        return Election(Outcome.REFUSED, why, evidence=table, next_command=_by_hand(members, heard))
    winner = _furthest(members, heard)
    position = heard[winner].position
    others = "no other member is further" if len(heard) > 1 else "it is the only member"
    return Election(Outcome.ELECTED, f"{winner} is at {position}, and {others}", winner, position, table)


def _incomplete(members: Sequence[Member], heard: Mapping[str, MemberReport]) -> str | None:
    if not members:
        return "the cluster has no members"
    if missing := sorted(member.name for member in members if member.name not in heard):
        return f"no report of {_listed(missing)}: it may have the newest data"
    if strange := sorted(name for name, report in heard.items() if report.node != name):
        return f"{_listed(strange)} answers as {_listed(heard[name].node for name in strange)}"
    if old := sorted(name for name, report in heard.items() if not 0 <= report.age_seconds <= OLDEST_SECONDS):
        return f"the report of {_listed(old)} is older than {OLDEST_SECONDS:.0f} s"
    return None


def _unsettled(heard: Mapping[str, MemberReport]) -> str | None:
    """Why positions may still change, or are still to be read."""
    for name, report in heard.items():
        if report.transfer is not None:
            return f"a state transfer runs on {name} ({report.transfer})"
    if running := sorted(name for name, report in heard.items() if not report.down):
        return f"MariaDB runs on {_listed(running)} in no primary component: its position is not settled"
    if unread := sorted(
        name for name, report in heard.items() if report.unreadable is None and report.position is None
    ):
        return f"the position of {_listed(unread)} is not recovered yet"
    return None


def _contradiction(heard: Mapping[str, MemberReport]) -> str | None:
    """Why positions that will not change do not tell one history."""
    unreadable = {name: report for name, report in heard.items() if report.position is None or report.unreadable}
    if unreadable:
        told = "; ".join(f"{name}: {report.unreadable}" for name, report in sorted(unreadable.items()))
        return f"a position cannot be read ({told})"
    if len({report.uuid for report in heard.values()}) > 1:
        return "the members' data has more than one history (their UUIDs differ)"
    last = sorted(name for name, report in heard.items() if report.safe_to_bootstrap)
    if len(last) > 1:
        return f"{_listed(last)} each say that they left last: there may have been two clusters"
    if last and any(report.seqno > heard[last[0]].seqno for report in heard.values()):
        return f"{last[0]} says that it left last, and another member is further"
    return None


def _furthest(members: Iterable[Member], heard: Mapping[str, MemberReport]) -> str:
    """The member with the highest seqno; of several the one with the lowest id."""
    known_members = [member for member in members if member.name in heard]
    return max(known_members, key=lambda member: (heard[member.name].seqno, -member.node_id)).name


def _by_hand(members: Sequence[Member], heard: Mapping[str, MemberReport]) -> str | None:
    """The command with which a human who has weighed the evidence bootstraps the furthest member that is known."""
    readable = {name: report for name, report in heard.items() if report.position is not None}
    if not readable:
        return None
    name = _furthest(members, readable)
    address = next(member.address for member in members if member.name == name)
    return f"ssh {address} trivet-agent galera bootstrap --position {readable[name].position}"


def recovers_itself(members: Sequence[Member], reports: Mapping[str, MemberReport]) -> bool:
    """Whether the primary component may come back without anybody's help, by ``pc.recovery``.

    It does once all members of the last view are there; who left cleanly has no view any more.
    """
    return all(member.name in reports and reports[member.name].view_saved for member in members)


def formation(members: Sequence[Member], reports: Mapping[str, MemberReport]) -> str | None:
    """How a converge may start the cluster: ``join``, ``bootstrap`` a new one, or ``recover`` by itself.

    None when there is data and no primary component: then only an election may form one. A single member is its own
    majority: it has nobody to disagree with.
    """
    if any(report.primary for report in reports.values()):
        return "join"
    if any(member.name not in reports for member in members):
        return None
    if not any(report.has_data for report in reports.values()):
        return "bootstrap"
    return "recover" if len(members) == 1 or recovers_itself(members, reports) else None


def evidence(members: Sequence[Member], reports: Mapping[str, MemberReport]) -> str:
    """A table for a human: what every member says."""
    rows: list[tuple[str, ...]] = [
        ("node", "unit", "component", "uuid", "seqno", "position", "left last", "view saved", "problem")
    ]
    for member in sorted(members, key=lambda item: item.node_id):
        report = reports.get(member.name)
        if report is None:
            rows.append((member.name, "-", "-", "-", "-", "-", "-", "-", "no report"))
            continue
        problem = report.unreadable or report.transfer or ("" if report.down or report.primary else "runs")
        words = (report.unit, report.component, report.uuid, str(report.seqno), report.source)
        marks = tuple("yes" if mark else "no" for mark in (report.safe_to_bootstrap, report.view_saved))
        rows.append((member.name, *(word or "-" for word in words), *marks, problem or "-"))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
