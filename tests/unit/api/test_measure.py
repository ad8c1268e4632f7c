# SPDX-License-Identifier: GPL-3.0-or-later
"""A change with the probe beside it: its report gets the probe's figures, whatever kind of change it is."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from trivet.api import measure
from trivet.api.deploy import PATIENCE_SECONDS
from trivet.errors import ChangeHalted
from trivet.model import Environment, Node
from trivet.model.application import Application
from trivet.probe import LiveFigures, ProbeReport, ProbeSettings
from trivet.probe.contracts.demo import DEMO
from trivet.probe.report import Figures, Gap, Latency, Mark, Orders
from trivet.run.directories import journals_directory
from trivet.run.events import Noted, ProbeBegan, ProbeSeen, Reported, RunBegan, StepEnded
from trivet.services.proxy.hold import REQUEST_SECONDS

ENVIRONMENT = Environment(
    name="shop",
    inventory=Path("inventories/shop"),
    nodes=tuple(Node(f"shop-{n}", n, f"192.0.2.{10 + n}") for n in (1, 2, 3)),
    gateways=("192.0.2.21",),
    size="6",
    domains=("shop.example",),
)
JOURNAL = "20261124-080000-operator@desk:1"
FIGURES = Figures(100, 0, {}, Latency(8.0, 20.0, 40.0, 120.0))


class FakeProbe:
    """A probe that ran over the whole change."""

    settings: ProbeSettings

    def __init__(self, settings: ProbeSettings, events: Path) -> None:
        FakeProbe.settings = settings
        self.events = events
        self.marks: list[str] = []

    def start(self) -> None:
        self.marks.append("before")

    def mark(self, phase: str) -> None:
        self.marks.append(phase)

    def live(self) -> LiveFigures:
        return LiveFigures(50, 0, 12.0)

    def stop(self, *, hurry: bool = False) -> ProbeReport:
        return ProbeReport(
            contract=DEMO.described,
            started="2026-11-24T07:59:00.000+00:00",
            seconds=300.0,
            rate=25.0,
            urls=("http://192.0.2.21",),
            total=FIGURES,
            kinds={"home": FIGURES},
            phases={"before": FIGURES, "during": FIGURES},
            marks=(Mark("before", 0.0), Mark("during", 60.0)),
            failures=(),
            longest_gap=Gap(0.1, 10.0),
            gateway_gaps={"http://192.0.2.21": Gap(0.1, 10.0)},
            timeline=(),
            orders=Orders(10, 10, 0, 0, 0, True, ()),
            served_by={},
            own_lag_ms=1.0,
            unfinished=0,
        )


class FakeTunnels:
    urls = ("http://127.0.0.1:1",)

    def __init__(self, _environment: Environment) -> None:
        return None

    def __enter__(self) -> FakeTunnels:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


@pytest.fixture(autouse=True)
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(measure, "BackgroundProbe", FakeProbe)
    monkeypatch.setattr(measure, "WebTunnels", FakeTunnels)
    monkeypatch.setattr(measure, "BEFORE_SECONDS", 0)
    monkeypatch.setattr(measure, "AFTER_SECONDS", 0)


def scale_out(listener: Any, *, fails: bool) -> str:
    """What the engine of web nodes tells and leaves."""
    listener(RunBegan(JOURNAL, "scale-out of shop-web-1"))
    change = {"kind": "scale-out", "nodes": ["shop-web-1"], "web_nodes_before": 0, "web_nodes_after": 1}
    step = {"node": "shop-web-1", "nodes": ["shop-web-1"], "step": "create"}
    plan = {"environment": "shop", "change": change, "nodes": [{"name": "shop-web-1"}], "steps": [{"step": "create"}]}
    at = 1_795_507_200.0  # 2026-11-24 08:00 UTC
    lines = [
        {"seq": 1, "at": at, "kind": "plan", "plan": plan},
        {"seq": 2, "at": at, "kind": "begin", **step},
        {"seq": 3, "at": at + 9, "kind": "failed" if fails else "end", "error": "no answer", "seconds": 9.0, **step},
        {"seq": 4, "at": at + 10, "kind": "halted" if fails else "done", "error": "no answer", "seconds": 10.0},
    ]
    path = journals_directory("shop") / f"{JOURNAL}.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    listener(StepEnded("create", 9.0))
    if fails:
        raise ChangeHalted("no answer")
    return "made"


@pytest.mark.parametrize("fails", [False, True])
def test_the_report_of_a_scale_out_has_the_figures(fails: bool) -> None:
    events: list[Any] = []
    partial: list[ProbeReport] = []

    def run() -> tuple[ProbeReport, str]:
        return measure.measured(
            ENVIRONMENT,
            25.0,
            # As a verb of the API does it: which leaves a report of its own where no probe runs.
            lambda heard: measure.reported(
                ENVIRONMENT, lambda listener: scale_out(listener, fails=fails), listener=heard
            ),
            listener=events.append,
            partial=partial.append,
        )

    if fails:
        with pytest.raises(ChangeHalted):
            run()
        assert len(partial) == 1
    else:
        assert run()[1] == "made"
    (told,) = [event for event in events if isinstance(event, Reported)]
    document = json.loads(Path(told.json).read_text())
    assert document["probe"]["total"]["requests"] == 100
    assert document["change"]["outcome"] == ("halted" if fails else "done")
    assert document["change"]["web_nodes_after"] == 1
    assert [type(event) for event in events] == [ProbeBegan, RunBegan, StepEnded, ProbeSeen, Reported]


@pytest.mark.parametrize("fails", [False, True])
def test_without_a_probe_the_report_has_no_figures(fails: bool) -> None:
    events: list[Any] = []
    with pytest.raises(ChangeHalted) if fails else nullcontext():
        measure.reported(ENVIRONMENT, lambda listener: scale_out(listener, fails=fails), listener=events.append)
    assert [type(event) for event in events] == [RunBegan, StepEnded, Reported]
    document = json.loads(Path(events[-1].json).read_text())
    assert document["probe"] is None
    assert document["change"]["outcome"] == ("halted" if fails else "done")


def test_a_change_that_was_refused_before_its_journal_began_leaves_no_report() -> None:
    def refused(listener: Any) -> None:
        raise ChangeHalted("not healthy")

    events: list[Any] = []
    with pytest.raises(ChangeHalted):
        measure.reported(ENVIRONMENT, refused, listener=events.append)
    assert events == []


def test_of_two_changes_beside_one_probe_each_leaves_its_report() -> None:
    events: list[Any] = []

    def both(listener: Any) -> None:
        listener(RunBegan("20200101-000000-first", "resize"))
        scale_out(listener, fails=False)

    measure.reported(ENVIRONMENT, both, listener=events.append)
    kinds = [type(event) for event in events]
    assert kinds == [RunBegan, Noted, RunBegan, StepEnded, Reported], "the first has no journal here, and says so"


def test_a_report_that_cannot_be_written_hides_nothing() -> None:
    events: list[Any] = []

    def without_journal(listener: Any) -> str:
        listener(RunBegan("20200101-000000-nobody", "resize"))
        return "made"

    assert measure.reported(ENVIRONMENT, without_journal, listener=events.append) == "made"
    assert isinstance(events[-1], Noted) and "no report was written" in events[-1].text


@pytest.mark.parametrize(
    ("application", "given", "contract"),
    [
        (None, None, "demo"),
        (Application("blog", "/up", probe="magento"), None, "magento"),
        (Application("blog", "/up", probe="magento"), "pages", "pages"),
        (Application("blog", "/up"), None, "demo"),
    ],
)
def test_the_contract_is_the_given_one_else_that_of_the_application(
    application: Application | None, given: str | None, contract: str
) -> None:
    environment = replace(ENVIRONMENT, application=application)
    measure.measured(environment, 25.0, lambda listener: "made", contract=given)
    assert FakeProbe.settings.contract == contract


def test_a_customer_beside_a_deploy_waits_longer_than_a_request_is_held() -> None:
    """A held request that is answered late is no failure: a Magento's schema change takes 20 s and more."""
    measure.measured(ENVIRONMENT, 25.0, lambda listener: None, patience=PATIENCE_SECONDS)
    assert FakeProbe.settings.timeout == PATIENCE_SECONDS > REQUEST_SECONDS
    assert FakeProbe.settings.max_in_flight == round(25.0 * PATIENCE_SECONDS)
    measure.measured(ENVIRONMENT, 25.0, lambda listener: None)
    assert FakeProbe.settings.timeout == measure.PATIENCE_SECONDS == 10.0
    assert FakeProbe.settings.max_in_flight == 500
