# SPDX-License-Identifier: GPL-3.0-or-later
"""The loops of scale-out and scale-in against a made-up environment: order, refusals, continuing after a failure."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar

import pytest

from trivet.agent.journal import merge, state_of, summary
from trivet.errors import ChangeHalted, ChangeStopped, InputError, LeaseHeld, RemoteError
from trivet.health.findings import Finding, State
from trivet.model import Environment, Node, Size
from trivet.model.size import size_named
from trivet.remote import Observation
from trivet.rotation.change import Change, Kind
from trivet.run import opened
from trivet.run.events import Noted, Progressed, Reported, RunBegan, StepBegan, StepEnded
from trivet.run.report import ReportWriter
from trivet.run.stop import StopRequest
from trivet.scaling import ScaleIn, ScaleOut, engine
from trivet.scaling import journal as scaling_journal
from trivet.scaling.record import Progress, Record, WebHost
from trivet.verdict.assess import Verdict

OUT = ["create", "let_in", "configure", "gate", "enter", "verdict"]
IN = ["drain", "tell_proxies", "remove", "tell_members", "verdict"]


@dataclass
class World:
    """What the engine talks to. `done` has everything that was done, with the record's states at that time."""

    folder: Path
    done: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    machines: dict[str, str] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    fails: dict[str, BaseException] = field(default_factory=dict)
    memory_mib: int | None = None
    lease: BaseException | None = None
    journals: dict[str, dict[str, list[dict[str, Any]]]] = field(
        default_factory=lambda: {f"shop-{n}": {} for n in (1, 2, 3)}
    )
    silent: set[str] = field(default_factory=set)
    meanwhile: Callable[[], None] = lambda: None
    not_made: set[str] = field(default_factory=set)
    not_reached: set[str] = field(default_factory=set)
    stop: str | None = None

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The newest journal, as the first node has it."""
        copies = self.journals["shop-1"]
        return copies[max(copies)]

    @property
    def kinds(self) -> list[str]:
        return [line["kind"] for line in self.lines]

    @property
    def environment(self) -> Environment:
        bare = Environment(
            name="shop",
            inventory=self.folder,
            nodes=tuple(Node(f"shop-{n}", n, f"192.0.2.{10 + n}") for n in (1, 2, 3)),
            gateways=tuple(f"192.0.2.{20 + n}" for n in (1, 2, 3)),
            size="6",
            domains=("shop.example",),
        )
        hosts = Record(bare).hosts
        web = tuple(Node(host.name, host.node_id, host.address) for host in hosts)
        return Environment(bare.name, bare.inventory, bare.nodes, bare.gateways, bare.size, bare.domain, web_nodes=web)

    @property
    def record(self) -> Record:
        return Record(self.environment)

    @property
    def steps(self) -> list[str]:
        return [name for name, _ in self.done]

    def do(self, name: str) -> None:
        self.done.append((name, {host.name: host.progress.value for host in self.record.hosts}))
        if name in self.fails:
            raise self.fails.pop(name)


class FakeNodes:
    opened: ClassVar[list[str]] = []

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.opened.append(environment.name)

    def of(self, environment: Environment) -> FakeNodes:
        beside = copy(self)
        beside.environment = environment
        return beside

    def __enter__(self) -> FakeNodes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class FakeJournals:
    """The nodes' copies of the journals."""

    world: World

    def __init__(self, _nodes: object) -> None:
        self.nodes = tuple(self.world.journals)

    def _answering(self) -> dict[str, dict[str, list[dict[str, Any]]]]:
        return {name: own for name, own in self.world.journals.items() if name not in self.world.silent}

    def append(self, journal: str, lines: dict[str, list[dict[str, Any]]]) -> dict[str, str | None]:
        for name, copies in self._answering().items():
            copies[journal] = merge([copies.get(journal, []), json.loads(json.dumps(lines[name]))])
        return dict.fromkeys(self._answering(), self.world.stop)

    def read(self, journal: str) -> dict[str, list[dict[str, Any]]]:
        return {name: copies.get(journal, []) for name, copies in self._answering().items()}

    def summaries(self) -> dict[str, list[dict[str, Any]]]:
        return {
            name: [summary(journal, lines) for journal, lines in copies.items()]
            for name, copies in self._answering().items()
        }


class FakeSteps:
    world: World

    def __init__(self, environment: Environment, _nodes: object, names: tuple[str, ...], *_rest: object) -> None:
        self.environment = environment
        self.names = names

    def try_given(self, hosts: list[WebHost]) -> None:
        assert not {host.name for host in hosts} & {host.name for host in self.world.record.hosts}
        for host in hosts:
            self.world.do(f"try {host.name}")
            if host.address in self.world.not_reached:
                raise ChangeHalted(f"not reachable over SSH: {host.name}")

    def make(self, name: str, size: str) -> str:
        if name in self.world.not_made:
            raise RemoteError(f"{name}: quota exceeded")
        self.world.machines.setdefault(name, f"192.0.2.{31 + len(self.world.machines)}")
        self.world.do("create")
        return self.world.machines[name]

    def __getattr__(self, name: str) -> Callable[..., None]:
        def step(*arguments: Any) -> None:
            known = {node.name for node in self.environment.web_nodes}
            assert set(self.names) <= known, "the inventory knows the nodes by the time a step is done on them"
            self.world.do(name)
            if name == "remove":
                (hosts,) = arguments
                for host in hosts:
                    if not host.given:
                        self.world.machines.pop(host.name, None)

        return step


class FakeProvider:
    def __init__(self, world: World) -> None:
        self.world = world

    def target(self, size: str) -> Size:
        named = size_named(size)
        return Size(named.name, named.cpus, self.world.memory_mib or named.memory_mib)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path / "shop")
    FakeSteps.world = FakeJournals.world = made
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "shop").mkdir()

    class FakeLease:
        def check(self) -> None:
            if made.lease:
                raise made.lease

    @contextmanager
    def lease(_nodes: object, _owner: str, purpose: str, **_options: object) -> Iterator[FakeLease]:
        made.meanwhile()
        made.done.append((f"lease for {purpose}", {}))
        yield FakeLease()
        made.done.append(("lease back", {}))

    nodes = ("shop-1", "shop-2", "shop-3")
    monkeypatch.setattr(engine, "Steps", FakeSteps)
    monkeypatch.setattr(engine, "Lease", lease)
    FakeNodes.opened.clear()
    monkeypatch.setattr(opened, "Nodes", FakeNodes)
    for module in (engine, scaling_journal):
        monkeypatch.setattr(
            module, "observe", lambda _nodes: Observation({}, Verdict("shop", nodes, (), made.findings))
        )
    monkeypatch.setattr(engine, "NodeJournals", FakeJournals)
    # As in life, no two runs have one process: their journals would have one name.
    numbers = itertools.count()
    monkeypatch.setattr(opened, "run_owner", lambda: f"operator@laptop:{next(numbers):04d}")
    monkeypatch.setattr(engine, "provider_for", lambda _environment: FakeProvider(made))
    monkeypatch.setattr(engine, "check_secrets", lambda _environment: None)
    monkeypatch.setattr(engine, "load_environment", lambda _path: made.environment)
    monkeypatch.setattr(engine, "SETTLE_SECONDS", -1.0)
    return made


def test_a_command_opens_the_environment_once(world: World) -> None:
    with ScaleOut(world.environment, 1) as scaling:
        shown = scaling.plan()
        scaling.bound(lambda event: None, StopRequest()).apply(shown)
    assert FakeNodes.opened == ["shop"]


def out(world: World, count: int = 2, **changes: Any) -> Any:
    return ScaleOut(world.environment, count, **changes).apply()


def test_new_nodes_are_used_only_after_their_gate(world: World) -> None:
    events: list[Any] = []
    report = out(world, listener=events.append)
    assert world.steps == ["lease for scale-out of shop-web-1, shop-web-2", "create", *OUT, "lease back"]
    states = dict(world.done)
    for step in ("let_in", "configure", "gate"):
        assert set(states[step].values()) == {"joining"}, f"no HAProxy may have them at {step}"
    assert set(states["enter"].values()) == set(states["verdict"].values()) == {"entering"}
    assert [(host.name, host.address, host.progress) for host in world.record.hosts] == [
        ("shop-web-1", "192.0.2.31", Progress.SERVING),
        ("shop-web-2", "192.0.2.32", Progress.SERVING),
    ]
    assert list(report.steps) == ["create", "admit", "configure", "gate", "enter", "verdict"]
    assert [type(event) for event in events if not isinstance(event, Progressed)] == [
        RunBegan,
        *[StepBegan, StepEnded] * 6,
    ]


def test_nodes_that_go_are_drained_then_forgotten_then_removed(world: World) -> None:
    out(world, 3)
    world.done.clear()
    ScaleIn(world.environment, 2).apply()
    assert world.steps == ["lease for scale-in of shop-web-3, shop-web-2", *IN, "lease back"]
    states = dict(world.done)
    assert states["drain"] == {"shop-web-1": "serving", "shop-web-2": "draining", "shop-web-3": "draining"}
    for step in ("tell_proxies", "remove", "tell_members", "verdict"):
        assert states[step] == {"shop-web-1": "serving", "shop-web-2": "leaving", "shop-web-3": "leaving"}
    assert [host.name for host in world.record.hosts] == ["shop-web-1"]
    assert list(world.machines) == ["shop-web-1"]


@pytest.mark.parametrize("step", OUT)
def test_a_scale_out_that_failed_is_continued_by_the_same_command(step: str, world: World) -> None:
    world.fails[step] = RemoteError("shop-web-1: no answer")
    with pytest.raises(ChangeHalted, match=r"no answer .*the other nodes go on serving") as raised:
        out(world)
    assert str(raised.value.next_command).startswith("trivet scale-out ")
    assert str(raised.value.next_command).endswith("--web 2")
    assert Progress.SERVING not in {host.progress for host in world.record.hosts}
    out(world)
    assert {host.progress for host in world.record.hosts} == {Progress.SERVING}
    assert sorted(world.machines) == ["shop-web-1", "shop-web-2"], "no third machine is made"


@pytest.mark.parametrize("step", OUT[1:])
def test_a_scale_out_that_was_killed_is_taken_back_by_a_scale_in(step: str, world: World) -> None:
    world.fails[step] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        out(world)
    world.done.clear()
    ScaleIn(world.environment, 2).apply()
    assert world.record.hosts == ()
    assert world.machines == {}
    if step in ("let_in", "configure", "gate"):
        assert "drain" not in world.steps, "what no HAProxy has is not put into one to be drained"


@pytest.mark.parametrize("step", IN)
def test_a_scale_in_that_failed_is_continued_by_the_same_command(step: str, world: World) -> None:
    out(world, 3)
    world.fails[step] = RemoteError("shop-1: no answer")
    with pytest.raises(ChangeHalted, match="no answer"):
        ScaleIn(world.environment, 2).apply()
    ScaleIn(world.environment, 2).apply()
    assert [host.name for host in world.record.hosts] == ["shop-web-1"], "no other node goes in their place"
    assert list(world.machines) == ["shop-web-1"]


def test_given_hosts_are_neither_made_nor_removed(world: World) -> None:
    world.memory_mib = 1
    out(world, 1, given={"mine": "198.51.100.7"})
    assert world.record.hosts == (WebHost("mine", "198.51.100.7", 11, Progress.SERVING, given=True),)
    assert "create" not in world.steps
    ScaleIn(world.environment, 1).apply()
    assert world.record.hosts == ()


def test_a_given_host_that_is_not_reached_is_not_recorded_and_may_be_given_with_another_address(world: World) -> None:
    world.not_reached = {"198.51.100.7"}
    with pytest.raises(ChangeHalted, match="not reachable over SSH: mine"):
        out(world, 2, given={"first": "198.51.100.1", "mine": "198.51.100.7"})
    assert world.record.hosts == ()
    out(world, 2, given={"first": "198.51.100.1", "mine": "198.51.100.8"})
    assert [host.address for host in world.record.hosts] == ["198.51.100.1", "198.51.100.8"]


def test_a_given_host_that_is_recorded_is_not_tried_as_an_unknown_one(world: World) -> None:
    world.fails["let_in"] = RemoteError("no answer")
    with pytest.raises(ChangeHalted):
        out(world, 1, given={"mine": "198.51.100.7"})
    out(world, 1, given={"mine": "198.51.100.7"})
    assert world.steps.count("try mine") == 1


def test_a_machine_is_recorded_as_soon_as_it_is_made(world: World) -> None:
    world.not_made = {"shop-web-2"}
    with pytest.raises(ChangeHalted, match="quota exceeded"):
        out(world)
    assert [(host.name, host.address) for host in world.record.hosts] == [("shop-web-1", "192.0.2.31")]
    ScaleIn(world.environment, 1).apply()
    assert (world.machines, world.record.hosts) == ({}, ())


def test_the_same_command_makes_the_machines_that_are_missing_and_goes_on_with_all(world: World) -> None:
    world.not_made = {"shop-web-2"}
    with pytest.raises(ChangeHalted):
        out(world)
    world.not_made.clear()
    report = out(world)
    assert (report.plan.names, report.plan.continued) == (("shop-web-1", "shop-web-2"), True)
    assert {host.progress for host in world.record.hosts} == {Progress.SERVING}
    assert (len(world.journals["shop-1"]), state_of(world.lines)) == (1, "done")


def test_two_machines_of_one_address_are_refused(world: World) -> None:
    world.machines.update({"shop-web-1": "192.0.2.31", "shop-web-2": "192.0.2.31"})
    with pytest.raises(ChangeHalted, match=r"shop-web-2 got 192\.0\.2\.31, which is the address of shop-web-1"):
        out(world)
    assert [host.name for host in world.record.hosts] == ["shop-web-1"]


def test_a_machine_that_came_back_with_another_address_is_told(world: World) -> None:
    world.fails["let_in"] = RemoteError("no answer")
    with pytest.raises(ChangeHalted):
        out(world, 1)
    world.machines["shop-web-1"] = "192.0.2.77"
    with pytest.raises(
        ChangeHalted, match=r"recorded with the address 192\.0\.2\.31, and its machine has 192\.0\.2\.77"
    ):
        out(world, 1)
    assert [host.address for host in world.record.hosts] == ["192.0.2.31"]


def test_an_environment_that_is_not_healthy_is_not_touched(world: World) -> None:
    world.findings = (Finding("database", "shop-2", State.BROKEN, "does not run"),)
    with pytest.raises(InputError, match="shop-2: database: does not run"):
        ScaleOut(world.environment, 1).apply()
    (refusal,) = ScaleOut(world.environment, 1).plan().refusals
    assert "shop-2: database: does not run" in refusal.reason
    assert refusal.next_command == f"trivet status {world.environment.label}"
    assert world.done == []
    assert world.machines == {}


def test_a_web_node_that_is_broken_can_be_taken_away(world: World) -> None:
    out(world, 1)
    world.findings = (Finding("host", "shop-web-1", State.BROKEN, "shop-web-1 cannot be reached"),)
    with pytest.raises(InputError, match="cannot be reached"):
        out(world, 1)
    ScaleIn(world.environment, 1).apply()
    assert world.record.hosts == ()


@pytest.mark.parametrize(
    ("size", "memory", "words"), [("13", None, "size '13' is not in the table"), ("6", 512, "a web node 512 MiB")]
)
def test_a_size_that_does_not_do_is_refused(size: str, memory: int | None, words: str, world: World) -> None:
    world.memory_mib = memory
    with pytest.raises(InputError, match=words):
        out(world, 1, size=size)
    assert world.done == []


def test_what_another_run_did_before_the_lease_was_had_is_not_done_twice(world: World) -> None:
    world.meanwhile = lambda: world.record.add([WebHost("shop-web-1", "192.0.2.31", 11, Progress.SERVING)])
    with pytest.raises(InputError, match="scale-out of shop-web-1, and would be a scale-out of shop-web-2") as raised:
        out(world, 1)
    assert raised.value.next_command == f"trivet scale-out {world.environment.label} --web 1 --plan"
    assert (world.machines, world.journals["shop-1"]) == ({}, {})


def test_no_other_nodes_are_taken_away_than_those_that_were_shown(world: World) -> None:
    out(world, 2)
    world.meanwhile = lambda: world.record.remove(["shop-web-2"])
    with pytest.raises(InputError, match="scale-in of shop-web-2, and would be a scale-in of shop-web-1 now"):
        ScaleIn(world.environment, 1).apply()
    assert [host.progress for host in world.record.hosts] == [Progress.SERVING]


def test_how_far_the_nodes_are_is_read_again_under_the_lease(world: World) -> None:
    world.fails["drain"] = RemoteError("no answer")
    out(world, 1)
    with pytest.raises(ChangeHalted):
        ScaleIn(world.environment, 1).apply()
    world.done.clear()
    world.meanwhile = lambda: world.record.progressed(["shop-web-1"], Progress.LEAVING)
    ScaleIn(world.environment, 1).apply()
    assert "drain" not in world.steps


def test_an_environment_that_broke_before_the_lease_was_had_is_not_touched(world: World) -> None:
    broken = (Finding("database", "shop-2", State.BROKEN, "does not run"),)
    world.meanwhile = lambda: setattr(world, "findings", broken)
    with pytest.raises(InputError, match="shop-2: database: does not run"):
        out(world, 1)
    assert (world.machines, world.journals["shop-1"]) == ({}, {})


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("ending", [None, "halted", "done"])
def test_beside_a_rolling_change_that_is_not_over_no_web_node_comes_or_goes(
    ending: str | None, kind: Kind, world: World
) -> None:
    change = Change(kind, ("shop-1",)).to_dict()
    lines = [{"seq": 1, "at": 1.0, "kind": "plan", "owner": "colleague@desk:1", "plan": {"change": change}}]
    if ending:
        lines.append({"seq": 2, "at": 2.0, "kind": ending})
    world.journals["shop-2"]["20261101-120000-rolling"] = lines
    if ending == "done":
        out(world, 1)
        return
    words = f"by colleague@desk:1 is not over ({ending or 'running'})"
    with pytest.raises(InputError, match=re.escape(words)) as raised:
        ScaleOut(world.environment, 1).apply()
    (refusal,) = ScaleOut(world.environment, 1).plan().refusals
    assert words in refusal.reason
    assert raised.value.next_command == refusal.next_command == f"trivet rotation status {world.environment.label}"
    assert world.done == []


def test_a_lost_lease_ends_the_run_before_the_next_step(world: World) -> None:
    world.lease = LeaseHeld("the lease could not be renewed")
    with pytest.raises(LeaseHeld):
        out(world)
    assert world.machines == {}


def test_an_address_that_is_taken_is_not_recorded(world: World) -> None:
    world.machines["shop-web-1"] = "192.0.2.12"
    with pytest.raises(ChangeHalted, match="the address of shop-2"):
        out(world, 1)
    assert world.record.hosts == ()


@pytest.mark.parametrize("scaling", [ScaleOut, ScaleIn])
def test_every_step_is_in_the_journal_on_every_node(scaling: Any, world: World) -> None:
    if scaling is ScaleIn:
        out(world)
    report = scaling(world.environment, 2).apply()
    per_step = len(report.plan.steps)
    assert world.kinds == ["plan", "snapshot", *["begin", "end"] * per_step, "snapshot", "done"]
    assert [line["when"] for line in world.lines if line["kind"] == "snapshot"] == ["before", "after"]
    assert {tuple(line["nodes"]) for line in world.lines if "step" in line} == {report.plan.names}
    assert all(copies[max(copies)] == world.lines for copies in world.journals.values())
    assert [json.loads(line) for line in report.journal.read_text().splitlines()] == world.lines
    change = world.lines[0]["plan"]["change"]
    counted = (change["web_nodes_before"], change["web_nodes_after"])
    assert counted == ((0, 2) if scaling is ScaleOut else (2, 0))


@pytest.mark.parametrize("step", OUT)
def test_the_same_command_goes_on_with_the_journal_of_the_run_that_failed(step: str, world: World) -> None:
    world.fails[step] = RemoteError("shop-web-1: no answer")
    with pytest.raises(ChangeHalted) as raised:
        out(world)
    assert max(world.journals["shop-1"]) in raised.value.message
    assert world.kinds[-2:] == ["failed", "halted"]
    assert world.lines[-2]["error"] == "shop-web-1: no answer"
    out(world)
    assert len(world.journals["shop-1"]) == 1
    assert ("resumed" in world.kinds, state_of(world.lines)) == (True, "done")


def test_a_scale_in_closes_the_journal_of_the_scale_out_that_it_takes_back(world: World) -> None:
    world.fails["gate"] = RemoteError("no answer")
    with pytest.raises(ChangeHalted):
        out(world)
    ScaleIn(world.environment, 2).apply()
    assert [state_of(lines) for _, lines in sorted(world.journals["shop-1"].items())] == ["aborted", "done"]


def killed_after_its_last_step(world: World) -> None:
    """Take away what the newest change wrote when all of its steps were done."""
    newest = max(world.journals["shop-1"])
    for copies in world.journals.values():
        lines = copies[newest]
        del lines[lines.index(next(line for line in lines if line.get("when") == "after")) :]
    (local,) = Path(world.folder.parent, "state").rglob(f"{newest}.jsonl")
    local.write_text("".join(json.dumps(line) + "\n" for line in world.lines))
    world.done.clear()


@pytest.mark.parametrize("recorded", [True, False])
def test_a_scale_out_that_was_killed_before_its_last_line_adds_no_more_nodes(recorded: bool, world: World) -> None:
    first = out(world, 2)
    killed_after_its_last_step(world)
    if not recorded:
        world.record.progressed(first.plan.names, Progress.ENTERING)
    events: list[Any] = []
    plan = ScaleOut(world.environment, 2, listener=events.append).plan()
    assert (plan.names, plan.steps, plan.continued) == (first.plan.names, (), True)
    report = out(world, 2, listener=events.append)
    assert world.steps == ["lease for scale-out of shop-web-1, shop-web-2", "lease back"]
    assert [type(event) for event in events] == [Noted, Noted, RunBegan]
    assert "the scale-out of shop-web-1, shop-web-2 was done by an earlier run" in events[0].text
    assert (report.plan.names, report.steps, report.journal) == (first.plan.names, first.steps, first.journal)
    assert [(host.name, host.progress) for host in world.record.hosts] == [
        ("shop-web-1", Progress.SERVING),
        ("shop-web-2", Progress.SERVING),
    ]
    assert (world.kinds[-3:], len(world.journals["shop-1"])) == (["resumed", "snapshot", "done"], 1)
    # From then on it is a command like any other.
    assert out(world, 2).plan.names == ("shop-web-3", "shop-web-4")


@pytest.mark.parametrize("recorded", [True, False])
def test_a_scale_in_that_was_killed_before_its_last_line_takes_no_more_nodes(recorded: bool, world: World) -> None:
    out(world, 4)
    gone = [host for host in world.record.hosts if host.name in ("shop-web-3", "shop-web-4")]
    first = ScaleIn(world.environment, 2).apply()
    killed_after_its_last_step(world)
    if not recorded:
        world.record.add([replace(host, progress=Progress.LEAVING) for host in gone])
    report = ScaleIn(world.environment, 2).apply()
    assert world.steps == ["lease for scale-in of shop-web-4, shop-web-3", "lease back"]
    assert (report.plan.names, report.steps) == (first.plan.names, first.steps)
    assert [host.name for host in world.record.hosts] == ["shop-web-1", "shop-web-2"]
    assert list(world.machines) == ["shop-web-1", "shop-web-2"]
    assert state_of(world.lines) == "done"


@pytest.mark.parametrize("other", ["another number", "the other direction"])
def test_another_command_is_done_after_a_run_that_was_killed_before_its_last_line(other: str, world: World) -> None:
    out(world, 1)
    killed_after_its_last_step(world)
    if other == "another number":
        out(world, 2)
    else:
        ScaleIn(world.environment, 1).apply()
    assert [state_of(lines) for _, lines in sorted(world.journals["shop-1"].items())] == ["done", "done"]
    assert len(world.record.hosts) == (3 if other == "another number" else 0)


@pytest.mark.parametrize("error", [None, RemoteError("no answer"), KeyboardInterrupt()])
def test_a_report_is_left_however_it_ends(error: BaseException | None, world: World) -> None:
    events: list[Any] = []
    ends = nullcontext() if error is None else pytest.raises((ChangeHalted, KeyboardInterrupt))
    if error is not None:
        world.fails["configure"] = error
    with ends, ReportWriter(world.environment.label, events.append) as writer:
        out(world, listener=writer)
    (told,) = [event for event in events if isinstance(event, Reported)]
    assert events[-1] == told
    document = json.loads(Path(told.json).read_text())
    assert document["change"]["kind"] == "scale-out"
    assert document["change"]["outcome"] == ("done" if error is None else "halted")
    (journal,) = [event.journal for event in events if isinstance(event, RunBegan)]
    assert journal == max(world.journals["shop-1"])


@pytest.mark.parametrize("asked", ["by a signal", "by another operator"])
def test_asked_to_stop_it_stops_after_the_step_that_runs(asked: str, world: World) -> None:
    stop = StopRequest()

    def listen(event: Any) -> None:
        if isinstance(event, StepBegan) and event.step == "admit":
            stop.by = "SIGINT" if asked == "by a signal" else ""
            world.stop = None if asked == "by a signal" else "colleague@desk:1"

    with pytest.raises(ChangeStopped, match=r"stopped by (SIGINT|colleague@desk:1)") as raised:
        out(world, listener=listen, stop=stop)
    assert raised.value.exit_code == 130
    assert raised.value.next_command == f"trivet scale-out {world.environment.label} --web 2"
    assert world.steps[-1] == "let_in"
    assert world.kinds[-2:] == ["stop requested", "halted"]
    world.stop = None
    out(world)
    assert state_of(world.lines) == "done"


def test_without_a_majority_for_the_journal_nothing_is_made(world: World) -> None:
    world.silent = {"shop-2", "shop-3"}
    with pytest.raises(ChangeHalted, match="a majority is needed"):
        out(world)
    assert (world.machines, world.record.hosts) == ({}, ())


def test_a_lost_lease_leaves_the_nodes_journals_alone(world: World) -> None:
    world.lease = LeaseHeld("the lease could not be renewed")
    with pytest.raises(LeaseHeld):
        out(world)
    assert world.kinds == ["plan", "snapshot"]
    local = next(Path(world.folder.parent, "state").rglob("*.jsonl")).read_text().splitlines()
    assert [json.loads(line)["kind"] for line in local] == ["plan", "snapshot", "lease lost", "halted"]


def test_what_goes_on_with_a_run_names_its_own_hosts_and_size(world: World) -> None:
    world.fails["let_in"] = RemoteError("no answer")
    with pytest.raises(ChangeHalted) as raised:
        out(world, 1, given={"mine": "198.51.100.7"}, size="12")
    assert (
        raised.value.next_command
        == f"trivet scale-out {world.environment.label} --size 12 --host mine=198.51.100.7 --web 1"
    )
    assert world.lines[0]["plan"]["change"]["command"] == raised.value.next_command
