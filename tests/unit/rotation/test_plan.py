# SPDX-License-Identifier: GPL-3.0-or-later
"""The order of a rotation, and its plan."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trivet.rotation.change import Change, Kind
from trivet.rotation.plan import Plan, Roles, expected_seconds, ordered

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


def test_a_plan_reads_like_what_will_happen() -> None:
    change = Change(Kind.RESIZE, ("n1", "n2"), size="12", size_before="6")
    plan = Plan("production", change, ordered({"n1": Roles(writer=True), "n2": Roles()}), {"drain": 2.0})
    data = plan.to_dict()
    assert data["change"]["summary"] == "resize to size 12"
    assert [step["step"] for step in data["steps"]] == [step.value for step in change.steps]
    assert {step["step"]: step["expected_seconds"] for step in data["steps"]}["drain"] == 2.0
    assert data["expected_seconds"] is None, "a step that was never done has no expectation"
    assert any("hands the writer over" in action for action in data["nodes"][1]["actions"])
    assert Change.from_dict(data["change"]) == change


def test_expectations_are_medians_of_what_is_done() -> None:
    history = [
        {"state": "done", "seconds": {"drain": 2.0, "stop": 20.0}},
        {"state": "done", "seconds": {"drain": 4.0}},
        {"state": "done", "seconds": {"drain": 3.0}},
        {"state": "halted", "seconds": {"drain": 900.0}},
    ]
    assert expected_seconds(history) == {"drain": 3.0, "stop": 20.0}
