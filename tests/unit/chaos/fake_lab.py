# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab that is none: it writes down what is done to it, and its clock moves only when somebody waits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from trivet.chaos.parts import Pace, Parts
from trivet.chaos.record import Record
from trivet.chaos.scenario import Aim, Ground
from trivet.chaos.timeline import Look, Sighting
from trivet.health.facts import ClusterFacts
from trivet.probe import ProbeReport
from trivet.probe.contracts.demo import DEMO
from trivet.probe.report import Figures, Gap, Latency, Mark, Orders
from trivet.run.events import Event
from trivet.services.contract import Terms

NODES = ("lab-1", "lab-2", "lab-3")
URLS = {f"http://192.0.2.2{number}": f"lab-{number}" for number in (1, 2, 3)}
SICK = "broken: lab-2: web: no answer; next: systemctl status nginx"


@dataclass
class FakeClock:
    """Every wait passes at once; what is planned for its time happens on the way."""

    now: float = 1_000_000.0
    planned: list[tuple[float, Callable[[], None]]] = field(default_factory=list)

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        ends = self.now + seconds
        for at, happens in sorted(self.planned, key=lambda item: item[0]):
            if self.now <= at < ends:
                self.planned.remove((at, happens))
                happens()
        self.now = ends


@dataclass
class FakeGround:
    """The lab; ``broken`` is what its verdict comes from, and acts of tests set it."""

    clock: FakeClock
    done: list[str] = field(default_factory=list)
    broken: bool = False
    changes: list[tuple[float, bool]] = field(default_factory=list)
    nodes: tuple[str, ...] = NODES
    forgotten: int = 0
    table: str = "trivet_chaos_lab"
    bridge: str = "trivet9"
    terms: Terms = field(default_factory=Terms)

    def on(self, node: str, script: str, *, seconds: float = 60.0) -> str:
        self.done.append(f"{node}: {script}")
        # What a node says whose disk is full, and whose kernel has killed what ate its memory.
        return "dd: error writing: Disk quota exceeded\nFinished with result: signal\n"

    def host(self, command: Sequence[str], *, stdin: str | None = None) -> str:
        self.done.append(" ".join(command) + (f"\n{stdin}" if stdin else ""))
        return ""

    def allowed(self, command: Sequence[str]) -> bool:
        self.done.append(" ".join(command))
        return True

    def agents_forget(self) -> None:
        self.forgotten += 1

    def port(self, node: str) -> str:
        return f"veth-{node}"

    def hardware_address(self, node: str) -> str:
        return f"02:00:00:00:00:0{node[-1]}"

    def memory_mib(self, node: str) -> int:
        return 2048

    def limit_disk(self, node: str, room_mib: int | None) -> None:
        self.done.append(f"disk of {node}: {room_mib}")

    def power_off(self, nodes: Sequence[str]) -> None:
        self.done.append(f"off: {' '.join(nodes)}")

    def power_on(self, nodes: Sequence[str]) -> None:
        self.done.append(f"on: {' '.join(nodes)}")

    def set_broken(self, broken: bool) -> None:
        """From now on the verdict is that."""
        self.broken = broken
        self.changes.append((self.clock.now, broken))

    def healthy_at(self, moment: float) -> bool:
        state = False
        for at, broken in self.changes:
            if at <= moment:
                state = broken
        return not state


class FakeEyes:
    """A verdict every two seconds since the beginning, which takes no time."""

    def __init__(self, ground: FakeGround) -> None:
        self._ground = ground
        self._since = ground.clock.now

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def looks(self) -> list[Look]:
        count = int((self._ground.clock.now - self._since) / 2) + 1
        moments = [self._since + 2 * number for number in range(count)]
        return [self._look(moment) for moment in moments]

    def _look(self, moment: float) -> Look:
        healthy = self._ground.healthy_at(moment)
        return Look(moment, moment, healthy, () if healthy else (SICK,))

    def sightings(self) -> list[Sighting]:
        return []

    def facts(self) -> ClusterFacts:
        return {}


@dataclass
class FakeLoad:
    """Customers to whom nothing happens."""

    clock: FakeClock
    began: float = 0.0
    marks: list[Mark] = field(default_factory=list)
    ended: list[bool] = field(default_factory=list)

    def start(self) -> None:
        self.began = self.clock.now
        self.mark("before")

    def mark(self, phase: str) -> None:
        self.marks.append(Mark(phase, self.clock.now - self.began))

    def stop(self, *, hurry: bool = False) -> ProbeReport:
        self.ended.append(hurry)
        return report(marks=tuple(self.marks))

    def orders(self) -> list[float]:
        return [float(second) for second in range(int(self.clock.now - self.began))]


def figures(requests: int = 100, **kinds: int) -> Figures:
    """Figures with failures by kind; underscores stand for dashes."""
    failed = {kind.replace("_", "-"): count for kind, count in kinds.items()}
    return Figures(requests, sum(failed.values()), failed, Latency())


def report(
    marks: Sequence[Mark] = (Mark("before", 0.0), Mark("during", 10.0)),
    kinds: dict[str, Figures] | None = None,
    gaps: dict[str, Gap] | None = None,
    orders: Orders | None = None,
) -> ProbeReport:
    """A probe's report; nothing failed unless the arguments say so."""
    return ProbeReport(
        contract=DEMO.described,
        started="2026-11-24T08:00:00.000+00:00",
        seconds=60.0,
        rate=50.0,
        urls=tuple(URLS),
        total=figures(3000),
        kinds=kinds or {"home": figures(), "order": figures()},
        phases={"before": figures()},
        marks=tuple(marks),
        failures=(),
        longest_gap=max((gaps or {"": Gap(0.1, 5.0)}).values(), key=lambda gap: gap.seconds),
        gateway_gaps={url: Gap(0.2, 5.0) for url in URLS} | (gaps or {}),
        timeline=(),
        orders=orders or Orders(300, 300, 0, 0, 0, True, ()),
        served_by={},
        own_lag_ms=1.0,
        unfinished=0,
    )


@dataclass
class World:
    """A fake lab with everything that a suite needs."""

    directory: Path
    clock: FakeClock = field(default_factory=FakeClock)
    loads: list[FakeLoad] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    homecomings: list[int] = field(default_factory=list)
    """How many loads had begun when the gateway addresses were brought home."""

    def __post_init__(self) -> None:
        self.ground = FakeGround(self.clock)
        self.record = Record(self.directory)
        self.parts = Parts(
            ground=self.ground,
            homes=URLS,
            eyes=lambda: FakeEyes(self.ground),
            load=self._load,
            record=self.record,
            come_home=self._come_home,
            clock=self.clock,
            pace=Pace(),
        )

    def _come_home(self) -> None:
        self.homecomings.append(len(self.loads))

    def _load(self, _name: str) -> FakeLoad:
        self.loads.append(FakeLoad(self.clock))
        return self.loads[-1]

    def after(self, seconds: float, broken: bool) -> None:
        """The verdict changes by itself, so many seconds from now."""
        self.clock.planned.append((self.clock.now + seconds, lambda: self.ground.set_broken(broken)))


def breaks(ground: Ground, _aim: Aim) -> None:
    """An injection after which the verdict is broken."""
    assert isinstance(ground, FakeGround)
    ground.done.append("inject")
    ground.set_broken(True)


def mends(ground: Ground, _aim: Aim) -> None:
    """An act after which it is healthy."""
    assert isinstance(ground, FakeGround)
    ground.done.append("heal")
    ground.set_broken(False)
