# SPDX-License-Identifier: GPL-3.0-or-later
"""The order of a rotation, and the journal."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.rotation.journal import Journal
from trivet.rotation.plan import Plan, Roles, Step, ordered

roles = st.builds(
    Roles,
    writer=st.booleans(),
    redis_primaries=st.sampled_from([(), ("cache",), ("cache", "session")]),
    gateways=st.sampled_from([(), ("a",), ("a", "b")]),
    home=st.just("a"),
)


@given(st.dictionaries(st.sampled_from(["n1", "n2", "n3"]), roles, min_size=1))
def test_order_is_complete_and_puts_roles_last(given_roles: dict[str, Roles]) -> None:
    planned = ordered(given_roles)
    assert sorted(node.name for node in planned) == sorted(given_roles)
    counts = [len(given_roles[node.name].reasons()) for node in planned]
    assert counts == sorted(counts)


def test_the_reason_names_what_a_node_holds() -> None:
    planned = ordered({"n1": Roles(writer=True, gateways=("a", "b"), home="a"), "n2": Roles(), "n3": Roles()})
    assert [node.name for node in planned] == ["n2", "n3", "n1"]
    assert "database writer" in planned[2].reason
    assert "foreign gateway address b" in planned[2].reason


def test_journal_keeps_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    journal = Journal.begin("production", "me", Plan("production", "6", "12", ordered({"n1": Roles()})))
    journal.write("begin", node="n1", step=Step.DRAIN.value)
    with journal.path.open("a") as stream:
        stream.write('{"kind": "end", "no')
    kinds = [line["kind"] for line in journal.lines()]
    assert kinds == ["plan", "begin"]
