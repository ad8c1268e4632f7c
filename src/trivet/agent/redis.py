# SPDX-License-Identifier: GPL-3.0-or-later
"""``redis …``: hand the role of the primary over, by Sentinel, without losing a write."""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any, TypeVar

from trivet.agent.errors import AgentError
from trivet.health.collectors import redis as facts
from trivet.health.collectors.redis import RedisClient, RedisRefusal
from trivet.health.config import REDIS_PORTS, SENTINEL_PORT, NodeConfig
from trivet.health.external import Deadline, NoAnswer
from trivet.health.facts import RedisInstance

STATUS_SECONDS = 5.0
CALL_SECONDS = 2.0
CATCH_UP_SECONDS = 5.0
FAILOVER_SECONDS = 30.0
POLL_SECONDS = 0.05
HELD_POLL_SECONDS = 0.01
"""While clients are held, a look more costs less than their time."""

Found = TypeVar("Found")


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``redis …`` to the agent's command line."""
    commands = subparsers.add_parser("redis", help="Redis and Sentinel").add_subparsers(required=True)
    failover = commands.add_parser("failover", help="make a replica the primary, by Sentinel")
    failover.add_argument("instance", choices=tuple(REDIS_PORTS))
    failover.add_argument("--timeout", type=float, default=FAILOVER_SECONDS, metavar="SECONDS")
    failover.set_defaults(run=run_failover)
    settled = commands.add_parser("settled", help="wait until Sentinel and every replica have taken a primary over")
    settled.add_argument("instance", choices=tuple(REDIS_PORTS))
    settled.add_argument("--primary", required=True, metavar="NODE")
    settled.add_argument("--timeout", type=float, default=FAILOVER_SECONDS, metavar="SECONDS")
    settled.set_defaults(run=run_settled)
    commands.add_parser("status", help="the facts of this node").set_defaults(run=run_status)


def run_status(_args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """The facts that the health verdict is made of."""
    return asdict(facts.collect(NodeConfig.from_mapping(config), Deadline(STATUS_SECONDS)))


def run_failover(args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """Hand the primary over; call it while the proxies hold the backend."""
    return Failover(NodeConfig.from_mapping(config), args.instance, args.timeout).run()


def run_settled(args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """Wait for the end of a hand-over, which no client needs to wait for."""
    return Failover(NodeConfig.from_mapping(config), args.instance, args.timeout).settle(args.primary)


class Failover:
    """One hand-over of the primary of one instance.

    Args:
        seconds: how long Sentinel may take after the replicas have caught up.
    """

    def __init__(self, config: NodeConfig, instance: str, seconds: float) -> None:
        self._config = config
        self._instance = instance
        self._port = REDIS_PORTS[instance]
        self._addresses = [member.address for member in config.members]
        self._seconds = seconds

    def run(self) -> dict[str, Any]:
        """Hand over, until the new primary is one and has a replica. Clients are held meanwhile, so that is all.

        Sentinel looks at what it promoted once a second only, and tells the others after that: with the proxies held
        this is waited for by `settle`, after their release.

        Raises:
            AgentError: before anything was changed: the replicas did not catch up, or Sentinel refuses. After: no
                replica was promoted in time, or none follows it.
        """
        started = time.monotonic()
        old = self._agreed_primary()
        if old is None:
            raise AgentError(f"the Sentinels do not agree on the primary of {self._instance}: not handed over")
        held = HELD_POLL_SECONDS
        with self._writes_paused(old):
            self._wait(lambda: self._caught_up(old), CATCH_UP_SECONDS, "the replicas have not caught up", held)
            self._order_failover()
            new = self._wait(lambda: self._promoted(old), self._seconds, "no replica was promoted", held)
            # While its writes are paused: none may be acknowledged that the new primary never gets. Sentinel would say
            # the same to the old primary, but only after it saw it play the primary for 8 s.
            self._follow(old, new)
        self._wait(lambda: self._has_replica(new), self._seconds, f"no replica follows {new}", held)
        return {
            "instance": self._instance,
            "from": self._name(old),
            "to": self._name(new),
            "seconds": round(time.monotonic() - started, 3),
        }

    def settle(self, primary: str) -> dict[str, Any]:
        """Wait until every Sentinel calls a node the primary and every instance follows it.

        Args:
            primary: the node's name.

        Raises:
            AgentError: there is no such node, or they do not in time.
        """
        started = time.monotonic()
        address = next((item.address for item in self._config.members if item.name == primary), None)
        if address is None:
            raise AgentError(f"{primary} is no node of this environment")
        self._wait(lambda: self._agreed_primary() == address, self._seconds, "the Sentinels do not agree")
        self._wait(lambda: self._all_follow(address), self._seconds, f"not every replica follows {primary}")
        return {"instance": self._instance, "primary": primary, "seconds": round(time.monotonic() - started, 3)}

    def _promoted(self, old: str) -> str | None:
        """The address of the instance that has become a primary beside the old one."""
        for address in self._addresses:
            view = self._instance_at(address) if address != old else None
            if view is not None and view.role == "master":
                return address
        return None

    def _has_replica(self, primary: str) -> bool:
        view = self._instance_at(primary)
        return view is not None and any(item.state == "online" for item in view.replicas)

    def _agreed_primary(self) -> str | None:
        """The address that every Sentinel that answers calls the primary, if a majority answers; else None."""
        views = [
            self._ask(address, SENTINEL_PORT, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._instance)
            for address in self._addresses
        ]
        primaries = [str(view[0]) for view in views if isinstance(view, list) and view]
        if len(primaries) * 2 <= len(self._addresses) or len(set(primaries)) != 1:
            return None
        return primaries[0]

    def _caught_up(self, primary: str) -> bool:
        """Whether the primary has replicas, and all that are online are where it is."""
        view = self._instance_at(primary)
        if view is None or view.role != "master":
            return False
        online = [item.address for item in view.replicas if item.state == "online"]
        replicas = [self._instance_at(address) for address in online]
        return bool(online) and all(item is not None and item.offset == view.offset for item in replicas)

    def _order_failover(self) -> None:
        answers = []
        for address in sorted(self._addresses, key=lambda item: item != self._config.address):
            try:
                with self._client(address, SENTINEL_PORT) as client:
                    client.ask("SENTINEL", "FAILOVER", self._instance)
                return
            except NoAnswer as problem:
                answers.append(str(problem))
            except RedisRefusal as problem:
                if str(problem).startswith("INPROG"):
                    return
                raise AgentError(f"Sentinel refuses to hand {self._instance} over: {problem}") from problem
        raise AgentError(f"no Sentinel answers: {'; '.join(answers)}")

    @contextlib.contextmanager
    def _writes_paused(self, primary: str) -> Iterator[None]:
        """Hold back writes that do not come through a proxy, so that none is acknowledged and then lost."""
        milliseconds = int((CATCH_UP_SECONDS + self._seconds) * 1000)
        self._ask(primary, self._port, "CLIENT", "PAUSE", str(milliseconds), "WRITE")
        try:
            yield
        finally:
            self._ask(primary, self._port, "CLIENT", "UNPAUSE")

    def _follow(self, old: str, new: str) -> None:
        """Make the old primary a replica, if it does not know yet."""
        view = self._instance_at(old)
        if view is not None and view.role == "master":
            self._ask(old, self._port, "REPLICAOF", new, str(self._port))

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

    def _instance_at(self, address: str) -> RedisInstance | None:
        reply = self._ask(address, self._port, "INFO")
        return facts.parse_instance(reply) if isinstance(reply, str) else None

    def _ask(self, address: str, port: int, *words: str) -> facts.Reply:
        """One question; None when there is no answer."""
        with contextlib.suppress(NoAnswer, RedisRefusal), self._client(address, port) as client:
            return client.ask(*words)
        return None

    def _client(self, address: str, port: int) -> RedisClient:
        return RedisClient(address, port, self._config.redis_password, Deadline(CALL_SECONDS))

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
