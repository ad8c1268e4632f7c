# SPDX-License-Identifier: GPL-3.0-or-later
"""The row that a scenario leaves: what customers saw, what was noticed when, and whether a human was needed. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Any, Self

from trivet.chaos.scenario import Goal, Scenario
from trivet.chaos.timeline import Detected, Recovered
from trivet.probe import FailureKind, ProbeReport

ORDER_FAILURES = frozenset({FailureKind.ORDER_LOST, FailureKind.ORDER_DUPLICATE})
"""Found when the load had ended: the request itself had been answered well."""


@dataclass(frozen=True, slots=True)
class Customers:
    """What the probe saw, over its whole run; seconds.

    :param longest_gap: longest time without an answer on any address.
    :param other_gap: the longest on an address whose home was not struck.
    :param home_gap: the longest on the address whose home was struck; None when not exactly one node was.
    :param order_gap: the longest between two orders that were due one after the other and accepted.
    :param orders_again: from the undoing until an order was due that was accepted.
    :param orders_acknowledged: None when the probe's contract has no orders: no goal about them is judged then.
    :param orders_lost: acknowledged and then missing on some node; None when not every node could be asked.
    """

    requests: int
    failed_before: int
    failed_reads: int
    failed_writes: int
    failures_by_kind: dict[str, int]
    longest_gap: float
    other_gap: float | None
    home_gap: float | None
    order_gap: float | None
    orders_again: float | None
    orders_acknowledged: int | None
    orders_lost: int | None
    orders_double: int | None

    @property
    def failed(self) -> int:
        """Requests that were not answered as they must be."""
        return self.failed_reads + self.failed_writes


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one scenario.

    :param at: when it began, in UTC.
    :param skipped: why it was not run.
    :param detected_after: seconds from the injection until the first detector said so; None when none did.
    :param recovered_after: seconds until the verdict was healthy, from the injection when it was so ``alone``,
        otherwise from the undoing; None when it was not in time.
    :param human_needed: the suite had to do more than to undo its own injection.
    :param said: what the verdict said when the time was over, with the commands that it names.
    :param left: not even then it became healthy.
    :param missed: what was not as the goal wants it.
    """

    scenario: str
    group: str
    sentence: str
    goal: str
    at: str
    struck: tuple[str, ...] = ()
    skipped: str | None = None
    detected_after: float | None = None
    detected_by: str | None = None
    recovered_after: float | None = None
    alone: bool = False
    customers: Customers | None = None
    human_needed: bool = False
    human_expected: bool = False
    said: tuple[str, ...] = ()
    left: bool = False
    missed: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Everything was as the goal wants it, or the lab cannot have the scenario."""
        return not self.missed

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values; ``ok`` is added for readers without this class."""
        return {"ok": self.ok, **asdict(self)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`.

        :raises TypeError: it is another thing.
        """
        values = {field.name: data[field.name] for field in fields(cls) if field.name in data}
        for name in ("struck", "said", "missed"):
            values[name] = tuple(values.get(name, ()))
        if values.get("customers") is not None:
            values["customers"] = Customers(**values["customers"])
        return cls(**values)


def skipped_row(scenario: Scenario, at: str, reason: str) -> Row:
    """The row of a scenario that the lab cannot have."""
    return Row(scenario.name, scenario.group, scenario.sentence, str(scenario.goal), at, skipped=reason)


def unbroken_row(scenario: Scenario, at: str, reason: str) -> Row:
    """The row of a scenario that broke nothing: its goal is missed, whatever customers saw."""
    return Row(scenario.name, scenario.group, scenario.sentence, str(scenario.goal), at, missed=(reason,))


def row_of(
    scenario: Scenario,
    at: str,
    struck: Sequence[str],
    customers: Customers,
    detected: Detected | None,
    recovered: Recovered | None,
    said: Sequence[str] = (),
    *,
    left: bool = False,
) -> Row:
    """The row of a scenario that was run."""
    human = recovered is None
    return Row(
        scenario.name,
        scenario.group,
        scenario.sentence,
        str(scenario.goal),
        at,
        struck=tuple(struck),
        detected_after=_tenths(detected.seconds if detected else None),
        detected_by=detected.by if detected else None,
        recovered_after=_tenths(recovered.seconds if recovered else None),
        alone=recovered is not None and recovered.alone,
        customers=customers,
        human_needed=human,
        human_expected=scenario.human,
        said=tuple(said),
        left=left,
        missed=(*missed(scenario.goal, customers), *_unexpected(scenario, human, said)),
    )


def customers_of(
    report: ProbeReport, homes: Mapping[str, str], struck: Sequence[str], orders: Sequence[float]
) -> Customers:
    """What the probe's report says of customers.

    :param homes: the node at which each URL of the probe is at home.
    :param orders: when the acknowledged orders were due, in seconds from the probe's start.
    """
    marks = {mark.phase: mark.at for mark in report.marks}
    others = [gap.seconds for url, gap in report.gateway_gaps.items() if homes[url] not in struck]
    own = [gap.seconds for url, gap in report.gateway_gaps.items() if homes[url] in struck]
    writes, reads = 0, 0
    kinds: dict[str, int] = {}
    for request, figures in report.kinds.items():
        failed = {kind: count for kind, count in figures.failures_by_kind.items() if kind not in ORDER_FAILURES}
        writes += sum(failed.values()) if request in report.contract.writes else 0
        reads += 0 if request in report.contract.writes else sum(failed.values())
        kinds = {kind: kinds.get(kind, 0) + failed.get(kind, 0) for kind in {**kinds, **failed}}
    found = report.orders
    return Customers(
        requests=report.total.requests,
        failed_before=report.phases["before"].failures,
        failed_reads=reads,
        failed_writes=writes,
        failures_by_kind=kinds,
        longest_gap=report.longest_gap.seconds,
        other_gap=max(others, default=None),
        home_gap=own[0] if len(own) == 1 else None,
        order_gap=_longest_between(orders) if found else None,
        orders_again=_after(orders, marks.get("undone")) if found else None,
        orders_acknowledged=found.acknowledged if found else None,
        orders_lost=found.missing if found and found.verified else None,
        orders_double=found.duplicates if found and found.verified else None,
    )


def missed(goal: Goal, customers: Customers) -> tuple[str, ...]:
    """What customers saw that the goal does not allow."""
    problems = []
    ordered = customers.orders_acknowledged is not None
    if ordered and customers.orders_lost is None:
        problems.append("the orders could not be looked up on every node")
    elif customers.orders_lost:
        problems.append(f"{customers.orders_lost} acknowledged orders lost")
    if customers.orders_double:
        problems.append(f"{customers.orders_double} orders made twice")
    if goal.failed is not None and customers.failed > goal.failed:
        problems.append(f"{customers.failed} failed requests instead of {goal.failed}")
    for name, limit, seconds in (
        ("longest gap", goal.gap, customers.longest_gap),
        ("longest gap on the other addresses", goal.other_gap, customers.other_gap),
        ("longest gap on its own address", goal.home_gap, customers.home_gap),
        ("longest time without an order", goal.order_gap if ordered else None, customers.order_gap),
        ("orders accepted again after", goal.orders_again if ordered else None, customers.orders_again),
    ):
        if limit is not None and (seconds is None or seconds > limit):
            problems.append(f"{name} {'never' if seconds is None else f'{seconds:.1f} s'} instead of {limit:g} s")
    return tuple(problems)


def _unexpected(scenario: Scenario, human: bool, said: Sequence[str]) -> tuple[str, ...]:
    if human and not scenario.human:
        return (f"not healthy within {scenario.limit:g} s",)
    if human and not any("next: " in words for words in said):
        return ("the verdict names no command for the human",)
    return ()


def _longest_between(moments: Sequence[float]) -> float:
    ordered = sorted(moments)
    return round(max((later - sooner for sooner, later in pairwise(ordered)), default=0.0), 3)


def _after(moments: Sequence[float], since: float | None) -> float | None:
    if since is None:
        return None
    first = min((moment for moment in moments if moment >= since), default=None)
    return None if first is None else round(first - since, 3)


def _tenths(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
