# SPDX-License-Identifier: GPL-3.0-or-later
"""``trivet scale-out`` and ``scale-in``: the probe beside them, what is told, exit codes, Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from trivet.cli import probe as probe_command
from trivet.cli import scale
from trivet.cli.main import app
from trivet.errors import ChangeStopped, InputError
from trivet.model import Environment, Node
from trivet.rotation.plan import Refusal
from trivet.run.events import Listener, ProbeBegan, ProbeSeen, Reported, RunBegan, StepBegan, StepEnded
from trivet.run.stop import StopRequest
from trivet.scaling import ScalePlan, ScaleReport
from trivet.scaling.record import Progress, WebHost

ENVIRONMENT = Environment(
    name="shop",
    inventory=Path("inventories/shop"),
    nodes=tuple(Node(f"shop-{n}", n, f"192.0.2.{10 + n}") for n in (1, 2, 3)),
    gateways=tuple(f"192.0.2.{20 + n}" for n in (1, 2, 3)),
    size="6",
    domains=("shop.example",),
)
PLAN = ScalePlan("scale-out", "shop", (WebHost("shop-web-1", "", 11, Progress.JOINING),), ("create", "gate"), "6")


@dataclass
class World:
    """What the command made of its arguments. `during` is done while the change runs."""

    made: list[dict[str, Any]] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    agreed: list[ScalePlan | None] = field(default_factory=list)
    during: Callable[[StopRequest], None] = lambda stop: None
    ok: bool = True
    refusals: tuple[Refusal, ...] = ()

    def scaling(self, _environment: Environment, count: int, **options: Any) -> FakeScaling:
        self.made.append({"count": count, **options})
        return FakeScaling(self)

    def applied(self, listener: Listener, stop: StopRequest) -> Callable[[ScalePlan | None], ScaleReport]:
        def apply(shown: ScalePlan | None) -> ScaleReport:
            self.agreed.append(shown)
            listener(RunBegan("20261124-120000-one", PLAN.purpose, PLAN.to_dict()))
            listener(StepBegan("create"))
            self.during(stop)
            if stop.by:
                raise ChangeStopped(f"stopped by {stop.by}", "trivet scale-out shop --web 1")
            listener(StepEnded("create", 2.0))
            return ScaleReport(PLAN, Path("/journals/one.jsonl"), 2.5, {"create": 2.0})

        return apply

    def reported(self, _environment: Environment, work: Any, *, listener: Any) -> Any:
        result = work(listener)
        listener(Reported("/reports/one.html", "/reports/one.json"))
        return result

    def measured(
        self,
        _environment: Environment,
        rate: float,
        work: Any,
        *,
        contract: str | None,
        patience: float,
        listener: Any,
        partial: Any,
    ) -> Any:
        self.rates.append(rate)
        listener(ProbeBegan(rate, contract or "demo", ("http://192.0.2.21",), "/probes/one.jsonl"))
        result = work(listener)
        listener(ProbeSeen(50, 0, 12))
        listener(Reported("/reports/one.html", "/reports/one.json"))
        return SimpleNamespace(ok=self.ok, to_json=lambda: {"ok": self.ok}), result


class FakeScaling:
    def __init__(self, world: World) -> None:
        self._world = world

    def __enter__(self) -> FakeScaling:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def plan(self) -> ScalePlan:
        return replace(PLAN, refusals=self._world.refusals)

    def bound(self, listener: Listener, stop: StopRequest) -> SimpleNamespace:
        return SimpleNamespace(apply=self._world.applied(listener, stop))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    monkeypatch.setattr(scale, "load_environment", lambda _name: ENVIRONMENT)
    monkeypatch.setattr(scale, "ScaleOut", made.scaling)
    monkeypatch.setattr(scale, "ScaleIn", made.scaling)
    monkeypatch.setattr(probe_command, "measured", made.measured)
    monkeypatch.setattr(probe_command, "reported", made.reported)
    monkeypatch.setattr(probe_command, "show_report", lambda output, report: output.print(f"probe ok: {report.ok}"))
    return made


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


@pytest.mark.parametrize("command", ["scale-out", "scale-in"])
@pytest.mark.parametrize(("ok", "code"), [(True, 0), (False, 1)])
def test_the_probe_runs_beside_it_and_decides_the_exit_code(command: str, ok: bool, code: int, world: World) -> None:
    world.ok = ok
    result = run(command, "shop", "--web", "1", "--yes", "--probe", "25")
    assert result.exit_code == code
    assert world.rates == [25.0]
    assert world.agreed == [PLAN]
    assert f"probe ok: {ok}" in result.output
    assert "probe: 25 requests/s of contract demo on http://192.0.2.21" in result.output
    assert "report: /reports/one.html" in result.output


def test_the_contract_of_the_probe_can_be_chosen(world: World) -> None:
    result = run("scale-out", "shop", "--web", "1", "--yes", "--probe", "5", "--contract", "pages")
    assert "5 requests/s of contract pages" in result.output
    refused = run("scale-out", "shop", "--web", "1", "--yes", "--probe", "5", "--contract", "blog")
    assert isinstance(refused.exception, InputError)
    assert world.rates == [5.0]


def test_without_a_rate_no_probe_runs(world: World) -> None:
    result = run("scale-out", "shop", "--web", "1", "--yes")
    assert result.exit_code == 0
    assert world.rates == []
    assert "journal 20261124-120000-one" in result.output


def test_as_json_every_line_is_an_event_and_the_probe_is_one(world: World) -> None:
    result = run("scale-out", "shop", "--web", "1", "--yes", "--probe", "5", "--json")
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert [event["event"] for event in events] == [
        *["probe", "plan", "step begins", "step ends", "live", "report", "done", "probe report"]
    ]
    assert events[-1]["ok"] is True
    assert events[-2]["journal"] == "/journals/one.jsonl"


def test_the_plan_alone_starts_neither_the_change_nor_the_probe(world: World) -> None:
    result = run("scale-out", "shop", "--web", "1", "--plan", "--probe", "25")
    assert result.exit_code == 0
    assert "shop-web-1 (a machine of the provider, size 6)" in result.output
    assert (world.rates, len(world.made)) == ([], 1)


@pytest.mark.parametrize("command", ["scale-out", "scale-in"])
def test_what_refuses_it_is_shown_with_the_plan_and_ends_with_2(command: str, world: World) -> None:
    world.refusals = (Refusal("shop is not healthy", "trivet status shop"),)
    result = run(command, "shop", "--web", "1", "--plan")
    assert result.exit_code == 2
    for words in ("shop-web-1", "refused: shop is not healthy", "next: trivet status shop"):
        assert words in result.output
    result = run(command, "shop", "--web", "1", "--yes", "--probe", "25")
    assert isinstance(result.exception, InputError)
    assert (world.agreed, world.rates) == ([], [])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_it_after_the_step(number: signal.Signals, world: World) -> None:
    before = signal.getsignal(number)
    world.during = lambda stop: os.kill(os.getpid(), number)
    result = run("scale-out", "shop", "--web", "1", "--yes")
    assert isinstance(result.exception, ChangeStopped)
    assert f"{number.name}: stopping after this step (again: at once)" in result.output
    assert signal.getsignal(number) is before


def test_a_second_signal_stops_it_at_once(world: World) -> None:
    def twice(_stop: StopRequest) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    world.during = twice
    result = run("scale-out", "shop", "--web", "1", "--yes")
    assert result.exit_code == 130
    assert not isinstance(result.exception, ChangeStopped)
