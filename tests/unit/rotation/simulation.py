# SPDX-License-Identifier: GPL-3.0-or-later
"""A simulated cluster of three nodes, whose runner can die before or after any single act.

Only what the engine talks to is simulated; the engine, the journal's merging and the progress are the real ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from tests.unit.environments import NAMES
from trivet.agent.journal import merge, summary
from trivet.errors import ChangeHalted, LeaseHeld, RemoteError
from trivet.health.findings import Finding, State
from trivet.model import Environment, Size
from trivet.model.size import size_named
from trivet.rotation.change import Change, Kind, Step
from trivet.rotation.plan import Roles
from trivet.rotation.view import View
from trivet.verdict.assess import Verdict

SERVICES = ("web", "database", "files")


class Killed(BaseException):
    """The runner got signal 9."""


@dataclass
class Machine:
    """One node."""

    size: str = "6"
    configured_for: str = "6"
    powered: bool = True
    drained: bool = False
    broken: bool = False
    patched: bool = False
    generation: int = 1
    services: set[str] = field(default_factory=lambda: set(SERVICES))
    journals: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    stops: dict[str, str] = field(default_factory=dict)

    @property
    def serves(self) -> bool:
        return self.powered and not self.drained and not self.broken and self.services == set(SERVICES)


@dataclass
class World:
    """The cluster itself, which outlives its runners.

    `fails` maps (node, step) to the error that its next attempt raises. `acts` logs everything that was done.
    """

    machines: dict[str, Machine] = field(default_factory=lambda: {name: Machine() for name in NAMES})
    writer: str = NAMES[0]
    homes: dict[str, str] = field(default_factory=lambda: {name: name for name in NAMES})
    allocation: str = "all"
    recorded: str = "6"
    lease: tuple[str, str] | None = None
    lease_alive: bool = False
    fails: dict[tuple[str, Step], BaseException] = field(default_factory=dict)
    then: dict[tuple[str, Step], Callable[[World], None]] = field(default_factory=dict)
    acts: list[str] = field(default_factory=list)
    steps: list[tuple[str, str]] = field(default_factory=list)
    refused_checks: str = ""
    refused_new: str = ""
    strangers: tuple[str, ...] = ()
    kept: dict[str, tuple[str, ...]] = field(default_factory=dict)
    session_mib: int = 1
    table_warnings: tuple[str, ...] = ()
    foreign_agents: tuple[str, ...] = ()
    least_serving: int = 3

    def note(self, what: str) -> None:
        self.acts.append(what)
        self.least_serving = min(self.least_serving, sum(machine.serves for machine in self.machines.values()))

    def shape(self) -> dict[str, Any]:
        """What must be the same however the way there was."""
        return {
            "machines": {
                name: (m.size, m.configured_for, m.powered, m.drained, frozenset(m.services), m.patched)
                for name, m in self.machines.items()
            },
            "homes": dict(self.homes),
            "allocation": self.allocation,
            "recorded": self.recorded,
            "held": None,
        }


class Handle:
    """What one runner has of the world. `kill_at`: number of the act at which it dies, before or after its effect."""

    def __init__(self, world: World, kill_at: int | None = None, after: bool = False) -> None:
        self.world = world
        self._kill_at = kill_at
        self._after = after
        self.count = 0
        self.dead = False
        self._seen: View | None = None
        self._lease_lost = False

    def __call__(self, described: Environment) -> Handle:
        self.environment = described
        return self

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def act(self, what: str, effect: Callable[[], None]) -> None:
        """One act that is done wholly or not at all."""
        if self.dead:
            raise Killed
        self.count += 1
        dies = self._kill_at == self.count
        if not dies or self._after:
            effect()
            self.world.note(what)
        if dies:
            self.dead = True
            raise Killed

    @property
    def journals(self) -> Handle:
        return self

    @property
    def nodes(self) -> tuple[str, ...]:
        return NAMES

    def append(self, journal: str, lines: Mapping[str, list[dict[str, Any]]]) -> dict[str, str | None]:
        acknowledged: dict[str, str | None] = {}
        for name, own in lines.items():
            machine = self.world.machines[name]
            if not machine.powered:
                continue

            def write(machine: Machine = machine, own: list[dict[str, Any]] = own) -> None:
                copy = machine.journals.setdefault(journal, [])
                machine.journals[journal] = merge([copy, json.loads(json.dumps(own))])
                if any(line["kind"] == "resumed" for line in own):
                    machine.stops.pop(journal, None)

            self.act(f"{name}: journal", write)
            acknowledged[name] = machine.stops.get(journal)
        return acknowledged

    def read(self, journal: str) -> dict[str, list[dict[str, Any]]]:
        return {
            name: machine.journals.get(journal, []) for name, machine in self.world.machines.items() if machine.powered
        }

    def summaries(self) -> dict[str, list[dict[str, Any]]]:
        return {
            name: [summary(journal, lines) for journal, lines in sorted(machine.journals.items())]
            for name, machine in self.world.machines.items()
            if machine.powered
        }

    def request_stop(self, journal: str, by: str) -> tuple[str, ...]:
        for machine in self.world.machines.values():
            machine.stops[journal] = by
        return NAMES

    def target(self, size: str) -> Size:
        return size_named(size)

    def check(self, _nodes: tuple[str, ...]) -> None:
        if self.world.refused_checks:
            raise RemoteError(self.world.refused_checks)

    def check_new(self, nodes: tuple[str, ...]) -> None:
        if nodes and self.world.refused_new:
            raise RemoteError(self.world.refused_new)

    def record(self, size: str) -> None:
        self.act("record", lambda: setattr(self.world, "recorded", size))

    def table_warnings(self) -> tuple[str, ...]:
        return self.world.table_warnings

    def foreign_agents(self) -> tuple[str, ...]:
        return self.world.foreign_agents

    def lease_holder(self) -> str | None:
        return f"{self.world.lease[0]} for: {self.world.lease[1]}" if self.world.lease else None

    def attended(self) -> AbstractContextManager[None]:
        return nullcontext()

    @contextmanager
    def lease(self, owner: str, purpose: str, patience: bool, tell: Callable[[str], None]) -> Iterator[HeldLease]:
        if self.world.lease and (self.world.lease_alive or not patience):
            raise LeaseHeld(f"another run has the environment: {self.world.lease[0]} for {self.world.lease[1]}")
        self.world.lease, self.world.lease_alive = (owner, purpose), True
        try:
            yield HeldLease(self)
        finally:
            if self.dead:
                self.world.lease_alive = False
            else:
                self.world.lease, self.world.lease_alive = None, False

    def lose_lease(self) -> None:
        self._lease_lost = True

    # The lease that is held:
    def check_lease(self) -> None:
        if self._lease_lost:
            raise LeaseHeld("the lease could not be renewed")

    def view(self, recent: bool = False) -> View:
        """A recent one is as old as it gets: whatever has happened since the last look is not in it."""
        if not recent or self._seen is None:
            self._seen = self._look()
        return self._seen

    def _look(self) -> View:
        findings: list[Finding] = []
        out: dict[str, str] = {}
        for name, machine in self.world.machines.items():
            if not machine.powered:
                findings.append(Finding("host", name, State.BROKEN, "cannot be reached"))
                out[name] = "is not reached"
                continue
            if machine.drained:
                findings.append(Finding("web", name, State.BUSY, "drained", by_drain=True))
                out[name] = "is drained"
            if machine.broken or machine.services != set(SERVICES):
                state = State.BUSY if machine.drained else State.BROKEN
                findings.append(Finding("web", name, state, "does not answer"))
                out.setdefault(name, "does not answer")
        if self.world.allocation != "all":
            findings.append(Finding("search", None, State.BUSY, "allocation is primaries"))
        roles = {
            name: Roles(
                writer=self.world.writer == name,
                gateways=tuple(home for home, holder in self.world.homes.items() if holder == name),
                home=name,
            )
            for name in NAMES
        }
        return View(
            Verdict("test", NAMES, (), tuple(findings)),
            roles,
            out,
            frozenset(name for name, machine in self.world.machines.items() if not machine.powered),
            dict.fromkeys(NAMES, self.world.session_mib),
            kept=self.world.kept,
            strangers=self.world.strangers,
            machines={
                name: {"vcpus": size_named(machine.size).cpus, "memory_mib": size_named(machine.size).memory_mib}
                for name, machine in self.world.machines.items()
                if machine.powered
            },
        )

    def steps(self, node: str, change: Change, owner: str, tell: Callable[[str], None]) -> SimulatedSteps:
        return SimulatedSteps(self, node, change)


class HeldLease:
    """Gives the engine a `check` of its own name."""

    def __init__(self, handle: Handle) -> None:
        self.check = handle.check_lease


class SimulatedSteps:
    """Each step as single acts, harmless when repeated, as the real ones are."""

    def __init__(self, handle: Handle, name: str, change: Change) -> None:
        self._handle = handle
        self._world = handle.world
        self._name = name
        self._machine = handle.world.machines[name]
        self._change = change

    def apply(self, step: Step) -> None:
        self._world.steps.append((self._name, step.value))
        error = self._world.fails.pop((self._name, step), None)
        if error is not None:
            raise error
        getattr(self, "_" + step.value.replace(" ", "_"))()
        after = self._world.then.pop((self._name, step), None)
        if after:
            after(self._world)
        if step is Step.SOAK:
            # It ends with a look at everything.
            self._handle.view()

    def _act(self, what: str, effect: Callable[[], None]) -> None:
        self._handle.act(f"{self._name}: {what}", effect)

    def _set(self, key: str, value: object) -> None:
        self._act(f"{key}={value}", lambda: setattr(self._machine, key, value))

    def _other(self) -> str:
        return next(n for n in NAMES if n != self._name and self._world.machines[n].serves)

    def _hand_over(self) -> None:
        assert self._machine.serves or self._machine.drained
        if self._world.writer == self._name:
            other = self._other()
            self._act("writer", lambda: setattr(self._world, "writer", other))

    def _drain(self) -> None:
        self._set("drained", True)
        self._act("allocation primaries", lambda: setattr(self._world, "allocation", "primaries"))

    def _gateway(self) -> None:
        for home, holder in list(self._world.homes.items()):
            if holder == self._name:
                other = self._other()
                self._act("address", lambda home=home, other=other: self._world.homes.update({home: other}))

    def _stop(self) -> None:
        assert self._machine.drained, "customers are on a node that is stopped"
        assert self._world.writer != self._name, "the writer is stopped"
        assert self._name not in self._world.homes.values(), "a gateway address is cut off"
        for service in SERVICES:
            self._act(f"stop {service}", lambda service=service: self._machine.services.discard(service))

    def _resize(self) -> None:
        self._power_off()
        self._set("size", self._change.size)
        self.power_on()

    def _reboot(self) -> None:
        self._power_off()
        self.power_on()

    def _patch(self) -> None:
        assert not self._machine.services, "packages are upgraded under running services"
        self._set("patched", True)

    def _replace(self) -> None:
        self._power_off()
        self._act("new machine", lambda: self._world.machines[self._name].journals.clear())
        self.power_on()

    def _power_off(self) -> None:
        assert not self._machine.services or not self._machine.powered, "the machine is cut off under its services"
        self._set("powered", False)

    def power_on(self) -> None:
        self._set("powered", True)

    def _start(self) -> None:
        assert self._machine.powered
        self._set("drained", True)
        self._set("configured_for", self._machine.size)
        for service in SERVICES:
            self._act(f"start {service}", lambda service=service: self._machine.services.add(service))

    def _gate(self) -> None:
        self._act("allocation all", lambda: setattr(self._world, "allocation", "all"))
        if self._machine.services != set(SERVICES) or self._machine.configured_for != self._machine.size:
            raise ChangeHalted(f"{self._name} is not healthy")

    def _undrain(self) -> None:
        assert self._machine.services == set(SERVICES), "customers are sent to a node that does not serve"
        self._set("drained", False)
        self._act("home", lambda: self._world.homes.update({self._name: self._name}))

    def _soak(self) -> None:
        if not all(machine.serves for machine in self._world.machines.values()):
            raise ChangeHalted("the environment does not stay healthy")

    def undo_drain(self) -> None:
        self._act("allocation all", lambda: setattr(self._world, "allocation", "all"))
        self._undrain()


def change_of(kind: Kind, names: tuple[str, ...] = NAMES) -> Change:
    if kind is Kind.RESIZE:
        return Change(kind, names, size="12", size_before="6")
    return Change(kind, names[:1] if kind is Kind.REPLACE else names)
