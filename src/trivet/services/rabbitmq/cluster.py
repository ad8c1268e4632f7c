# SPDX-License-Identifier: GPL-3.0-or-later
"""This node's part in the cluster: how it comes into one, and how it steps aside for a while.

A broker without data that is started forms a cluster of its own, and nothing in RabbitMQ keeps it from that when its
peers cannot be reached. So it is nobody's cluster until it has a mark in its data: a node without the mark joins
whoever has one, and never the reverse. The application's virtual host is made in a marked cluster only, so an unmarked
one has nothing to lose.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trivet.health.external import Deadline, NoAnswer, NotRunning, run
from trivet.services.rabbitmq import questions
from trivet.services.rabbitmq.broker import Broker, Refused, atom
from trivet.services.rabbitmq.contract import HOME

UNIT = "rabbitmq-server"
DATA = HOME.default / "mnesia"
MARK = "trivet-member"
"""A file in the data of a broker that has formed, or joined, the cluster."""
CALL_SECONDS = 3.0
BOOT_SECONDS = 120.0
"""A broker without data waits for nobody."""
JOIN_SECONDS = 120.0
POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Report:
    """What a node says of its broker, running or not.

    Attributes:
        node: name of the node.
        data: ``none``, ``unfinished`` (a start that was broken off) or ``member``.
        up: whether the broker serves.
        members: the brokers of its cluster, as it knows them.
    """

    node: str
    data: str
    up: bool
    members: tuple[str, ...]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Report:
        """Read what ``asdict`` gave.

        Raises:
            KeyError, TypeError, ValueError: it is no report.
        """
        if data["data"] not in ("none", "unfinished", "member"):
            raise ValueError(f"data {data['data']!r}")
        return cls(str(data["node"]), str(data["data"]), bool(data["up"]), tuple(data["members"]))


def broker_name(node: str) -> str:
    """The Erlang name of a node's broker."""
    return f"rabbit@{node}"


def why_not_form(members: Iterable[str], reports: Mapping[str, Report]) -> str | None:
    """Why no new cluster may be formed; None when it may. Pure.

    Args:
        members: the names of all nodes.
        reports: what they say.
    """
    missing = [name for name in members if name not in reports]
    if missing:
        return f"nobody knows what {', '.join(missing)} has"
    with_data = [name for name in members if reports[name].data == "member"]
    if with_data:
        return f"{', '.join(with_data)} has data of a cluster: it is started, and the others join it"
    return None


class Member:
    """The broker of one node.

    Args:
        node: its name.
        peers: the names of the others.
        data: where brokers keep their data.
    """

    def __init__(self, node: str, peers: Sequence[str], data: Path = DATA) -> None:
        self.node = node
        self.peers = tuple(peers)
        self.name = broker_name(node)
        self.broker = Broker(self.name)
        self.directory = data / self.name

    @property
    def marked(self) -> bool:
        """Whether its data is that of a member."""
        return (self.directory / MARK).exists()

    def report(self) -> Report:
        """What it says now; reads only."""
        said: Mapping[str, Any] = {}
        with contextlib.suppress(NoAnswer, Refused):
            said = self.look()
        members = tuple(sorted(said.get("members") or self._saved_members()))
        without = "unfinished" if members else "none"
        data = "member" if self.marked or len(members) > 1 else without
        return Report(self.node, data, said.get("up") is True, members)

    def look(self, seconds: float = CALL_SECONDS) -> Mapping[str, Any]:
        """The broker's answer to :data:`questions.LOOK`.

        Raises:
            NoAnswer: it does not run, or does not answer.
            Refused: it could not say.
        """
        said: Mapping[str, Any] = self.broker.evaluate(questions.LOOK, seconds)
        return said

    def _saved_members(self) -> list[str]:
        try:
            text = (self.directory / "cluster_nodes.config").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return []
        # {[all members], [those on disk, or running]}.
        return re.findall(r"[\w-]+@[\w.-]+", text.partition("]")[0])

    # ---------------------------------------------------------------- coming

    def start(self) -> str:
        """Start the broker; one without a cluster joins that of its peers.

        Returns:
            ``started`` (and not waited for), ``joined``, or ``nobody``: no peer is up that could be joined.

        Raises:
            NoAnswer, Refused: it did not come up, or could not join; peers are of two clusters.
        """
        if self.report().data == "member":
            self._mark()
            _systemctl("start", "--no-block", UNIT)
            return "started"
        peer = self._peer_to_join()
        if peer is None:
            return "nobody"
        self._boot()
        self._join(peer)
        return "joined"

    def form(self) -> None:
        """Form a new cluster of this node alone; whoever calls has made sure that no node has data.

        Raises:
            NoAnswer, Refused: it did not come up; it has data.
        """
        if self.report().data == "member":
            raise Refused(f"{self.node} has data of a cluster")
        self._boot()
        self._mark()

    def _peer_to_join(self) -> str | None:
        clusters: dict[str, frozenset[str]] = {}
        for peer in self.peers:
            name = broker_name(peer)
            with contextlib.suppress(NoAnswer):
                said = Broker(name).evaluate(_IS_MEMBER % MARK, CALL_SECONDS)
                if said["member"]:
                    clusters[name] = frozenset(said["members"])
        for name, members in clusters.items():
            strangers = [other for other in clusters if other not in members]
            if strangers:
                raise Refused(f"{name} and {', '.join(strangers)} are of different clusters: a human decides")
        return next(iter(clusters), None)

    def _boot(self) -> None:
        _systemctl("start", "--no-block", UNIT)
        end = time.monotonic() + BOOT_SECONDS
        while True:
            with contextlib.suppress(NoAnswer, Refused):
                if self.look()["up"]:
                    return
            if time.monotonic() > end:
                raise NoAnswer(f"{self.name} did not come up within {BOOT_SECONDS:.0f} s")
            time.sleep(POLL_SECONDS)

    def _join(self, peer: str) -> None:
        self.broker.evaluate("rabbit:stop(), ok", JOIN_SECONDS)
        try:
            self.broker.evaluate(_JOIN % atom(peer), JOIN_SECONDS)
        except Refused as problem:
            if "inconsistent_cluster" not in str(problem):
                raise
            # The peers still know the machine that was here before. Its data is gone, so its place is free.
            Broker(peer).evaluate(_FORGET % {"node": atom(self.name)}, JOIN_SECONDS)
            self.broker.evaluate(_JOIN % atom(peer), JOIN_SECONDS)
        self.broker.evaluate("rabbit:start(), ok", JOIN_SECONDS)
        self._mark()

    def _mark(self) -> None:
        (self.directory / MARK).touch()

    def settle(self, seconds: float) -> tuple[bool, str]:
        """Wait until this node's broker is in its cluster, with a copy of every queue.

        Returns:
            Whether it is, and what is missing.
        """
        end = time.monotonic() + seconds
        while True:
            missing = self.unsettled()
            if missing is None:
                return True, ""
            if time.monotonic() > end:
                return False, missing
            time.sleep(POLL_SECONDS)
            with contextlib.suppress(NoAnswer, Refused):
                self.grow()

    def unsettled(self) -> str | None:
        """What keeps the broker from serving as a member; None when nothing does."""
        if not self.marked:
            return "it is no member of a cluster"
        try:
            said = self.look()
        except (NoAnswer, Refused) as problem:
            return str(problem)
        if not said["up"]:
            return "it waits for its cluster"
        if count := said["not_member"]["count"]:
            return f"it has no copy of {count} queues"
        if (count := said["stopped"]["count"]) and not said["maintenance"]:
            return f"its copies of {count} queues do not run"
        return None

    def grow(self) -> list[str]:
        """Give this node a copy of every quorum queue that has none here. The queues.

        Raises:
            NoAnswer, Refused: not all got one.
        """
        said: list[str] = self.broker.evaluate(_GROW, JOIN_SECONDS)
        return said

    # ---------------------------------------------------------------- stepping aside

    def critical(self) -> list[str]:
        """The queues that would stop, or lose messages, without this node; none where it has stepped aside already.

        Raises:
            NoAnswer, Refused: it does not say.
        """
        if not self.peers or self.look()["maintenance"]:
            return []
        said: list[str] = self.broker.evaluate(questions.CRITICAL, CALL_SECONDS)
        return said

    def hand_over(self, seconds: float) -> Mapping[str, Any]:
        """Hand the leaders of queues to other nodes, take no clients any more, and tell those that are there to go.

        Args:
            seconds: how long to wait until no queue needs this node.

        Raises:
            NoAnswer, Refused: queues still need this node, or it does not answer. Nothing was done then.
        """
        end = time.monotonic() + seconds
        while critical := self.critical():
            if time.monotonic() > end:
                raise Refused(
                    f"{self.node} is needed by {len(critical)} queues: {', '.join(critical[: questions.SHOWN])}"
                )
            time.sleep(POLL_SECONDS)
        said: Mapping[str, Any] = self.broker.evaluate(_HAND_OVER, JOIN_SECONDS)
        return said

    def take_part(self) -> Mapping[str, Any]:
        """Take clients again, and the node's share of the leaders.

        Raises:
            NoAnswer, Refused: it does not answer.
        """
        said: Mapping[str, Any] = self.broker.evaluate(_TAKE_PART, JOIN_SECONDS)
        return said


def _systemctl(*words: str) -> None:
    output = run(["systemctl", *words], Deadline(CALL_SECONDS))
    if output.code != 0:
        raise NotRunning(f"systemctl {' '.join(words)}: {output.complaint}")


_IS_MEMBER = """
#{members => rabbit_mnesia:cluster_nodes(all),
  member => rabbit:is_running() andalso filelib:is_file(filename:join(rabbit_mnesia:dir(), "%s"))}
"""
_JOIN = """
case rabbit_mnesia:join_cluster(%s, disc) of
  ok -> ok;
  {ok, already_member} -> ok;
  {error, Why} -> throw({refused, io_lib:format("~0tp", [Why])})
end
"""
_FORGET = """
ok = rabbit_mnesia:forget_cluster_node(%(node)s, false), rabbit_quorum_queue:shrink_all(%(node)s), ok
"""
_GROW = """
Grown = case rabbit:is_running() of
  true -> rabbit_quorum_queue:grow(node(), <<".*">>, <<".*">>, all);
  false -> []
end,
case [{Name, Why} || {Name, {error, _, Why}} <- Grown] of
  [] -> [iolist_to_binary(rabbit_misc:rs(Name)) || {Name, _} <- Grown];
  Left -> throw({refused, io_lib:format("no copy here of ~b queues: ~0tp", [length(Left), hd(Left)])})
end
"""
_HAND_OVER = """
case rabbit_maintenance:is_being_drained_local_read(node()) of
  true -> #{leaders => 0, connections => 0};
  false ->
    Others = rabbit_maintenance:primary_replica_transfer_candidate_nodes(),
    Leaders = rabbit_amqqueue:list_local_leaders(),
    lists:foreach(fun({Index, Q}) ->
        case [N || N <- rabbit_amqqueue:get_quorum_nodes(Q), lists:member(N, Others)] of
          [] -> ok;
          Candidates ->
            Next = lists:nth(Index rem length(Candidates) + 1, Candidates),
            rabbit_quorum_queue:transfer_leadership(Q, Next)
        end
      end, lists:zip(lists:seq(1, length(Leaders)), Leaders)),
    case Others of [] -> ok; _ -> rabbit_maintenance:transfer_leadership_of_classic_mirrored_queues(Others) end,
    Connections = length(rabbit_networking:local_connections()),
    ok = rabbit_maintenance:drain(),
    #{leaders => length(Leaders), connections => Connections}
end
"""
_TAKE_PART = """
Drained = rabbit_maintenance:is_being_drained_local_read(node()),
case Drained of true -> ok = rabbit_maintenance:revive(); false -> ok end,
case rabbit_mnesia:cluster_nodes(running) of
  [_] -> ok;
  _ -> rabbit_amqqueue:rebalance(quorum, <<".*">>, <<".*">>)
end,
#{revived => Drained}
"""
