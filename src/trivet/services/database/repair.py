# SPDX-License-Identifier: GPL-3.0-or-later
"""A MariaDB that does not run, does not answer or is out of step, and the outage of all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from trivet.health.config import MARIADB_DIRECTORY, NodeConfig
from trivet.health.facts import NodeFacts
from trivet.node.command import run_transient
from trivet.node.repair import Repair, Up
from trivet.node.symptom import DISTURBED_LOOKS, DOWN_LOOKS, KILL, OUTAGE_LOOKS, Remedy, Symptom, View, hung, stopped
from trivet.services.database.clients import words
from trivet.services.database.command import START_SECONDS, STOP_SECONDS
from trivet.services.database.election import Election, Outcome, elect, recovers_itself
from trivet.services.database.facts import DatabaseFacts
from trivet.services.proxy.facts import WRITER_BACKEND, ProxiesFacts

PC_RECOVERY_LOOKS = 12
"""How long the members of a saved view may take to find each other before anybody is stopped for its position."""
NEW_COPY_OF_DATABASE = (
    f"systemctl stop mariadb && mv {MARIADB_DIRECTORY} {MARIADB_DIRECTORY}.damaged && "
    f"install -d -o mysql -g mysql {MARIADB_DIRECTORY} && systemctl start mariadb"
)
"""With an empty directory a member asks the others for a whole copy (tried with MariaDB 10.11). Left to a human:
what is set aside may not have room beside the copy, and whether it is needed no machine can tell."""
SETTLE = "settle"
"""Stop a MariaDB without a primary component and recover its position."""
BOOTSTRAP = "bootstrap"
"""Form Galera's primary component here."""


def serves_database(facts: NodeFacts) -> bool:
    """Whether a member takes queries as part of the cluster."""
    database = facts.of(DatabaseFacts)
    return database.error is None and database.cluster_status == "Primary" and database.ready


def symptoms(view: View) -> Iterator[Symptom]:
    """What is wrong with this node's MariaDB, or with the whole cluster."""
    database = view.own.of(DatabaseFacts)
    if database.transfer is not None:
        return
    if len(view.config.members) > 1 and not _primary_somewhere(view):
        yield from _outage(view)
        return
    yield from _huge_transactions(view)
    yield from stopped(view, "database", ("mariadb",))
    yield from hung(view, "database", ("mariadb",), database.error, serves_database)
    if view.state("mariadb") == "active" and database.error is None and database.wsrep and _out_of_step(view):
        yield Symptom(
            service="database",
            subject="mariadb",
            problem="out of step",
            reason=f"is {database.state or 'in no state'} in a component that is {database.cluster_status or 'none'}",
            looks=DISTURBED_LOOKS,
            # Not a restart: a member whose state transfer failed half-way does not end by itself (seen in 10.11).
            remedy=Remedy(KILL, ("mariadb",)) if view.served_elsewhere(serves_database) else None,
            alone=True,
        )


def _huge_transactions(view: View) -> Iterator[Symptom]:
    """Transactions so large that their commit will hold everybody's writes back, each told once by its connection."""
    names = {member.address: member.name for member in view.config.members}
    for client in view.own.of(DatabaseFacts).huge:
        yield Symptom(
            service="database",
            subject=f"connection {client.number}",
            problem="huge transaction",
            reason=words(client, names),
            looks=1,
            # Whether its work may be lost, and the roll-back takes long as well, is not a machine's to decide.
            next_command=f"ssh {view.config.address} mariadb-admin kill {client.number}",
        )


def _primary_somewhere(view: View) -> bool:
    """Whether a member is in a primary component: it says so, or this node's HAProxy finds it ready.

    HAProxy asks the databases themselves, so a cluster whose agents are dead is not taken for one that is down.
    """
    others = {member.name for member in view.config.members} - {view.config.name}
    writers = view.own.of(ProxiesFacts).backend(WRITER_BACKEND) if view.own.of(ProxiesFacts).error is None else ()
    ready = any(server.server in others and server.status.startswith(("UP", "DRAIN")) for server in writers)
    return ready or any(report.primary for report in view.reports.values())


def _out_of_step(view: View) -> bool:
    """Whether this member is not where a member that catches up, or helps another to, may be."""
    database = view.own.of(DatabaseFacts)
    if database.cluster_status != "Primary" or not database.connected:
        return True
    # Joining, Joiner, Joined, Donor/Desynced and Waiting come and go by themselves.
    return database.state in ("", "Initialized", "Inconsistent", "Disconnected")


def _outage(view: View) -> Iterator[Symptom]:
    """No member that was heard is in a primary component: MariaDB's own recovery, then an election."""
    if any(_withheld(facts) for facts in view.heard.values()):
        return  # Somebody stops or starts the members on purpose.
    members = view.config.members
    election = elect(members, view.reports)
    looks = PC_RECOVERY_LOOKS if recovers_itself(members, view.reports) else OUTAGE_LOOKS
    outage = Symptom(
        service="database",
        subject="galera",
        problem="no primary component",
        reason=f"no member is in a primary component; {election.reason}",
        looks=looks,
        cluster_wide=True,
        each_its_part=True,
        next_command=election.next_command,
    )
    yield _part_in(view, election, outage)


def _withheld(facts: NodeFacts) -> bool:
    """Whether somebody keeps a member's database out on purpose."""
    return facts.drained("database") is not None or "mariadb" in facts.host.disabled_units


def _part_in(view: View, election: Election, outage: Symptom) -> Symptom:
    """The outage with this node's part in forming the primary component."""
    own = view.reports.get(view.config.name)
    if own is None or election.outcome is Outcome.REFUSED:
        return replace(outage, reason=f"{outage.reason}\n{election.evidence}")
    if election.acts(view.config.name) and election.position:
        # Nothing that is at rest can change any more: there is nothing to wait for.
        bootstrap = Remedy(BOOTSTRAP, (election.position,))
        return replace(outage, remedy=bootstrap, alone=True, looks=min(outage.looks, DOWN_LOOKS))
    transfer = any(report.transfer for report in view.reports.values())
    hung = own.unit == "active" and not own.answers
    unsettled = not own.down or (own.position is None and own.unreadable is None)
    if election.outcome is Outcome.UNSETTLED and unsettled and not hung and not transfer:
        return replace(outage, remedy=Remedy(SETTLE))
    return replace(outage, waits=not hung)


def _settle(_arguments: Sequence[str], _config: NodeConfig, _data: Mapping[str, Any]) -> str:
    run_transient("galera", "settle", seconds=STOP_SECONDS)
    return "MariaDB is at rest, its position is known"


def _bootstrap(arguments: Sequence[str], _config: NodeConfig, _data: Mapping[str, Any]) -> str:
    run_transient("galera", "bootstrap", "--position", arguments[0], seconds=START_SECONDS)
    return f"formed the primary component from {arguments[0]}"


def _unserved(config: NodeConfig, up: Up) -> tuple[str, ...]:
    return up.misses(config.name, WRITER_BACKEND)


def _waits_for_others(view: View, unit: str) -> bool:
    return unit == "mariadb" and len(view.config.members) > 1 and not _primary_somewhere(view)


def _advice_after_falls(view: View, unit: str) -> str:
    """What to do about damaged data while others serve: no machine may do that."""
    if unit != "mariadb" or not any(serves_database(facts) for facts in view.peers.values()):
        return ""
    way = f"ssh {view.config.address} '{NEW_COPY_OF_DATABASE}'"
    return f"; if its data is damaged, have it take a whole copy of the others: {way}"


REPAIR = Repair(
    symptoms=symptoms,
    acts={SETTLE: _settle, BOOTSTRAP: _bootstrap},
    unserved=_unserved,
    waits_for_others=_waits_for_others,
    advice_after_falls=_advice_after_falls,
)
