# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong on this node that the agent could repair, from the facts of one look. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from trivet.health.flaps import flapping, journal_of
from trivet.node.repair import Repair
from trivet.node.symptom import Symptom, View
from trivet.services.parts import parts
from trivet.services.registry import service_of_unit

ORDER = ("gateway", "database", "redis", "search", "rabbitmq", "files", "web")
"""The order of a repair, after the machine's own: what others rest on comes first."""
OVERLOADED = 3
"""From so many services on that do not answer at once, it is the node that is slow, and a restart makes it slower."""

REPAIRS = parts("repair", Repair)
NOTHING_KNOWN = Repair(symptoms=lambda _view: iter(()))
"""Of a service that has nothing to say of its repair."""


def symptoms(view: View) -> list[Symptom]:
    """Everything that is wrong here, in the order of a repair: what others rest on comes first."""
    found = [*REPAIRS["host"].symptoms(view), *_flapping(view)]
    found += [symptom for service in ORDER for symptom in REPAIRS[service].symptoms(view)]
    silent = [symptom for symptom in found if symptom.problem == "hangs"]
    if len(silent) < OVERLOADED:
        return found
    words = "too many services do not answer at once: the node is overloaded"
    return [replace(item, remedy=None, reason=f"{item.reason}; {words}") if item in silent else item for item in found]


def _flapping(view: View) -> Iterator[Symptom]:
    """Units that fall over and over: systemd starts them again and again, so that they are never found down."""
    for unit, flap in flapping(view.own.host).items():
        service = service_of_unit(unit, view.config.terms)
        repair = REPAIRS.get(service, NOTHING_KNOWN)
        if not repair.waits_for_others(view, unit):
            command = f"ssh {view.config.address} journalctl -u {journal_of(unit)}"
            yield Symptom(
                service=service,
                subject=unit,
                problem="flapping",
                reason=f"{unit} {flap}",
                # What it is made of has lasted already.
                looks=1,
                remedy=repair.after_falls(view, unit),
                alone=True,
                next_command=f"{command} -n 50 --no-pager{repair.advice_after_falls(view, unit)}",
            )
