# SPDX-License-Identifier: GPL-3.0-or-later
"""``heal``: look, decide, act, record. Unit ``trivet-heal.service``.

A process of its own beside ``serve``: that one has no rights and must answer within milliseconds, while this one
restarts units and waits for programs. When it dies or is stopped, nothing is repaired, and nothing else changes.

A node that is well is looked at cheaply every few seconds (:mod:`trivet.agent.pulse`) and thoroughly now and then; what
GlusterFS has to heal, four fifths of the price of a thorough look, is then asked for less often still.
When something changes, it is looked at thoroughly every time for a while; what then stays as it is, is looked at now
and then again: a node that is down for days must not cost the others anything.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from trivet.agent import act, pulse
from trivet.agent.alerts import Alerts, alert_of, alerts_from
from trivet.agent.channel import PORT, Channel, Untrusted, listening
from trivet.agent.events import EVENTS_DIRECTORY, EventJournal
from trivet.agent.lease import VoteFile
from trivet.agent.repair import (
    AGENT_OWNER,
    Action,
    Decision,
    Memory,
    Notice,
    Policy,
    decide,
    keeps_off,
    memory_from_dict,
    memory_to_dict,
)
from trivet.agent.systemd import notify, watchdog_seconds
from trivet.health.config import LEASE_FILE, PAUSE_DIRECTORY, PAUSE_FLAG, Member, NodeConfig
from trivet.health.external import NoAnswer
from trivet.health.facts import LeaseMode, NodeFacts
from trivet.health.parallel import together
from trivet.node.errors import AgentError
from trivet.node.flag_files import FlagFiles
from trivet.node.symptom import View
from trivet.services.database import command as galera
from trivet.services.database.election import MemberReport, elect
from trivet.services.database.facts import DatabaseFacts
from trivet.services.database.repair import BOOTSTRAP
from trivet.services.host import contract as host
from trivet.verdict.collect import PARTS, Collectors, collect_node
from trivet.verdict.facts import facts_from_dict

SETTINGS_FILE = host.HEAL_FILE.default
LEASE_SECONDS = 180.0
"""Longer than an act that takes something away is waited for."""
LONG_LEASE_SECONDS = galera.START_SECONDS + 60.0
PEER_SECONDS = 9.0
FRESH_SECONDS = 10.0
"""Facts that a peer asks for are collected anew when they are older, while something is wrong."""
ROUTINE_LOOKS = 1.5
"""How old a peer's facts may be while nothing is wrong, in times between looks. Nothing is ever done after one look."""
RESTLESS_SECONDS = 120.0
"""How long every look is a thorough one after a change; longer than any symptom has to last."""

HEAL_REPORT_SECONDS = 300.0
"""How old what is to heal may be while nothing is wrong. The pulse sees the entries that wait and the bricks that are
not heard, so this is only in case that it does not."""

COLLECTED: Collectors = {name: (part.own or part.full, part.facts) for name, part in PARTS.items()}
"""What the healer asks of its node: it repairs the node, and not what the front page says beyond that."""
ROUTINE: Collectors = {name: (part.own or part.often or part.full, part.facts) for name, part in PARTS.items()}
"""The same without what there is to heal."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """How the healer works; ``heal.json`` of role ``agent``."""

    secret: str
    pulse_seconds: float
    look_seconds: float
    alerts: Alerts

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any]) -> Settings:
        """Read the content of ``heal.json``.

        Raises:
            ValueError: a value is missing or does not fit.
        """
        try:
            return cls(
                secret=str(data["secret"]),
                pulse_seconds=float(data["pulse_seconds"]),
                look_seconds=float(data["look_seconds"]),
                alerts=alerts_from(data),
            )
        except (KeyError, TypeError) as problem:
            raise ValueError(f"{SETTINGS_FILE} does not fit: {problem!r}") from problem


@dataclass(frozen=True)
class Places:
    """Where a node keeps what the healer reads and writes."""

    events: Path = EVENTS_DIRECTORY
    pause: Path = PAUSE_DIRECTORY
    lease: Path = LEASE_FILE
    memory: Path = host.HEAL_MEMORY_FILE.default
    """In /run: its moments are those of the monotonic clock, which begins with the machine."""


PLACES = Places()


@dataclass(frozen=True)
class Look:
    """What this node says of itself, and when that was read (monotonic clock)."""

    facts: NodeFacts
    report: MemberReport
    at: float

    @property
    def age(self) -> float:
        """Seconds since it was read."""
        return time.monotonic() - self.at


class Looker:
    """Collects this node's facts, one collection at a time, whoever asks."""

    def __init__(self, config: NodeConfig) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._last: Look | None = None

    def look(self, oldest: float = 0.0, *, heal: bool = False) -> Look:
        """The facts of this node, at most ``oldest`` seconds old.

        Args:
            heal: whether facts collected now hold what there is to heal.
        """
        with self._lock:
            if self._last is None or self._last.age > oldest:
                collected = collect_node(self._config, COLLECTED if heal else ROUTINE)
                facts = facts_from_dict(json.loads(json.dumps(collected)))
                self._last = Look(facts, galera.report_of(self._config.name, facts.of(DatabaseFacts)), time.monotonic())
            return self._last


class Healer:
    """The agent that repairs its node, and with the others the cluster."""

    def __init__(
        self,
        config: NodeConfig,
        data: Mapping[str, Any],
        settings: Settings,
        port: int = PORT,
        places: Places = PLACES,
    ) -> None:
        self._config = config
        self._port = port
        self._data = data
        self._settings = settings
        self._channel = Channel(config, settings.secret, port)
        self._looker = Looker(config)
        self._journal = EventJournal(places.events)
        self._pauses = FlagFiles(places.pause)
        self._vote = VoteFile(places.lease)
        self._memory_file = places.memory
        self._policy = Policy()
        self._memory: Memory = load_memory(places.memory)
        self._held_back: str | None = None
        self._acting: threading.Thread | None = None
        self._looked = float("-inf")
        self._asked_heal = float("-inf")
        self._silent: tuple[str, ...] = ()
        self._runs: Mapping[str, int] = {}
        self._restless_until = float("-inf")

    @property
    def _others(self) -> list[Member]:
        return [member for member in self._config.members if member.name != self._config.name]

    # ---------------------------------------------------------------- the loop

    def run(self) -> None:
        """Look, decide and act until systemd says stop."""
        self.listen()
        self._record("agent started")
        notify("READY=1")
        beat = watchdog_seconds() or self._settings.pulse_seconds
        while True:
            began = time.monotonic()
            notify("WATCHDOG=1")
            self.step()
            left = began + self._settings.pulse_seconds - time.monotonic()
            time.sleep(max(0.5, min(left, beat)))

    def listen(self) -> socket.socket:
        """Answer the other agents from now on, until the returned listener is closed."""
        listener = listening(self._config.address, self._port)
        threading.Thread(target=self._channel.serve, args=(listener, self.answer), daemon=True).start()
        return listener

    def step(self) -> None:
        """One look, and what follows from it; nothing while an earlier repair is still under way."""
        if self.busy or not self._worth_a_look():
            return
        self._looked = time.monotonic()
        before = self._present
        decision = decide(self.view(), self._memory, time.monotonic(), self._policy)
        self._memory = decision.memory
        if self._present != before or decision.held_back != self._held_back or decision.actions or decision.notices:
            self._stir()
        save_memory(self._memory_file, decision.memory)
        self._tell(decision)
        if decision.actions:
            self._acting = threading.Thread(target=self._act, args=(decision.actions,), daemon=True)
            self._acting.start()

    def _worth_a_look(self) -> bool:
        """Whether a thorough look is due: by its time, after a unit was started anew, or while something is wrong.

        What stays wrong as it is, is not looked at so often for ever.
        """
        silent = pulse.silent(self._config)
        if silent != self._silent:
            self._silent = silent
            self._stir()
        before, self._runs = self._runs, pulse.runs(self._config.units)
        # systemd brings back what falls before the pulse misses it.
        anew = any(self._runs[path] != number for path, number in before.items() if path in self._runs)
        wrong = bool(silent or self._present)
        now = time.monotonic()
        due = now - self._looked >= self._settings.look_seconds
        return due or anew or (wrong and now < self._restless_until)

    def _heal_report_due(self, *, wrong: bool) -> bool:
        """Whether to ask now what there is to heal; always while something is wrong."""
        now = time.monotonic()
        due = wrong or now - self._asked_heal >= HEAL_REPORT_SECONDS
        if due:
            self._asked_heal = now
        return due

    def _stir(self) -> None:
        self._restless_until = time.monotonic() + RESTLESS_SECONDS

    @property
    def busy(self) -> bool:
        """Whether a repair is under way."""
        return self._acting is not None and self._acting.is_alive()

    @property
    def _present(self) -> frozenset[str]:
        """What was wrong at the last look."""
        return frozenset(key for key, incident in self._memory.items() if incident.gone_since is None)

    def view(self) -> View:
        """What this node and those that answer say now."""
        wrong = self._silent or self._present
        oldest = FRESH_SECONDS if wrong else ROUTINE_LOOKS * self._settings.look_seconds
        questions: dict[str, Callable[[], tuple[NodeFacts, MemberReport]]] = {
            f"{self._config.name} asks {peer.name}": partial(self._peer, peer, oldest) for peer in self._others
        }
        # At the same time: while something hangs, each of them takes seconds.
        itself = f"{self._config.name} looks at itself"
        questions[itself] = partial(self._itself, heal=self._heal_report_due(wrong=bool(wrong)))
        looks = together(questions, PEER_SECONDS)
        own = looks.pop(itself)
        # Not there in time on a machine that is very slow: waited for.
        facts, report = self._itself(oldest=PEER_SECONDS) if isinstance(own, NoAnswer) else own
        heard = [look for look in looks.values() if not isinstance(look, NoAnswer)]
        reports = {said.node: said for _, said in heard} | {self._config.name: report}
        return View(self._config, facts, {peer.node: peer for peer, _ in heard}, reports)

    def _itself(self, oldest: float = 0.0, *, heal: bool = False) -> tuple[NodeFacts, MemberReport]:
        look = self._looker.look(oldest, heal=heal)
        return look.facts, look.report

    def _peer(self, member: Member, oldest: float) -> tuple[NodeFacts, MemberReport]:
        """A peer's facts and report, at most so many seconds old.

        Raises:
            NoAnswer: it does not say, or it is not who it should be.
        """
        try:
            answer = self._channel.ask(member, "look", oldest=oldest)
            facts, report = facts_from_dict(answer["facts"]), MemberReport.from_dict(answer["report"])
        except (AgentError, Untrusted, ValueError, TypeError, KeyError) as problem:
            raise NoAnswer(str(problem)) from problem
        if (facts.node, report.node) != (member.name, member.name):
            raise NoAnswer(f"{member.name} answers as {facts.node}")
        return facts, report

    # ---------------------------------------------------------------- answering peers

    def answer(self, asker: str, question: str, arguments: Mapping[str, Any]) -> Any:
        """Answer a question of another agent.

        Raises:
            AgentError: this node does not know the question, or does not give its vote.
        """
        if question == "look":
            look = self._looker.look(max(FRESH_SECONDS, float(arguments["oldest"])))
            report = replace(look.report, age_seconds=look.age)
            return {"facts": look.facts.to_dict(), "report": report.to_dict()}
        if question == "report":
            return galera.report(self._config).to_dict()
        if question == "given vote":
            return self._vote.vote()
        owner = f"{AGENT_OWNER}{asker}"
        if question == "vote":
            seconds = min(float(arguments["seconds"]), LONG_LEASE_SECONDS)
            self._refuse_when_paused()
            return self._vote.acquire(owner, str(arguments["purpose"]), seconds, LeaseMode.REPAIR)
        if question == "return vote":
            return self._vote.release(owner)
        raise AgentError(f"unknown question: {question}")

    def _refuse_when_paused(self) -> None:
        if flag := self._pauses.get(PAUSE_FLAG):
            raise AgentError(f"{self._config.name} is paused by {flag.owner}")

    # ---------------------------------------------------------------- acting

    def _act(self, actions: tuple[Action, ...]) -> None:
        for action in actions:
            words = {"service": action.symptom.service, "incident": action.symptom.key, "attempt": action.attempt}
            began = time.monotonic()
            try:
                did = self._perform(action)
            except (RuntimeError, OSError, ValueError) as problem:
                self._record("repair failed", **words, text=str(problem), seconds=round(time.monotonic() - began, 1))
            else:
                self._record("repaired", **words, text=did, seconds=round(time.monotonic() - began, 1))

    def _perform(self, action: Action) -> str:
        """Do one thing, if nobody has taken the lease or paused since the look.

        Raises:
            AgentError: it was not done.
        """
        remedy = action.symptom.remedy
        assert remedy is not None
        self._refuse_when_paused()
        self._refuse_while_leased()
        if not action.needs_lease:
            return act.perform(remedy, self._config, self._data)
        seconds = LONG_LEASE_SECONDS if remedy.kind == BOOTSTRAP else LEASE_SECONDS
        with self._lease(f"repair of {action.symptom.subject}: {action.symptom.problem}", seconds):
            if remedy.kind == BOOTSTRAP:
                self._elect_again(remedy.arguments[0])
            return act.perform(remedy, self._config, self._data)

    def _refuse_while_leased(self) -> None:
        """Make sure that no member that answers gave its vote to somebody who keeps healers off.

        Raises:
            AgentError: somebody has.
        """
        questions = {
            f"{self._config.name} asks {peer.name} for its vote": partial(self._channel.ask, peer, "given vote")
            for peer in self._others
        }
        for vote in (self._vote.vote(), *together(questions, PEER_SECONDS).values()):
            if isinstance(vote, dict) and keeps_off(str(vote["owner"]), vote.get("mode")):
                raise AgentError(f"{vote['owner']} has taken the lease for: {vote['purpose']}")

    def _elect_again(self, position: str) -> None:
        """Ask every member once more, now that nobody else may act.

        Raises:
            AgentError: this node is not elected any more, at this position.
        """
        reports = {self._config.name: galera.report(self._config)}
        for member in self._others:
            with contextlib.suppress(AgentError, Untrusted, TypeError, ValueError):
                reports[member.name] = MemberReport.from_dict(self._channel.ask(member, "report"))
        election = elect(self._config.members, reports)
        if not election.acts(self._config.name) or election.position != position:
            raise AgentError(f"not bootstrapped: {election.reason}")

    @contextmanager
    def _lease(self, purpose: str, seconds: float) -> Iterator[None]:
        """Have the votes of a majority of the members.

        Raises:
            AgentError: somebody else has them, or too few answer.
        """
        owner = f"{AGENT_OWNER}{self._config.name}"
        refusals = []
        votes = 0
        try:
            for member in self._config.members:
                try:
                    if member.name == self._config.name:
                        self._vote.acquire(owner, purpose, seconds, LeaseMode.REPAIR)
                    else:
                        self._channel.ask(member, "vote", purpose=purpose, seconds=seconds)
                    votes += 1
                except RuntimeError as problem:
                    refusals.append(str(problem))
            if votes * 2 <= len(self._config.members):
                raise AgentError(f"no lease: {'; '.join(refusals)}")
            yield
        finally:
            self._vote.release(owner)
            for member in self._others:
                # A vote that is not given back ends by itself.
                with contextlib.suppress(AgentError, Untrusted):
                    self._channel.ask(member, "return vote")

    # ---------------------------------------------------------------- telling

    def _tell(self, decision: Decision) -> None:
        if decision.held_back != self._held_back:
            self._held_back = decision.held_back
            kind = "holds back" if decision.held_back else "repairs again"
            self._record(kind, text=decision.held_back or "nobody works on this node")
        for notice in decision.notices:
            self._tell_of(notice)
        for action in decision.actions:
            remedy = asdict(action.symptom)["remedy"]
            self._record("repairs", incident=action.symptom.key, attempt=action.attempt, remedy=remedy)

    def _tell_of(self, notice: Notice) -> None:
        alert = alert_of(self._config.environment, self._config.name, notice)
        self._record(str(notice.news), **{key: alert[key] for key in ("service", "reason", "next_command", "attempts")})
        if notice.alert:
            threading.Thread(target=self._alert, args=(alert,), daemon=True).start()

    def _alert(self, alert: Mapping[str, Any]) -> None:
        for problem in self._settings.alerts.send(alert):
            self._record("alert failed", text=problem, incident=alert["incident"])

    def _record(self, kind: str, **values: Any) -> None:
        log.info("%s %s", kind, json.dumps(values, default=str))
        try:
            self._journal.append(self._config.name, kind, **values)
        except OSError as problem:
            # A full disk must not keep the agent from repairing.
            log.warning("the event was not written: %s", problem)


def load_memory(path: Path) -> Memory:
    """What an earlier life of this process remembered; nothing when it cannot be read."""
    try:
        return memory_from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def save_memory(path: Path, memory: Memory) -> None:
    """Keep the attempts over a restart of this process: otherwise they would never end."""
    staged = path.with_name(f".{path.name}.new")
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        staged.write_text(json.dumps(memory_to_dict(memory)), encoding="utf-8")
        staged.replace(path)


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``heal`` to the agent's command line."""
    subparsers.add_parser("heal", help="look, decide, repair, record").set_defaults(run=run_heal)


def run_heal(_args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """Heal until systemd says stop.

    Raises:
        AgentError: this is a web node: its repairs are the members' business, and it has none.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    node = NodeConfig.from_mapping(config)
    if node.web_only:
        raise AgentError(f"{node.name} is no member of the environment's clusters")
    settings = Settings.from_mapping(json.loads(SETTINGS_FILE.read_text(encoding="utf-8")))
    Healer(node, config, settings).run()
    return {}
