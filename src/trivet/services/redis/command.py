# SPDX-License-Identifier: GPL-3.0-or-later
"""``redis …``: hand the role of the primary over, without losing a write.

Sentinel must decide it, or it would take the new primary for a stray one. Left to itself it needs three of its ticks
for that, of 50 to 100 ms each, before anything happens, while the proxies hold all clients. So a hand-over has two
parts. By a nomination Sentinel chooses the replica and goes on to the state in which it waits for that one to become
a primary; what it sends the replica to make it one is withheld. Then, with the clients held, the roles are changed
within milliseconds. Sentinel sees what it waits for, and tells the others.

Redis's own ``FAILOVER`` would take up to a second: it waits for what the replica says that it has, which that one says
once a second. Here both are asked.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any, TypeVar

from trivet.health.config import NOMINATION_DIRECTORY, NodeConfig
from trivet.health.external import Deadline, NoAnswer
from trivet.node import clients as client_loops
from trivet.node.errors import AgentError
from trivet.node.flag_files import FlagFiles
from trivet.services.redis import collect as facts
from trivet.services.redis.clients import InstanceClients
from trivet.services.redis.collect import RedisClient, RedisRefusal
from trivet.services.redis.contract import INSTANCES, SENTINEL_PORT
from trivet.services.redis.facts import RedisInstance

STATUS_SECONDS = 5.0
CALL_SECONDS = 2.0
CATCH_UP_SECONDS = 1.5
"""With the time that the proxies wait for what is in flight (``trivet.rotation.steps``) below the limit of a hold."""
FAILOVER_SECONDS = 30.0
POLL_SECONDS = 0.05
WATCH_POLL_SECONDS = 0.5
HELD_POLL_SECONDS = 0.005
"""While clients are held, a look more costs less than their time."""
FOLLOW_SECONDS = 3.0
PAUSE_SECONDS = 30.0
"""Longer than all orders of a hand-over together, and than Sentinel takes to have a stray primary follow."""
CHOICE_SECONDS = 3.0
"""Sentinel needs 0.2 s."""
CHOOSING = ("wait_start", "select_slave", "send_slaveof_noone")
"""The states of a failover after which Sentinel promotes by itself."""
WITHHELD = "TRIVET.WITHHELD"
"""What Sentinel is told that ``SLAVEOF`` is called: no Redis knows that, and refuses the whole transaction."""
USABLE = 2 / 3
"""Of Sentinel's failover timeout: how long a nomination may be used. In the rest Sentinel must see who is primary."""

Found = TypeVar("Found")


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``redis …`` to the agent's command line."""
    commands = subparsers.add_parser("redis", help="Redis and Sentinel").add_subparsers(required=True)
    nominate = commands.add_parser("nominate", help="have Sentinel choose the next primary, and wait for `failover`")
    nominate.add_argument("instance", choices=tuple(INSTANCES))
    nominate.add_argument("--owner", required=True, help="who does (recorded)")
    nominate.add_argument("--timeout", type=float, default=FAILOVER_SECONDS, metavar="SECONDS")
    nominate.set_defaults(run=run_nominate)
    failover = commands.add_parser("failover", help="make a replica the primary")
    failover.add_argument("instance", choices=tuple(INSTANCES))
    failover.add_argument("--to", metavar="NODE", help="the nominated one; by default one is nominated first")
    failover.add_argument("--owner", default="redis failover", help="who nominates (recorded)")
    failover.add_argument("--timeout", type=float, default=FAILOVER_SECONDS, metavar="SECONDS")
    failover.set_defaults(run=run_failover)
    settled = commands.add_parser("settled", help="wait until Sentinel and every replica have taken a primary over")
    settled.add_argument("instance", choices=tuple(INSTANCES))
    settled.add_argument("--primary", required=True, metavar="NODE")
    settled.add_argument("--timeout", type=float, default=FAILOVER_SECONDS, metavar="SECONDS")
    settled.set_defaults(run=run_settled)
    commands.add_parser("status", help="the facts of this node").set_defaults(run=run_status)
    watched = commands.add_parser("clients", help="who is connected, and whom a hand-over would cut")
    watched.add_argument("instance", choices=tuple(INSTANCES))
    watched.add_argument("--watch", type=float, default=0.0, metavar="SECONDS", help="let them end, at most so long")
    watched.set_defaults(run=run_clients)
    closing = commands.add_parser("close", help="close idle connections at the instance")
    closing.add_argument("instance", choices=tuple(INSTANCES))
    closing.add_argument("--up-to", type=int, required=True, metavar="NUMBER", help="of a connection; not later ones")
    closing.add_argument("--wait", type=float, required=True, metavar="SECONDS", help="until they are idle, at most")
    closing.set_defaults(run=run_close)


def run_status(_args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """The facts that the health verdict is made of."""
    return asdict(facts.collect(NodeConfig.from_mapping(config), Deadline(STATUS_SECONDS)))


def run_clients(args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """Whoever stays connected, and who was never seen idle."""
    clients = InstanceClients(NodeConfig.from_mapping(config), args.instance)
    try:
        return client_loops.answer(client_loops.watch(clients.look, args.watch, WATCH_POLL_SECONDS))
    except NoAnswer as problem:
        raise AgentError(f"{args.instance}: {problem}") from problem


def run_close(args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """Close the connections up to one, each as soon as it is idle."""
    clients = InstanceClients(NodeConfig.from_mapping(config), args.instance)
    try:
        return client_loops.close(clients.look, clients.end, args.up_to, args.wait, POLL_SECONDS)
    except NoAnswer as problem:
        raise AgentError(f"{args.instance}: {problem}") from problem


def run_nominate(args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """Nominate the next primary; nothing changes for the clients."""
    return Failover(NodeConfig.from_mapping(config), args.instance, args.timeout).nominate(args.owner)


def run_failover(args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """Hand the primary over; call it while the proxies hold the backend."""
    failover = Failover(NodeConfig.from_mapping(config), args.instance, args.timeout)
    return failover.run(args.to or failover.nominate(args.owner)["to"])


def run_settled(args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """Wait for the end of a hand-over, which no client needs to wait for."""
    return Failover(NodeConfig.from_mapping(config), args.instance, args.timeout).settle(args.primary)


def ask(config: NodeConfig, address: str, port: int, *words: str) -> facts.Reply:
    """One question to an instance or a Sentinel.

    Raises:
        NoAnswer: there is none.
        RedisRefusal: the answer is an error.
    """
    with RedisClient(address, port, config.redis_password, Deadline(CALL_SECONDS)) as client:
        return client.ask(*words)


class RolesUnknown(AgentError):
    """Which instance is the primary is not known: what the old one acknowledged now could be lost."""


def allow_promotions(config: NodeConfig, instance: str) -> None:
    """Let this node's Sentinel promote replicas again. Harmless when it may.

    Raises:
        AgentError: it does not answer, or has not come to the end of a choice: it would promote while no client is
            held. It goes on choosing, or gives up, within its failover timeout; `flags expire` tries again.
    """
    sentinel = (config, config.address, config.terms[SENTINEL_PORT], "SENTINEL")
    try:
        state = facts.pairs_of(ask(*sentinel, "MASTER", instance)).get("failover-state")
        if state in CHOOSING:
            raise AgentError(f"this node's Sentinel promotes no replica of {instance} until its {state} is over")
        ask(*sentinel, "SET", instance, "rename-command", "SLAVEOF", "SLAVEOF")
    except (NoAnswer, RedisRefusal) as problem:
        raise AgentError(
            f"this node's Sentinel promotes no replica of {instance} until it answers: {problem}"
        ) from problem


class Failover:
    """One hand-over of the primary of one instance, by this node's Sentinel.

    Args:
        seconds: how long Sentinel, and replicas that follow, may take.
        flags: where nominations are noted.
    """

    def __init__(self, config: NodeConfig, instance: str, seconds: float, flags: FlagFiles | None = None) -> None:
        self._config = config
        self._instance = instance
        self._port = config.terms[INSTANCES[instance]]
        self._sentinel_port = config.terms[SENTINEL_PORT]
        self._addresses = [member.address for member in config.members]
        self._seconds = seconds
        self._flags = flags or FlagFiles(NOMINATION_DIRECTORY)

    def nominate(self, owner: str) -> dict[str, Any]:
        """Have Sentinel choose the replica that `run` makes the primary. Nothing changes for the clients.

        When nobody makes it one, Sentinel gives up by itself after its failover timeout, and begins no failover of its
        own for another such time; the others may.

        Raises:
            AgentError: the Sentinels do not agree, this node's does not answer, refuses, does not trust its clock
                (TILT) or does not choose in time; the primary has changed meanwhile.
        """
        started = time.monotonic()
        primary = self._agreed_primary()
        if primary is None:
            raise AgentError(f"the Sentinels do not agree on the primary of {self._instance}: not handed over")
        self._refuse_tilt()
        self._wait(lambda: not self._in_progress(), self._seconds, "a failover is still under way")
        if self._agreed_primary() != primary:
            raise AgentError(f"the primary of {self._instance} has changed meanwhile: not handed over")
        usable = USABLE * int(self._master()["failover-timeout"]) / 1000
        # The start of one before would count for one of the same owner.
        self._flags.clear(self._instance)
        self._flags.set(self._instance, owner, usable)
        try:
            self._withhold()
            self._sentinel("SENTINEL", "FAILOVER", self._instance)
            # Once more: `flags expire` may just have undone a nomination of before. From here on it waits.
            self._withhold()
            # Past the tick in which it would have promoted.
            self._wait(self._has_chosen, CHOICE_SECONDS, "Sentinel chose no replica")
        finally:
            allow_promotions(self._config, self._instance)
        new = self._nominee()
        if new is None:
            raise AgentError(f"Sentinel does not say which replica of {self._instance} it chose")
        seconds = round(time.monotonic() - started, 3)
        return {"instance": self._instance, "to": self._name(new), "usable_seconds": usable, "seconds": seconds}

    def run(self, to: str) -> dict[str, Any]:
        """Make the nominated replica the primary, until it has a replica. Clients are held meanwhile, so that is all.

        Sentinel looks at what it chose once a second only, and tells the others after that: with the proxies held
        this is waited for by `settle`, after their release.

        Args:
            to: the node that was nominated.

        Raises:
            AgentError: before anything was changed: it is not nominated, or no longer; it does not have all writes in
                time; it refuses. After: no replica follows it.
            RolesUnknown: it did not answer, or the old primary could not be made to follow. The old one's writes stay
                paused for PAUSE_SECONDS, by when Sentinel has it follow.
        """
        started = time.monotonic()
        old, new = self._nominated(to)
        with self._writes_paused(old):
            problem = f"{to} does not have all writes"
            self._wait(lambda: self._caught_up(old, new), CATCH_UP_SECONDS, problem, HELD_POLL_SECONDS)
            # Sentinel may have given it up since.
            self._nominated(to)
            self._make_primary(new)
            self._have_follow(old, new)
        self._wait(lambda: self._has_replica(new), self._seconds, f"no replica follows {new}", HELD_POLL_SECONDS)
        self._flags.clear(self._instance)
        return {
            "instance": self._instance,
            "from": self._name(old),
            "to": self._name(new),
            "seconds": round(time.monotonic() - started, 3),
        }

    def settle(self, primary: str) -> dict[str, Any]:
        """Wait until every Sentinel calls a node the primary and every instance follows it, and have them keep that.

        Args:
            primary: the node's name.

        Raises:
            AgentError: there is no such node, or they do not in time, or cannot write it down.
        """
        started = time.monotonic()
        address = next((item.address for item in self._config.members if item.name == primary), None)
        if address is None:
            raise AgentError(f"{primary} is no node of this environment")
        self._wait(lambda: self._agreed_primary() == address, self._seconds, "the Sentinels do not agree")
        self._wait(lambda: self._all_follow(address), self._seconds, f"not every replica follows {primary}")
        self._keep_roles()
        return {"instance": self._instance, "primary": primary, "seconds": round(time.monotonic() - started, 3)}

    def _nominated(self, to: str) -> tuple[str, str]:
        """The addresses of the primary and of the node that was nominated.

        Raises:
            AgentError: it was not, or so long ago that Sentinel may give it up before it sees that it is the primary.
        """
        new = self._nominee()
        in_time = self._flags.get(self._instance) is not None and self._awaits_promotion()
        if new is None or self._name(new) != to or not in_time:
            raise AgentError(
                f"{to} is not nominated as the primary of {self._instance}, or no longer: "
                f"first `trivet-agent redis nominate {self._instance}`"
            )
        return self._master()["ip"], new

    def _caught_up(self, old: str, new: str) -> bool:
        """Whether the new primary has all that the old one has."""
        primary, replica = self._instance_at(old), self._instance_at(new)
        if primary is None or replica is None or primary.role != "master":
            return False
        return replica.primary_link_up and replica.primary_address == old and replica.offset == primary.offset

    @contextlib.contextmanager
    def _writes_paused(self, primary: str) -> Iterator[None]:
        """Hold back writes that do not come through a proxy, so that none is acknowledged and then lost.

        They stay held back, until the pause ends by itself, when it is not known which instance is the primary.
        """
        self._say(primary, self._port, "CLIENT", "PAUSE", str(int(PAUSE_SECONDS * 1000)), "WRITE")
        known = True
        try:
            yield
        except RolesUnknown:
            known = False
            raise
        finally:
            if known:
                self._ask(primary, self._port, "CLIENT", "UNPAUSE")

    def _make_primary(self, new: str) -> None:
        """Make a replica the primary.

        Raises:
            AgentError: it refuses, and is none.
            RolesUnknown: it does not answer: it may yet become one.
        """
        try:
            ask(self._config, new, self._port, "REPLICAOF", "NO", "ONE")
        except RedisRefusal as problem:
            raise AgentError(f"{self._instance}: {self._name(new)} does not become the primary: {problem}") from problem
        except NoAnswer as problem:
            view = self._instance_at(new)
            if view is None or view.role != "master":
                raise RolesUnknown(
                    f"{self._instance}: {self._name(new)} did not answer when it was made the primary, and may become "
                    f"it yet; writes are paused on the old one: {problem}"
                ) from problem

    def _have_follow(self, old: str, new: str) -> None:
        """Have the old primary follow the new one, while its writes are paused.

        Raises:
            RolesUnknown: it does not: there are two primaries until Sentinel has it follow.
        """
        try:
            self._wait(
                lambda: self._follows(old, new), FOLLOW_SECONDS, "the old primary does not follow", HELD_POLL_SECONDS
            )
        except AgentError as problem:
            raise RolesUnknown(f"{problem}; its writes are paused") from problem

    def _follows(self, old: str, new: str) -> bool:
        """Order it, as often as it takes, and look whether it does."""
        self._ask(old, self._port, "REPLICAOF", new, str(self._port))
        view = self._instance_at(old)
        return view is not None and view.role == "slave" and view.primary_address == new

    def _withhold(self) -> None:
        """Have this node's Sentinel send a command that no Redis knows in the place of the one that promotes."""
        self._sentinel("SENTINEL", "SET", self._instance, "rename-command", "SLAVEOF", WITHHELD)

    def _refuse_tilt(self) -> None:
        """Refuse while Sentinel stands still, for 30 s after its clock jumped: it would go on when nobody expects it.

        Raises:
            AgentError: it does.
        """
        if facts.parse_info(str(self._sentinel("INFO", "sentinel"))).get("sentinel_tilt") == "1":
            raise AgentError("this node's Sentinel is in TILT and does nothing for 30 s: not handed over")

    def _master(self) -> dict[str, str]:
        reply = self._sentinel("SENTINEL", "MASTER", self._instance)
        try:
            return facts.pairs_of(reply)
        except NoAnswer as problem:
            raise AgentError(f"{self._instance}: {problem}") from problem

    def _in_progress(self) -> bool:
        return "failover_in_progress" in self._master()["flags"].split(",")

    def _has_chosen(self) -> bool:
        """Whether Sentinel waits for the replica that it has chosen.

        Raises:
            AgentError: it gave up.
        """
        if not self._in_progress():
            raise AgentError(
                f"Sentinel found no replica of {self._instance} that could be the primary: not handed over"
            )
        return self._awaits_promotion()

    def _awaits_promotion(self) -> bool:
        return self._master().get("failover-state") == "wait_promotion"

    def _nominee(self) -> str | None:
        """The address of the replica that Sentinel has chosen."""
        replicas = self._sentinel("SENTINEL", "REPLICAS", self._instance)
        views = [facts.pairs_of(item) for item in replicas] if isinstance(replicas, list) else []
        return next((view["ip"] for view in views if "promoted" in view["flags"].split(",")), None)

    def _has_replica(self, primary: str) -> bool:
        view = self._instance_at(primary)
        return view is not None and any(item.state == "online" for item in view.replicas)

    def _agreed_primary(self) -> str | None:
        """The address that every Sentinel that answers calls the primary, if a majority answers; else None."""
        views = [
            self._ask(address, self._sentinel_port, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._instance)
            for address in self._addresses
        ]
        primaries = [str(view[0]) for view in views if isinstance(view, list) and view]
        if len(primaries) * 2 <= len(self._addresses) or len(set(primaries)) != 1:
            return None
        return primaries[0]

    def _all_follow(self, primary: str) -> bool:
        """Whether every instance that answers follows the primary, in sync, and the primary has them all online."""
        view = self._instance_at(primary)
        others = [self._instance_at(address) for address in self._addresses if address != primary]
        alive = [item for item in others if item is not None]
        return (
            view is not None
            and view.role == "master"
            and all(item.role == "slave" and item.primary_address == primary for item in alive)
            and all(item.primary_link_up and not item.loading for item in alive)
            and sum(item.state == "online" for item in view.replicas) >= len(alive)
        )

    def _keep_roles(self) -> None:
        """Have every instance write down its role, in which it starts when no Sentinel answers.

        Sentinel has those do it that it makes a primary or a replica itself.
        """
        for address in self._addresses:
            if self._instance_at(address) is not None:
                self._say(address, self._port, "CONFIG", "REWRITE")

    def _instance_at(self, address: str) -> RedisInstance | None:
        reply = self._ask(address, self._port, "INFO")
        return facts.parse_instance(reply) if isinstance(reply, str) else None

    def _ask(self, address: str, port: int, *words: str) -> facts.Reply:
        """One question; None when there is no answer."""
        with contextlib.suppress(NoAnswer, RedisRefusal):
            return ask(self._config, address, port, *words)
        return None

    def _say(self, address: str, port: int, *words: str) -> facts.Reply:
        """One order, or a question that must be answered.

        Raises:
            AgentError: it is not answered, or refused.
        """
        try:
            return ask(self._config, address, port, *words)
        except (NoAnswer, RedisRefusal) as problem:
            raise AgentError(f"{self._instance}: {' '.join(words[:2])}: {problem}") from problem

    def _sentinel(self, *words: str) -> facts.Reply:
        """One order to this node's Sentinel, or a question: the other ones do not know of its nomination."""
        return self._say(self._config.address, self._sentinel_port, *words)

    def _name(self, address: str) -> str:
        return next((item.name for item in self._config.members if item.address == address), address)

    def _wait(
        self, look: Callable[[], Found | None], seconds: float, problem: str, poll: float = POLL_SECONDS
    ) -> Found:
        """Look until something is found.

        Raises:
            AgentError: nothing was, in time.
        """
        end = time.monotonic() + seconds
        while True:
            if found := look():
                return found
            if time.monotonic() >= end:
                raise AgentError(f"{self._instance}: {problem} within {seconds:.0f} s")
            time.sleep(poll)
