# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may bootstrap a Galera cluster: each unsafe act is a property that must hold for all reports."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.health.config import Member
from trivet.services.database.election import MemberReport, Outcome, elect, evidence, formation, recovers_itself

UUID = "7d1a3c52-0a6e-11ef-9f3e-0242ac120002"
OTHER_UUID = "8e2b4d63-0a6e-11ef-9f3e-0242ac120002"
ZERO = "00000000-0000-0000-0000-000000000000"
MEMBERS = tuple(Member(f"n{n}", n, f"10.0.0.{n}") for n in (1, 2, 3))
NAMES = [member.name for member in MEMBERS]
Reports = dict[str, MemberReport]


def stopped(name: str, seqno: int, **changes: object) -> MemberReport:
    report = MemberReport(node=name, unit="inactive", uuid=UUID, seqno=seqno, source="saved", databases=("store",))
    return replace(report, **changes)  # type: ignore[arg-type]


def all_stopped(*seqnos: int) -> Reports:
    return {name: stopped(name, seqno) for name, seqno in zip(NAMES, seqnos, strict=True)}


any_report = st.builds(
    MemberReport,
    node=st.sampled_from([*NAMES, "stranger"]),
    age_seconds=st.sampled_from([0.0, 5.0, 29.0, 31.0, -1.0]),
    unit=st.sampled_from(["inactive", "failed", "active", "activating", "deactivating", "unknown"]),
    process=st.booleans(),
    answers=st.booleans(),
    component=st.sampled_from(["", "Primary", "non-Primary", "Disconnected"]),
    transfer=st.sampled_from([None, None, None, "wsrep_sst_mariabackup"]),
    uuid=st.sampled_from([UUID, UUID, UUID, OTHER_UUID, ZERO, "", "nonsense"]),
    seqno=st.integers(-1, 5),
    source=st.sampled_from(["saved", "recovered", ""]),
    safe_to_bootstrap=st.booleans(),
    view_saved=st.booleans(),
    unreadable=st.sampled_from([None, None, None, "InnoDB: corrupted"]),
)
"""Anything that a member, its disk or the network may say."""


@st.composite
def nearly_sound(draw: st.DrawFn) -> Reports:
    """Mostly sound reports: pure chance would hardly ever come to an election."""
    reports = all_stopped(*(draw(st.integers(0, 5)) for _ in NAMES))
    for name in NAMES:
        match draw(st.sampled_from(["as it is"] * 6 + ["missing", "anything", "left last", "other history"])):
            case "missing":
                del reports[name]
            case "anything":
                reports[name] = draw(any_report)
            case "left last":
                reports[name] = replace(reports[name], safe_to_bootstrap=True)
            case "other history":
                reports[name] = replace(reports[name], uuid=OTHER_UUID)
    return reports


@given(nearly_sound())
def test_whoever_bootstraps_has_every_transaction_of_every_member(reports: Reports) -> None:
    election = elect(MEMBERS, reports)
    if election.outcome is not Outcome.ELECTED:
        assert election.winner is None and election.position is None
        return
    assert election.winner is not None
    winner = reports[election.winner]
    assert set(reports) == set(NAMES), "bootstrapped with a missing member"
    for name, report in reports.items():
        assert report.uuid == winner.uuid, "bootstrapped with different UUIDs"
        assert 0 <= report.seqno <= winner.seqno, "bootstrapped a lower position"
        assert report.node == name and report.unreadable is None
        assert report.unit in ("inactive", "failed") and not report.process and not report.answers
        assert not report.primary and report.transfer is None
        assert 0 <= report.age_seconds <= 30
    last = [report for report in reports.values() if report.safe_to_bootstrap]
    assert len(last) <= 1 and all(report.seqno == winner.seqno for report in last)
    assert election.position == f"{winner.uuid}:{winner.seqno}"


@given(nearly_sound(), st.permutations(NAMES), st.permutations(MEMBERS))
def test_everyone_computes_the_same_answer_and_at_most_one_acts(
    reports: Reports, order: list[str], members: list[Member]
) -> None:
    shuffled = {name: reports[name] for name in order if name in reports}
    election = elect(MEMBERS, reports)
    again = elect(members, shuffled)
    assert (again.outcome, again.winner, again.position) == (election.outcome, election.winner, election.position)
    assert sum(election.acts(name) for name in NAMES) == (election.outcome is Outcome.ELECTED)


@given(nearly_sound(), st.sets(st.sampled_from(NAMES), max_size=2))
def test_a_member_that_hears_only_some_never_bootstraps(reports: Reports, heard: set[str]) -> None:
    partial = {name: report for name, report in reports.items() if name in heard}
    assert elect(MEMBERS, partial).outcome is not Outcome.ELECTED


@given(nearly_sound(), st.sampled_from(NAMES))
def test_nobody_bootstraps_beside_a_primary_component(reports: Reports, name: str) -> None:
    reports[name] = replace(stopped(name, -1), unit="active", answers=True, process=True, component="Primary")
    assert elect(MEMBERS, reports).outcome is Outcome.JOIN


@pytest.mark.parametrize(
    ("seqnos", "winner"), [((7, 9, 8), "n2"), ((7, 7, 7), "n1"), ((1, 9, 9), "n2"), ((0, 0, 1), "n3")]
)
def test_the_highest_position_wins_and_ties_go_to_the_lowest_id(seqnos: tuple[int, ...], winner: str) -> None:
    election = elect(MEMBERS, all_stopped(*seqnos))
    assert (election.outcome, election.winner) == (Outcome.ELECTED, winner)
    assert election.acts(winner) and not election.acts("n9")


def refused(reports: Reports, words: str, outcome: Outcome = Outcome.REFUSED) -> str | None:
    election = elect(MEMBERS, reports)
    assert election.outcome is outcome
    assert words in election.reason
    assert all(name in election.evidence for name in NAMES)
    return election.next_command


def test_a_missing_member_is_named_and_so_is_the_command_for_a_human() -> None:
    reports = all_stopped(7, 9, 8)
    del reports["n3"]
    command = refused(reports, "no report of n3")
    assert command == f"ssh 10.0.0.2 trivet-agent galera bootstrap --position {UUID}:9"


def test_different_histories_are_left_to_a_human() -> None:
    reports = all_stopped(7, 9, 8)
    reports["n3"] = replace(reports["n3"], uuid=OTHER_UUID)
    refused(reports, "UUIDs differ")


def test_an_unreadable_position_is_left_to_a_human() -> None:
    reports = all_stopped(7, 9, 8)
    reports["n2"] = replace(reports["n2"], uuid="", seqno=-1, unreadable="InnoDB: corrupted")
    assert (
        refused(reports, "n2: InnoDB: corrupted") == f"ssh 10.0.0.3 trivet-agent galera bootstrap --position {UUID}:8"
    )


def test_a_position_that_was_not_recovered_yet_is_waited_for() -> None:
    reports = all_stopped(7, 9, 8)
    reports["n2"] = replace(reports["n2"], seqno=-1)
    refused(reports, "n2 is not recovered", Outcome.UNSETTLED)


@pytest.mark.parametrize("changes", [{"unit": "activating"}, {"process": True}, {"unit": "active", "answers": True}])
def test_a_server_that_runs_has_no_settled_position(changes: dict[str, object]) -> None:
    reports = all_stopped(7, 9, 8)
    reports["n1"] = stopped("n1", 7, **changes)
    refused(reports, "runs on n1", Outcome.UNSETTLED)


def test_a_state_transfer_is_left_alone() -> None:
    reports = all_stopped(7, 9, 8)
    reports["n1"] = stopped("n1", 7, transfer="wsrep_sst_mariabackup")
    refused(reports, "state transfer runs on n1", Outcome.UNSETTLED)


def test_two_that_left_last_were_two_clusters() -> None:
    reports = all_stopped(7, 9, 8)
    for name in ("n1", "n2"):
        reports[name] = replace(reports[name], safe_to_bootstrap=True)
    refused(reports, "n1, n2 each say that they left last")


def test_one_that_left_last_and_is_not_the_furthest_contradicts_itself() -> None:
    reports = all_stopped(7, 9, 8)
    reports["n1"] = replace(reports["n1"], safe_to_bootstrap=True)
    refused(reports, "another member is further")


def test_an_old_report_counts_as_none() -> None:
    reports = all_stopped(7, 9, 8)
    reports["n3"] = replace(reports["n3"], age_seconds=31.0)
    refused(reports, "n3 is older than 30 s")


def test_a_node_that_answers_for_another_counts_as_none() -> None:
    reports = all_stopped(7, 9, 8)
    reports["n3"] = reports["n2"]
    refused(reports, "n3 answers as n2")


def test_without_any_position_there_is_no_command() -> None:
    assert elect(MEMBERS, {}).next_command is None


@given(any_report)
def test_a_report_survives_the_way_to_another_node(report: MemberReport) -> None:
    assert MemberReport.from_dict(report.to_dict()) == report


def test_a_report_that_does_not_fit_is_refused() -> None:
    with pytest.raises(TypeError):
        MemberReport.from_dict({"node": "n1", "seqno": "9"})


def test_how_converge_starts_a_cluster() -> None:
    empty = {name: MemberReport(node=name, unit="inactive") for name in NAMES}
    assert formation(MEMBERS, empty) == "bootstrap"
    assert formation(MEMBERS, {"n1": empty["n1"]}) is None
    assert formation(MEMBERS, all_stopped(1, 2, 3)) is None
    crashed = {name: replace(stopped(name, -1), view_saved=True) for name in NAMES}
    assert recovers_itself(MEMBERS, crashed)
    assert formation(MEMBERS, crashed) == "recover"
    joined = {**all_stopped(1, 2, 3), "n3": stopped("n3", -1, unit="active", answers=True, component="Primary")}
    assert formation(MEMBERS, joined) == "join"
    assert formation(MEMBERS[:1], {"n1": stopped("n1", 4)}) == "recover"


def test_the_evidence_has_a_line_for_every_member() -> None:
    reports = all_stopped(7, 9, 8)
    del reports["n2"]
    lines = evidence(MEMBERS, reports).splitlines()
    assert [line.split()[0] for line in lines] == ["node", *NAMES]
    assert "no report" in lines[2] and UUID in lines[1]
