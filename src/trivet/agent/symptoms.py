# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong on this node that the agent could repair, from the facts of one look. Pure.

A symptom names its remedy, or none where only a human may decide. What is busy (a state transfer, a unit on its way, an
instance that loads, shards that move) is no symptom. How long a symptom must last, who acts and how often is decided
in :mod:`trivet.agent.repair`.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from trivet.agent.election import Election, MemberReport, Outcome, elect, recovers_itself
from trivet.health.config import MARIADB_DIRECTORY, NodeConfig
from trivet.health.facts import NodeFacts
from trivet.health.flaps import flapping, journal_of
from trivet.services.database.facts import DatabaseFacts
from trivet.services.files.contract import VOLUME
from trivet.services.files.facts import FilesFacts
from trivet.services.gateway.facts import GatewayFacts
from trivet.services.proxy.facts import WRITER_BACKEND, ProxiesFacts
from trivet.services.redis.contract import INSTANCES
from trivet.services.redis.facts import RedisFacts, RedisInstance, SentinelView
from trivet.services.registry import service_of_unit
from trivet.services.search.contract import ENGINE
from trivet.services.search.facts import SearchFacts
from trivet.services.web.facts import WebFacts

DOWN_LOOKS = 2
"""systemd restarts what crashed within seconds; this is for what stays down."""
HUNG_LOOKS = 4
PROXY_HUNG_LOOKS = 2
"""One loop of HAProxy serves its admin socket and its clients: while it is silent everybody who asks its gateway
address waits, and nobody else takes the address, since keepalived sees that the port listens."""
DISTURBED_LOOKS = 6
"""For what often mends itself: a member that finds its cluster again, a limit that a run is about to lift."""
OUTAGE_LOOKS = 3
PC_RECOVERY_LOOKS = 12
"""How long the members of a saved view may take to find each other before anybody is stopped for its position."""
OVERLOADED = 3
"""From so many services on that do not answer at once, it is the node that is slow, and a restart makes it slower."""
DOWN = ("inactive", "failed")
SILENCE = re.compile(
    r"timed out|did not end in|still hangs|no answer in|ERROR 20\d\d|refuses connections|nobody listens|not mounted"
    r"|Resource temporarily unavailable"
    r"|closed the connection|closed connection|reset by peer|Connection failed|Transport endpoint is not connected"
)
"""How a service that is alive and does not answer is told of. All else (too many connections, no room, a question that
was not put in time) is no reason to restart it. ``ERROR 20xx`` are the errors of MariaDB's client; a unix socket whose
queue is full, since nobody accepts, is "temporarily unavailable"."""
GATEWAY_TIMEOUTS = (0, 502, 504)
"""Answers of nginx whose cause is on its own node: none at all, or PHP-FPM gave none. 500 may be anybody's fault."""


NEW_COPY_OF_DATABASE = (
    f"systemctl stop mariadb && mv {MARIADB_DIRECTORY} {MARIADB_DIRECTORY}.damaged && "
    f"install -d -o mysql -g mysql {MARIADB_DIRECTORY} && systemctl start mariadb"
)
"""With an empty directory a member asks the others for a whole copy (tried with MariaDB 10.11). Left to a human:
what is set aside may not have room beside the copy, and whether it is needed no machine can tell."""


class Kind(enum.StrEnum):
    """What the agent can do about a symptom."""

    START = "start"
    KILL = "kill"
    """Restart what does not react to a polite stop."""
    START_BRICK = "start brick"
    RESTART_BRICK = "restart brick"
    ALLOW_ALLOCATION = "allow allocation"
    RETRY_ALLOCATION = "retry allocation"
    FOLLOW = "follow"
    """Make a Redis instance a replica."""
    FRESH_COPY = "fresh copy"
    """Set the damaged files of a Redis replica aside, and have it take a whole copy from its primary."""
    SETTLE = "settle"
    """Stop a MariaDB without a primary component and recover its position."""
    BOOTSTRAP = "bootstrap"
    """Form Galera's primary component here."""


@dataclass(frozen=True)
class Remedy:
    """An act and what it is done to, such as units, or an instance and an address."""

    kind: Kind
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Symptom:
    """Something that is wrong."""

    service: str
    subject: str
    problem: str
    reason: str
    looks: int
    """How many looks in a row must find it before anything is done."""
    remedy: Remedy | None = None
    cluster_wide: bool = False
    """Every node sees the same one; one of them acts, and tells."""
    each_its_part: bool = False
    """Of a symptom of the whole cluster: the remedy is this node's own part, whoever tells of it."""
    alone: bool = False
    """Its remedy takes something away that may still serve: one node of the cluster at a time, under the lease."""
    waits: bool = False
    """Another node's turn: no human is needed, and only the one that tells for the cluster tells of it."""
    next_command: str | None = None

    @property
    def key(self) -> str:
        """What makes two looks see the same symptom."""
        return f"{self.service}/{self.subject}/{self.problem}"


@dataclass(frozen=True)
class View:
    """What one look found: this node, and the members whose agents answered."""

    config: NodeConfig
    own: NodeFacts
    peers: Mapping[str, NodeFacts] = field(default_factory=dict)
    reports: Mapping[str, MemberReport] = field(default_factory=dict)
    """Galera reports of this node and of the peers."""

    @property
    def heard(self) -> Mapping[str, NodeFacts]:
        """The members that can be spoken of: this node and the peers."""
        return {**self.peers, self.config.name: self.own}

    def state(self, unit: str) -> str:
        """State of a unit of this node."""
        return self.own.host.units.get(unit, "unknown")

    def served_elsewhere(self, serves: Callable[[NodeFacts], bool]) -> bool:
        """Whether a peer does what is to be taken away here; a member without partners has nobody to ask."""
        return len(self.config.members) == 1 or any(serves(facts) for facts in self.peers.values())


def symptoms(view: View) -> list[Symptom]:
    """Everything that is wrong here, in the order of a repair: what others rest on comes first."""
    rules = (_peers, _flapping, _gateway, _database, _redis, _search, _files, _web)
    found = [symptom for rule in rules for symptom in rule(view)]
    silent = [symptom for symptom in found if symptom.problem == "hangs"]
    if len(silent) < OVERLOADED:
        return found
    words = "too many services do not answer at once: the node is overloaded"
    return [replace(item, remedy=None, reason=f"{item.reason}; {words}") if item in silent else item for item in found]


def _stopped(view: View, service: str, units: tuple[str, ...]) -> Iterator[Symptom]:
    """Units that should run and do not."""
    for unit in units:
        if view.state(unit) in DOWN:
            reason = f"{unit} does not run (unit {view.state(unit)})"
            remedy = Remedy(Kind.START, (unit,))
            yield Symptom(service=service, subject=unit, problem="down", reason=reason, looks=DOWN_LOOKS, remedy=remedy)


def _hung(
    view: View,
    service: str,
    units: tuple[str, ...],
    error: str | None,
    serves: Callable[[NodeFacts], bool],
    looks: int = HUNG_LOOKS,
) -> Iterator[Symptom]:
    """Units that are active while nobody answers for them; killed only while somebody else serves."""
    if error is None or not SILENCE.search(error) or any(view.state(unit) != "active" for unit in units):
        return
    elsewhere = view.served_elsewhere(serves)
    unit = units[0]
    yield Symptom(
        service=service,
        subject=unit,
        problem="hangs",
        reason=f"{unit} is alive and does not answer: {error}" + ("" if elsewhere else "; no other node serves it"),
        looks=looks,
        remedy=Remedy(Kind.KILL, units) if elsewhere else None,
        alone=True,
        next_command=None if elsewhere else f"ssh {view.config.address} systemctl restart {unit}",
    )


# ---------------------------------------------------------------- host


def _peers(view: View) -> Iterator[Symptom]:
    """Members that are not heard; nobody but a human can reach them."""
    for member in view.config.members:
        if member.name not in view.heard:
            yield Symptom(
                service="host",
                subject=member.name,
                problem="not heard",
                reason=f"the healer of {member.name} does not answer: it is stopped, or the node is down or cut off",
                looks=DISTURBED_LOOKS,
                cluster_wide=True,
                next_command=f"ssh {member.address} systemctl status trivet-heal",
            )


def _flapping(view: View) -> Iterator[Symptom]:
    """Units that fall over and over: systemd starts them again and again, so that they are never found down."""
    for unit, flap in flapping(view.own.host).items():
        if not _waits_for_others(view, unit):
            yield Symptom(
                service=service_of_unit(unit, view.config.terms),
                subject=unit,
                problem="flapping",
                reason=f"{unit} {flap}",
                # What it is made of has lasted already.
                looks=1,
                remedy=_fresh_copy(view, unit),
                alone=True,
                next_command=_why_it_falls(view, unit),
            )


def _why_it_falls(view: View, unit: str) -> str:
    """The command that shows why; for a member of Galera also what to do about damaged data: no machine may do that."""
    ssh = f"ssh {view.config.address}"
    command = f"{ssh} journalctl -u {journal_of(unit)} -n 50 --no-pager"
    if unit != "mariadb" or not any(serves_database(facts) for facts in view.peers.values()):
        return command
    return f"{command}; if its data is damaged, have it take a whole copy of the others: {ssh} '{NEW_COPY_OF_DATABASE}'"


def _fresh_copy(view: View, unit: str) -> Remedy | None:
    """A replica whose files are damaged has all it needs on its primary; nothing else that falls can be helped."""
    name = unit.removeprefix("redis-")
    if name not in INSTANCES:
        return None
    primary = _named_primary(view, name)
    return None if primary is None else Remedy(Kind.FRESH_COPY, (name, primary))


def _waits_for_others(view: View, unit: str) -> bool:
    """Whether a unit is one that tries again and again until enough other nodes are there, and they are not."""
    if unit == "mariadb":
        return len(view.config.members) > 1 and not _primary_somewhere(view)
    return unit == "trivet-shared" and not view.served_elsewhere(lambda facts: facts.of(FilesFacts).mounted)


# ---------------------------------------------------------------- gateway


def _gateway(view: View) -> Iterator[Symptom]:
    facts = view.own.of(GatewayFacts)
    if facts.handover or facts.forwards or facts.releases:
        return  # An address is being handed over.
    yield from _stopped(view, "gateway", ("haproxy", "keepalived", "trivet-agent"))
    silence, serves = view.own.of(ProxiesFacts).error, lambda facts: facts.of(ProxiesFacts).error is None
    yield from _hung(view, "gateway", ("haproxy",), silence, serves, PROXY_HUNG_LOOKS)
    if view.config.gateways:
        yield from _hung(view, "gateway", ("keepalived",), facts.keepalived_error, _takes_addresses)


def _takes_addresses(facts: NodeFacts) -> bool:
    return facts.of(GatewayFacts).keepalived == "active" and facts.of(GatewayFacts).keepalived_error is None


# ---------------------------------------------------------------- database


def serves_database(facts: NodeFacts) -> bool:
    """Whether a member takes queries as part of the cluster."""
    database = facts.of(DatabaseFacts)
    return database.error is None and database.cluster_status == "Primary" and database.ready


def _database(view: View) -> Iterator[Symptom]:
    database = view.own.of(DatabaseFacts)
    if database.transfer is not None:
        return
    if len(view.config.members) > 1 and not _primary_somewhere(view):
        yield from _outage(view)
        return
    yield from _stopped(view, "database", ("mariadb",))
    yield from _hung(view, "database", ("mariadb",), database.error, serves_database)
    if view.state("mariadb") == "active" and database.error is None and database.wsrep and _out_of_step(view):
        yield Symptom(
            service="database",
            subject="mariadb",
            problem="out of step",
            reason=f"is {database.state or 'in no state'} in a component that is {database.cluster_status or 'none'}",
            looks=DISTURBED_LOOKS,
            # Not a restart: a member whose state transfer failed half-way does not end by itself (seen in 10.11).
            remedy=Remedy(Kind.KILL, ("mariadb",)) if view.served_elsewhere(serves_database) else None,
            alone=True,
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
        bootstrap = Remedy(Kind.BOOTSTRAP, (election.position,))
        return replace(outage, remedy=bootstrap, alone=True, looks=min(outage.looks, DOWN_LOOKS))
    transfer = any(report.transfer for report in view.reports.values())
    hung = own.unit == "active" and not own.answers
    unsettled = not own.down or (own.position is None and own.unreadable is None)
    if election.outcome is Outcome.UNSETTLED and unsettled and not hung and not transfer:
        return replace(outage, remedy=Remedy(Kind.SETTLE))
    return replace(outage, waits=not hung)


# ---------------------------------------------------------------- redis


def _redis(view: View) -> Iterator[Symptom]:
    units = tuple(f"redis-{name}" for name in INSTANCES)
    yield from _stopped(view, "redis", units)
    for name, unit in zip(INSTANCES, units, strict=True):
        instance = _instance(view.own, name)
        yield from _hung(view, "redis", (unit,), instance.error, partial(_serves_redis, name=name))
        if primary := _other_primary(view, name):
            yield Symptom(
                service="redis",
                subject=name,
                problem="second primary",
                reason=f"{name} calls itself primary here, and most Sentinels name {primary}",
                looks=OUTAGE_LOOKS,
                remedy=Remedy(Kind.FOLLOW, (name, primary)),
            )
    if "redis-sentinel" in view.config.units:
        yield from _stopped(view, "redis", ("redis-sentinel",))
        errors = [_sentinel(view.own, name).error for name in INSTANCES]
        if all(errors):
            yield from _hung(view, "redis", ("redis-sentinel",), errors[0], _serves_sentinel)


def _instance(facts: NodeFacts, name: str) -> RedisInstance:
    missing = RedisInstance(error=facts.of(RedisFacts).error or "its facts are missing")
    return facts.of(RedisFacts).instances.get(name, missing) if facts.of(RedisFacts).error is None else missing


def _sentinel(facts: NodeFacts, name: str) -> SentinelView:
    missing = SentinelView(error=facts.of(RedisFacts).error or "its facts are missing")
    return facts.of(RedisFacts).sentinels.get(name, missing) if facts.of(RedisFacts).error is None else missing


def _serves_redis(facts: NodeFacts, name: str) -> bool:
    instance = _instance(facts, name)
    return instance.error is None and not instance.loading


def _serves_sentinel(facts: NodeFacts) -> bool:
    return any(_sentinel(facts, name).error is None for name in INSTANCES)


def _other_primary(view: View, name: str) -> str | None:
    """The address that this node's instance must follow: a majority of all Sentinels names it, and it is a primary.

    None while a failover is under way, or the Sentinels do not say.
    """
    own = _instance(view.own, name)
    if own.error is not None or own.role != "master" or own.loading:
        return None
    return _named_primary(view, name)


def _named_primary(view: View, name: str) -> str | None:
    """The address of another node that a majority of all Sentinels names as primary, and that is one."""
    views = [said for facts in view.heard.values() if (said := _sentinel(facts, name)).error is None]
    failing_over = any(said.tilt or said.failover_state not in ("none", "no-failover", "") for said in views)
    failing_over |= any("failover_in_progress" in said.flags for said in views)
    failing_over |= any(_instance(facts, name).failover_state != "no-failover" for facts in view.heard.values())
    if failing_over:
        return None
    for member in view.config.members:
        votes = sum(said.address == member.address for said in views)
        peer = view.peers.get(member.name)
        if peer is not None and votes * 2 > len(view.config.members) and _is_primary(peer, name):
            return member.address
    return None


def _is_primary(facts: NodeFacts, name: str) -> bool:
    instance = _instance(facts, name)
    return instance.error is None and instance.role == "master" and not instance.loading


# ---------------------------------------------------------------- search


def _search(view: View) -> Iterator[Symptom]:
    engine = view.config.terms[ENGINE]
    search = view.own.of(SearchFacts)
    yield from _stopped(view, "search", (engine,))
    yield from _hung(view, "search", (engine,), search.error, lambda facts: facts.of(SearchFacts).error is None)
    if search.error is not None or any(facts.drained("search") for facts in view.heard.values()):
        return
    if search.allocation != "all":
        yield from _allocation(view)
    elif _stuck_shards(view):
        yield Symptom(
            service="search",
            subject="shards",
            problem="unassigned",
            reason=f"shards stay unassigned with all nodes there: {search.unassigned_shards}",
            looks=DISTURBED_LOOKS,
            remedy=Remedy(Kind.RETRY_ALLOCATION),
            cluster_wide=True,
        )


def _allocation(view: View) -> Iterator[Symptom]:
    """A limit that nobody owns; one with an owner ends by itself, by ``flags expire``."""
    flag = view.own.of(SearchFacts).allocation_flag
    if flag is not None and flag.expires is not None:
        return
    yield Symptom(
        service="search",
        subject="allocation",
        problem="limited",
        reason=f"allocation of shards is limited to {view.own.of(SearchFacts).allocation}, by nobody who says so",
        looks=DISTURBED_LOOKS,
        remedy=Remedy(Kind.ALLOW_ALLOCATION),
        cluster_wide=True,
    )


def _stuck_shards(view: View) -> bool:
    """Whether shards wait that the cluster has given up on (``index.allocation.max_retries``), and nothing moves."""
    search = view.own.of(SearchFacts)
    moving = search.initializing_shards or search.relocating_shards or search.delayed_shards or search.pending_tasks
    return bool(search.unassigned_shards and search.nodes == len(view.config.members) and not moving)


# ---------------------------------------------------------------- files


def _files(view: View) -> Iterator[Symptom]:
    files = view.own.of(FilesFacts)
    yield from _stopped(view, "files", ("glusterd",))
    if view.state("glusterd") == "active":
        yield from _daemon(view)
    yield from _stopped(view, "files", ("trivet-shared",))
    error = files.mount_error if files.mounted else "it is not mounted"
    yield from _hung(view, "files", ("trivet-shared",), error, lambda facts: facts.of(FilesFacts).writable)


def _daemon(view: View) -> Iterator[Symptom]:
    """glusterd and the processes that it keeps; it may be restarted at any time, its bricks live on."""
    files = view.own.of(FilesFacts)
    if files.error is not None:
        yield from _hung(view, "files", ("glusterd",), files.error, lambda facts: facts.of(FilesFacts).error is None)
        return
    if files.volume_status != "Started":
        return
    yield from _split_brain(view)
    partners = len(view.config.members) > 1
    for subject, missing in (("brick", not files.brick_online), ("self-heal", partners and not files.self_heal_online)):
        if missing:
            yield Symptom(
                service="files",
                subject=subject,
                problem="down",
                reason=f"the {subject} process of this node does not run",
                looks=DOWN_LOOKS,
                remedy=Remedy(Kind.START_BRICK),
            )
    # Not from the report of what is to heal: while a brick hangs, that does not end either (seen).
    if files.brick_online and view.config.address in files.bricks_unheard:
        elsewhere = files.bricks_unheard == (view.config.address,)
        yield Symptom(
            service="files",
            subject="brick",
            problem="hangs",
            reason="the brick of this node is alive and does not answer",
            looks=HUNG_LOOKS,
            remedy=Remedy(Kind.RESTART_BRICK) if elsewhere else None,
            alone=True,
        )


def _split_brain(view: View) -> Iterator[Symptom]:
    """Files whose copies contradict each other: which one is right, no machine can tell."""
    count = max((brick.split_brain or 0 for brick in view.own.of(FilesFacts).heal), default=0)
    if count:
        volume = view.config.terms[VOLUME]
        yield Symptom(
            service="files",
            subject=volume,
            problem="split-brain",
            reason=f"files in split-brain: {count}",
            looks=OUTAGE_LOOKS,
            cluster_wide=True,
            next_command=f"ssh {view.config.address} gluster volume heal {volume} info split-brain",
        )


# ---------------------------------------------------------------- web

BEHIND_PHP = (WRITER_BACKEND, "redis_session_primary")
"""What a page waits for, in the node's own HAProxy."""


def _reached(view: View, backend: str) -> bool:
    """Whether this node's HAProxy has somebody to ask; not when it does not answer itself."""
    if view.own.of(ProxiesFacts).error is not None:
        return False
    servers = view.own.of(ProxiesFacts).backend(backend)
    return not servers or any(server.status.startswith(("UP", "DRAIN")) for server in servers)


def _web(view: View) -> Iterator[Symptom]:
    web, files = view.own.of(WebFacts), view.own.of(FilesFacts)
    yield from _stopped(view, "web", ("nginx", "php-fpm"))
    if web.error is not None or web.direct.status not in GATEWAY_TIMEOUTS:
        return
    # PHP that waits for what does not answer is not helped by a restart.
    if not files.mounted or files.mount_error or not all(_reached(view, backend) for backend in BEHIND_PHP):
        return
    error = web.direct.error or f"no answer in time (status {web.direct.status})"
    yield from _hung(view, "web", ("php-fpm", "nginx"), error, lambda facts: facts.of(WebFacts).direct.status == 200)
