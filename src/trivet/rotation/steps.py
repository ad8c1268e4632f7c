# SPDX-License-Identifier: GPL-3.0-or-later
"""How each step of a node is done: by the agents (drain, hand-over), by playbooks (stop, start) and by the provider."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from trivet.ansible import PlaybookEvent, run_playbook
from trivet.errors import ChangeHalted, RemoteError
from trivet.health.findings import State
from trivet.model import Environment, Node
from trivet.model.size import is_of_size
from trivet.providers import provider_for
from trivet.providers.reachable import wait_for_ssh
from trivet.remote import Nodes
from trivet.rotation.change import TAKES_OUT, Change, Kind, Step
from trivet.rotation.looks import Looks
from trivet.rotation.priorities import CorePriorities, OwnCores
from trivet.rotation.turn import (
    BEFORE_STOP,
    CATCH_UP,
    DRAIN,
    DRAIN_EXPIRES_SECONDS,
    HAND_OVER,
    LET_GO,
    UNDO,
    USED,
    WARM,
    OnTurn,
    Tell,
    Turn,
)
from trivet.rotation.view import blocking, others_broken, own_blocking
from trivet.services.gateway.turn import GatewayMove
from trivet.services.parts import parts
from trivet.services.registry import SERVICES, present
from trivet.verdict.assess import Verdict

SETTLE_SECONDS = 60.0
# Requests end within it; what does not is looked at.
QUICK_SECONDS = 3.0
# What is busy may stay so: a state transfer of a large database. What is broken is given the time of a slow start.
GATE_SECONDS = 3600.0
BROKEN_SECONDS = 120.0
CATCH_UP_SECONDS = 20.0
SOAK_SECONDS = 6.0
# Customers are served meanwhile, and a look costs every node some CPU.
LOOK_SECONDS = 2.0
# From its stop to its start a node may get another machine, and another agent.
AGENT_EXCHANGED = (Step.STOP, Step.RESIZE, Step.PATCH, Step.REBOOT, Step.REPLACE, Step.START)

TURNS = parts("turn", Turn)


class Patience:
    """How long something may be wrong: long when it is busy, short when it is broken.

    :param tell: takes each new reason to wait.
    """

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._since = time.monotonic()
        self._broken_since: float | None = None
        self._last = ""

    def spend(self, reason: str, broken: bool, what: str, next_command: str) -> None:
        """Told each time that it is still wrong.

        :raises ChangeHalted: when it has been for too long.
        """
        now = time.monotonic()
        if reason != self._last:
            self._last = reason
            self._tell(f"waiting: {reason}")
        self._broken_since = (self._broken_since or now) if broken else None
        if self._broken_since is not None and now - self._broken_since > BROKEN_SECONDS:
            raise ChangeHalted(f"{what}, and has been broken for {BROKEN_SECONDS:.0f} s: {reason}", next_command)
        if now - self._since > GATE_SECONDS:
            raise ChangeHalted(f"{what} after {GATE_SECONDS:.0f} s: {reason}", next_command)


class NodeSteps:
    """The steps of one node of a rotation.

    :param looks: at all nodes, shared with whoever asks for a recent one.
    :param change: what is done to the node while it is out.
    :param owner: the run, recorded with every flag that is set.
    :param tell: takes a line of progress.
    :param priorities: where nodes share cores; without, each has its own.
    """

    def __init__(
        self,
        environment: Environment,
        nodes: Nodes,
        looks: Looks,
        node: Node,
        change: Change,
        owner: str,
        tell: Tell,
        priorities: CorePriorities | None = None,
    ) -> None:
        self._environment = environment
        self._nodes = nodes
        self._looks = looks
        self._provider = provider_for(environment, tell)
        self._priorities = priorities or OwnCores()
        self._node = node
        self._change = change
        self._owner = owner
        self._tell = tell
        self._on = OnTurn(environment, nodes, node, owner, tell, self._priorities)
        absent = {*SERVICES} - {*present(environment.terms)}
        self._turns = {service: turn for service, turn in TURNS.items() if service not in absent}
        self._gateway = GatewayMove(nodes, owner, tell)

    def _of(self, services: Sequence[str]) -> list[Turn]:
        """The turns of services, in their order, without those that the environment does not have."""
        return [self._turns[service] for service in services if service in self._turns]

    def apply(self, step: Step) -> None:
        """Do one step and wait until it is done.

        :raises TrivetError: when it cannot be done; the rotation then halts.
        """
        self._nodes.want_session(self._node, step not in AGENT_EXCHANGED)
        if step in TAKES_OUT and self._change.kind is Kind.REPLACE and self._is_gone():
            self._tell("the machine does not answer: there is nothing to take out of use")
            return
        {
            Step.HAND_OVER: self.hand_over,
            Step.DRAIN: self.drain,
            Step.GATEWAY: self.move_gateways_away,
            Step.STOP: self.stop,
            Step.RESIZE: self.resize,
            Step.PATCH: self.patch,
            Step.REBOOT: self.reboot,
            Step.REPLACE: self.replace,
            Step.START: self.start,
            Step.GATE: self.gate,
            Step.UNDRAIN: self.undrain,
            Step.SOAK: self.soak,
        }[step]()

    def _is_gone(self) -> bool:
        return not self._nodes.run(self._node, ["true"]).reached

    def hand_over(self) -> None:
        """Move the database writer and the Redis primaries to another node, while new connections are held."""
        turns = self._of(HAND_OVER)
        sessions = [command for turn in turns for command in turn.sessions]
        with self._nodes.sessions(self._environment.proxies, "proxy", *sessions):
            for turn in turns:
                turn.hand_over(self._on)

    def drain(self) -> None:
        """Have every proxy send nothing new to the node, wait for what is in flight, keep shards where they are."""
        self._keep_drained()
        for turn in self._of(DRAIN):
            turn.drain(self._on)
        backends = [backend for turn in self._turns.values() for backend in turn.drained_in]
        answers = self._on.every_agent(*self._until("--idle-in", backends, QUICK_SECONDS))
        if not all(answer["done"] for answer in answers.values()):
            for turn in self._of(LET_GO):
                turn.let_go(self._on)
            answers = self._on.every_agent(*self._until("--idle-in", backends), timeout=SETTLE_SECONDS + 15)
        self._all_done(answers, f"every proxy to drain {self._node.name}")
        self._priorities.lower_node_priority(self._node.name)

    def _until(self, aim: str, backends: Sequence[str], seconds: float = SETTLE_SECONDS) -> tuple[str, ...]:
        """The question to an agent that is answered when its proxy uses the node, or has nothing to do with it."""
        return ("proxy", "wait", self._node.name, aim, ",".join(backends), "--timeout", str(seconds))

    def _all_done(self, answers: Mapping[str, Mapping[str, Any]], what: str) -> None:
        """Halt when a proxy gave up waiting.

        :raises ChangeHalted: with each one's reason.
        """
        if late := [f"{name}: {answer['why']}" for name, answer in answers.items() if not answer["done"]]:
            raise ChangeHalted(
                f"waited {SETTLE_SECONDS:.0f} s in vain for {what}: {'; '.join(late)}", self._on.status_command
            )

    def _keep_drained(self) -> None:
        """Set or renew the drain, so that a slow step does not outlive it."""
        self._nodes.agent(self._node, "drain", "all", "--owner", self._owner, "--expires", str(DRAIN_EXPIRES_SECONDS))

    def move_gateways_away(self) -> None:
        """Move every gateway address that the node holds to the next node, losslessly."""
        for address in self._nodes.agent(self._node, "gateway", "held")["held"]:
            self._gateway.move(address, self._node, self._gateway.next_holder(self._node))

    def stop(self) -> None:
        """Stop the services of the node, once nothing comes by way of it any more."""
        self._gateway.settle(self._node)
        for turn in self._of(BEFORE_STOP):
            turn.before_stop(self._on)
        self._playbook("rotation/stop.yml", rotation_owner=self._owner)

    def resize(self) -> None:
        """Stop the machine, make it larger, start it."""
        self._power_off()
        self._tell(f"resizing to size {self._change.size}")
        self._provider.resize(self._node, self._change.size)
        self._tell("starting the machine")
        self._provider.start(self._node)
        self._check_size()

    def reboot(self) -> None:
        """Stop the machine and start it."""
        self._power_off()
        self.power_on()

    def _power_off(self) -> None:
        self._tell("stopping the machine")
        self._provider.stop(self._node)
        self._nodes.hang_up(self._node)

    def power_on(self) -> None:
        """Have the machine run, whatever state a broken-off step left it in."""
        self._tell("starting the machine")
        self._provider.start(self._node)

    def patch(self) -> None:
        """Upgrade the node's packages while none of its services runs; restart the machine when one asks for it."""
        self._playbook("rotation/patch.yml")
        if self._nodes.run(self._node, ["test", "-e", "/run/reboot-required"]).code == 0:
            self._tell("an upgraded package needs the machine to be restarted")
            self.reboot()

    def replace(self) -> None:
        """Remove the machine, make a new one of the same name and address, and set it up from nothing.

        :raises TrivetError: when the provider could not make one, before anything is removed; when it gives it another
            address; when SSH does not reach it, with what SSH said.
        """
        if self._is_bare():
            self._tell("the machine has nothing of Trivet: it is the new one already, and is kept")
        else:
            self._make_anew()
        self._priorities.lower_node_priority(self._node.name)
        # Its address had another hardware address before: for some seconds neighbours still send to that one.
        wait_for_ssh(self._environment, self._node)
        self._playbook("rotation/replace.yml", rotation_owner=self._owner)

    def _is_bare(self) -> bool:
        """Whether the machine answers and was never set up as a node.

        An earlier attempt has made it then. Made once more it would have yet another host key, and an operator who has
        just accepted this one would never get past it.
        """
        return self._nodes.run(self._node, ["test", "-e", "/etc/trivet"]).code == 1

    def _make_anew(self) -> None:
        wanted = (self._node.name, self._environment.size, self._node.address)
        # Asked once more: a resumption may come long after the change was begun.
        self._provider.check_create(*wanted)
        self._tell("removing the machine")
        self._provider.delete(self._node)
        self._nodes.hang_up(self._node)
        self._tell("making a new machine")
        address = self._provider.create(*wanted)
        if address != self._node.address:
            raise ChangeHalted(
                f"the new machine of {self._node.name} has the address {address}; its peers know it as "
                f"{self._node.address}, so the provider must give it that one"
            )

    def _check_size(self) -> None:
        """Refuse to go on with a machine that did not become what was asked for.

        :raises ChangeHalted: when its CPUs differ, or its memory by more than the kernel keeps for itself.
        """
        target = self._provider.target(self._change.size)
        result = self._nodes.run(
            self._node, ["sh", "-c", "nproc; awk '/MemTotal/ {print int($2 / 1024)}' /proc/meminfo"]
        )
        words = result.output.split()
        if result.code != 0 or len(words) != 2:
            raise ChangeHalted(f"{self._node.name} does not say what it has: {result.error or result.output}")
        cpus, memory_mib = int(words[0]), int(words[1])
        if not is_of_size(cpus, memory_mib, target):
            raise ChangeHalted(
                f"{self._node.name} has {cpus} CPU and {memory_mib} MiB after the resize; "
                f"size {self._change.size} is {target.cpus} CPU and {target.memory_mib} MiB"
            )

    def start(self) -> None:
        """Configure the services for what the node now has, and start them."""
        self._playbook("rotation/start.yml")

    def gate(self) -> None:
        """Wait until nothing of the node is broken or busy, but for its own drain.

        When another node was lost meanwhile, this one is needed: then only what is wrong on itself counts, so that it
        is back before the change halts.

        :raises ChangeHalted: when something stays broken, or busy beyond all patience.
        """
        # Of a run that was broken off; the verdict would wait for it.
        self._gateway.settle(self._node)
        for turn in self._of(WARM):
            turn.warm(self._on)
        patience = Patience(self._tell)
        caught_up_at = 0.0
        whole = True
        while True:
            if time.monotonic() - caught_up_at > CATCH_UP_SECONDS:
                self._keep_drained()
                for turn in self._of(CATCH_UP):
                    turn.catch_up(self._on)
                caught_up_at = time.monotonic()
            # Every node is asked everything in the first look, where often nothing is wrong any more, and in the last:
            # what lets the node in was seen from all sides.
            verdict = self._look(None if whole else self._node)
            words = self._kept_out(verdict)
            if not words and whole:
                if lost := others_broken(verdict, self._node.name):
                    self._tell(f"{lost[0].node} is broken: this node is brought back at once")
                return
            whole = not words
            if words:
                # What is broken on the drained node itself is told as busy.
                broken = any(item.state is State.BROKEN or item.softened for item in verdict.findings)
                patience.spend(words[0], broken, f"{self._node.name} is not healthy", self._on.status_command)
                time.sleep(LOOK_SECONDS)

    def _look(self, heal_from: Node | None = None) -> Verdict:
        return self._looks.look(heal_from).verdict

    def _kept_out(self, verdict: Verdict) -> list[str]:
        """What keeps the node from being used; when another was lost, only what is wrong on itself."""
        if others_broken(verdict, self._node.name):
            return own_blocking(verdict, self._node.name)
        return blocking(verdict, drained=self._node.name)

    def undrain(self) -> None:
        """Use the node again, and bring its gateway address home."""
        # First: what is used must not be the last that gets a core, however this step ends.
        self._priorities.restore_node_priority(self._node.name)
        self._nodes.agent(self._node, "undrain", "all")
        try:
            # The proxies learn of it at their next checks, and the node's own HAProxy serves already.
            self._come_home()
        finally:
            self._use()

    def _come_home(self) -> None:
        """Bring the node's gateway address home, while every node answers."""
        try:
            self._gateway.come_home(self._node)
        except RemoteError as error:
            # keepalived has given the addresses of a lost node to others; they are sorted out when it is back.
            self._tell(f"the gateway addresses are left as they are: {error.message}")

    def _use(self) -> None:
        """Wait until every proxy uses the node, and have it take part in everything."""
        backends = [backend for turn in self._turns.values() for backend in turn.used_in]
        answers = self._on.answering_agents(*self._until("--used-in", backends), timeout=SETTLE_SECONDS + 15)
        self._all_done(answers, f"every proxy to use {self._node.name} again")
        for turn in self._of(USED):
            turn.used(self._on)

    def soak(self) -> None:
        """Have the whole environment healthy for a while, without a break.

        :raises ChangeHalted: when it stays broken, or busy beyond all patience.
        """
        since: float | None = None
        patience = Patience(self._tell)
        while True:
            asked = time.monotonic()
            # The last look asks every node everything.
            last = since is not None and asked - since >= SOAK_SECONDS
            verdict = self._look(None if last else self._node)
            words = blocking(verdict, drained=None)
            if words:
                since = None
                broken = verdict.state is State.BROKEN
                what = f"{self._environment.name} does not stay healthy"
                patience.spend(words[0], broken, what, self._on.status_command)
            elif last:
                return
            else:
                since = since or asked
            left = SOAK_SECONDS if since is None else max(0.0, since + SOAK_SECONDS - time.monotonic())
            # No look just before the last one.
            time.sleep(left if left < 2 * LOOK_SECONDS else LOOK_SECONDS)

    def undo_drain(self) -> None:
        """Take back what was done to a node that was not touched yet."""
        # A forward to a node that has died since would be of no use to anybody.
        self._gateway.settle(self._node)
        for turn in self._of(UNDO):
            turn.undo(self._on)
        self.undrain()

    def _playbook(self, playbook: str, **variables: str) -> None:
        role = ""

        def listen(event: PlaybookEvent) -> None:
            nonlocal role
            if event.role and event.role != role:
                role = event.role
                self._tell(role)

        run_playbook(
            self._environment,
            playbook,
            variables=variables,
            limit=[self._node.name],
            listener=listen,
            interruptible=False,
        )
