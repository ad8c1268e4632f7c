# SPDX-License-Identifier: GPL-3.0-or-later
"""How a broker comes into its cluster: it joins who has one, and only where nobody has, one is formed."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from trivet.health.external import NoAnswer, NotRunning
from trivet.services.rabbitmq import broker, cluster, questions
from trivet.services.rabbitmq.broker import Refused
from trivet.services.rabbitmq.cluster import MARK, Member, Report, broker_name, why_not_form
from trivet.services.rabbitmq.definitions import Definitions

NODES = ("node-1", "node-2", "node-3")
NOTHING = {name: Report(name, "none", up=False, members=()) for name in NODES}
GOOD = {"count": 0, "names": []}


def looked(*members: str, **other: Any) -> dict[str, Any]:
    """What a broker that serves says of itself."""
    names = [broker_name(name) for name in members]
    queues = dict.fromkeys(("not_member", "stopped", "leaderless", "unsynchronised"), GOOD)
    return {"up": True, "members": names, "running": names, "maintenance": False, **queues, **other}


class Brokers:
    """The brokers of an environment: what each answers, and what each was asked to do."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.looks: dict[str, dict[str, Any]] = {}
        self.member: dict[str, bool] = {}
        self.asked: list[tuple[str, str]] = []
        self.started: list[tuple[str, ...]] = []
        self.refusals: list[str] = []
        monkeypatch.setattr(cluster, "_systemctl", lambda *words: self.started.append(words))
        monkeypatch.setattr(
            broker.Broker, "evaluate", lambda asked, expression, seconds: self.answer(asked.node, expression)
        )

    def answer(self, node: str, expression: str) -> Any:
        if node not in self.looks:
            raise NotRunning(f"{node} is not there")
        if expression == questions.LOOK:
            return self.looks[node]
        if "filelib:is_file" in expression:
            return {"member": self.member.get(node, False), "members": self.looks[node]["members"]}
        self.asked.append((node, expression))
        if "join_cluster" in expression and self.refusals:
            raise Refused(self.refusals.pop())
        return {}


@pytest.fixture
def brokers(monkeypatch: pytest.MonkeyPatch) -> Brokers:
    return Brokers(monkeypatch)


@pytest.fixture
def member(tmp_path: Path) -> Member:
    (tmp_path / broker_name("node-1")).mkdir()
    return Member("node-1", NODES[1:], tmp_path)


def saved(member: Member, *nodes: str) -> None:
    """As RabbitMQ keeps who is in the cluster."""
    names = ",".join(f"'{broker_name(node)}'" for node in nodes)
    (member.directory / "cluster_nodes.config").write_text(f"{{[{names}],[{names}]}}.\n")


def test_a_new_cluster_is_formed_only_where_nobody_has_data() -> None:
    assert why_not_form(NODES, NOTHING) is None
    unfinished = replace(NOTHING["node-2"], data="unfinished")
    assert why_not_form(NODES, {**NOTHING, "node-2": unfinished}) is None


@pytest.mark.parametrize("up", [True, False])
def test_no_new_cluster_is_formed_beside_one_that_is_down(up: bool) -> None:
    other = Report("node-3", "member", up, tuple(map(broker_name, NODES)))
    assert "node-3" in (why_not_form(NODES, {**NOTHING, "node-3": other}) or "")


def test_no_new_cluster_is_formed_while_a_node_cannot_be_asked() -> None:
    reports = {name: report for name, report in NOTHING.items() if name != "node-2"}
    assert "node-2" in (why_not_form(NODES, reports) or "")


def test_a_report_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="perhaps"):
        Report.from_dict({"node": "node-1", "data": "perhaps", "up": False, "members": []})


def test_data_is_that_of_a_member_by_its_mark_or_by_its_peers(member: Member, brokers: Brokers) -> None:
    assert member.report().data == "none"
    saved(member, "node-1")
    assert member.report().data == "unfinished"
    saved(member, "node-1", "node-2")
    assert member.report() == Report("node-1", "member", False, (broker_name("node-1"), broker_name("node-2")))
    saved(member, "node-1")
    (member.directory / MARK).touch()
    assert member.report().data == "member"


def test_a_member_is_started_and_not_waited_for(member: Member, brokers: Brokers) -> None:
    saved(member, *NODES)
    assert member.start() == "started"
    assert brokers.started == [("start", "--no-block", "rabbitmq-server")]
    assert brokers.asked == []


def test_without_data_it_does_not_even_start_until_somebody_can_be_joined(member: Member, brokers: Brokers) -> None:
    brokers.looks[broker_name("node-2")] = looked("node-2")
    assert member.start() == "nobody"
    assert brokers.started == []


def test_it_joins_a_member_of_the_cluster(member: Member, brokers: Brokers) -> None:
    brokers.looks[broker_name("node-1")] = looked("node-1")
    brokers.looks[broker_name("node-3")] = looked("node-3")
    brokers.member[broker_name("node-3")] = True
    assert member.start() == "joined"
    words = [expression for node, expression in brokers.asked if node == broker_name("node-1")]
    assert ["rabbit:stop" in words[0], "'rabbit@node-3'" in words[1], "rabbit:start" in words[2]] == [True] * 3
    assert member.marked


def test_a_new_machine_takes_the_place_of_the_one_that_its_peers_still_know(member: Member, brokers: Brokers) -> None:
    brokers.looks[broker_name("node-1")] = looked("node-1")
    brokers.looks[broker_name("node-2")] = looked(*NODES)
    brokers.member[broker_name("node-2")] = True
    brokers.refusals = ['{inconsistent_cluster,"Node thinks it is clustered"}']
    assert member.start() == "joined"
    forgotten = [node for node, expression in brokers.asked if "forget_cluster_node" in expression]
    assert forgotten == [broker_name("node-2")]


def test_a_join_that_fails_leaves_no_mark(member: Member, brokers: Brokers) -> None:
    brokers.looks[broker_name("node-1")] = looked("node-1")
    brokers.looks[broker_name("node-2")] = looked("node-2")
    brokers.member[broker_name("node-2")] = True
    brokers.refusals = ["{badrpc,nodedown}"]
    with pytest.raises(Refused):
        member.start()
    assert not member.marked


def test_two_clusters_are_for_a_human(member: Member, brokers: Brokers) -> None:
    for node in NODES[1:]:
        brokers.looks[broker_name(node)] = looked(node)
        brokers.member[broker_name(node)] = True
    with pytest.raises(Refused, match="different clusters"):
        member.start()


def test_who_has_data_forms_no_cluster(member: Member, brokers: Brokers) -> None:
    saved(member, *NODES)
    with pytest.raises(Refused, match="has data"):
        member.form()


@pytest.mark.parametrize(
    ("said", "missing"),
    [
        (looked(*NODES), None),
        (looked(*NODES, up=False), "it waits for its cluster"),
        (looked(*NODES, not_member={"count": 2, "names": []}), "it has no copy of 2 queues"),
        (looked(*NODES, stopped={"count": 1, "names": []}), "its copies of 1 queues do not run"),
        (looked(*NODES, stopped={"count": 1, "names": []}, maintenance=True), None),
    ],
)
def test_what_keeps_it_from_being_settled(
    member: Member, brokers: Brokers, said: dict[str, Any], missing: str | None
) -> None:
    brokers.looks[broker_name("node-1")] = said
    assert member.unsettled() == "it is no member of a cluster"
    (member.directory / MARK).touch()
    assert member.unsettled() == missing


def test_who_has_stepped_aside_is_needed_by_no_queue(member: Member, brokers: Brokers) -> None:
    brokers.looks[broker_name("node-1")] = looked(*NODES, maintenance=True)
    assert member.critical() == []


@pytest.fixture
def erl_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in the place of erl_call; what it was told is kept beside it."""
    program = tmp_path / "erl_call"
    monkeypatch.setattr(broker, "PROGRAM", str(program))
    return program


def says(program: Path, script: str) -> None:
    program.write_text(f'#!/bin/sh\necho "$@" > {program}.words\ncat > {program}.text\n{script}\n')
    program.chmod(0o755)


def test_a_question_goes_by_standard_input(erl_call: Path) -> None:
    says(erl_call, """printf '{"said": [1]}'""")
    assert broker.Broker("rabbit@node-1").evaluate("[1]", 5) == [1]
    assert "-sname rabbit@node-1" in Path(f"{erl_call}.words").read_text()
    assert "[1]" in Path(f"{erl_call}.text").read_text()
    assert broker.Broker("rabbit@node-1.example").evaluate("[1]", 5) == [1]
    assert "-name rabbit@node-1.example" in Path(f"{erl_call}.words").read_text()


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("""printf '{"refused": "no"}'""", Refused),
        ("""printf '{"failed": "error: badarg"}'""", Refused),
        ("printf nonsense", NoAnswer),
        ("echo 'failed to connect to node' >&2; exit 1", NotRunning),
        ("sleep 20", NoAnswer),
    ],
)
def test_what_a_question_may_end_with(erl_call: Path, script: str, problem: type[Exception]) -> None:
    says(erl_call, script)
    with pytest.raises(problem):
        broker.Broker("rabbit@node-1").evaluate("ok", 0.5)


def test_no_text_can_end_an_erlang_term() -> None:
    assert broker.binary('a"é') == "<<97,34,195,169>>"
    with pytest.raises(ValueError, match="no name"):
        broker.atom("rabbit@x', halt()")


def test_a_password_is_not_readable_as_code() -> None:
    wanted = Definitions("c", "shop", "shop", '">>), halt(), <<"', "classic_mirrored")
    said = wanted._expression()
    assert "halt" not in said
    assert "Kind = undefined" in said and "Mirrored = true" in said
    assert "Kind = <<113,117,111,114,117,109>>" in replace(wanted, queue_type="quorum")._expression()


def test_the_reports_travel_as_json() -> None:
    report = Report("node-1", "member", True, ("rabbit@node-1",))
    assert Report.from_dict(json.loads(json.dumps(asdict(report)))) == report
