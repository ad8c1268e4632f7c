# SPDX-License-Identifier: GPL-3.0-or-later
"""What a change tells has one form as JSON, and one line for people, for every kind of event."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.cli.tell import told
from trivet.run import events
from trivet.run.events import Event, RunBegan, StepBegan, StepEnded

KINDS = [kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, Event) and kind != Event]
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "str": st.text(min_size=12),
    "str | None": st.none() | st.text(),
    "int": st.integers(0, 10**9),
    "float": st.floats(0, 1e6),
    "tuple[str, ...]": st.lists(st.text()).map(tuple),
    "Mapping[str, Any]": st.dictionaries(st.sampled_from(["kind", "nodes", "steps"]), st.text()),
}


def some(kind: type[Event]) -> st.SearchStrategy[Event]:
    return st.builds(kind, **{item.name: VALUES[str(item.type)] for item in fields(kind)})


@given(st.sampled_from(KINDS).flatmap(some))
def test_an_event_is_json_with_its_kind_and_what_applies(event: Event) -> None:
    data = json.loads(json.dumps(event.to_dict()))
    assert data["event"] == event.kind
    assert None not in data.values()
    if not isinstance(event, RunBegan):
        given_fields = {item.name for item in fields(event) if getattr(event, item.name) is not None}
        assert set(data) == {"event", *given_fields}


@given(st.sampled_from(KINDS).flatmap(some))
def test_an_event_is_a_line_that_is_its_own(event: Event) -> None:
    # The kind alone would say that nobody wrote a line for it; no text here is as short as a kind.
    assert told(event) != event.kind


def test_kinds_have_names_of_their_own() -> None:
    assert len({kind.kind for kind in KINDS}) == len(KINDS) == 10


@pytest.mark.parametrize(
    ("event", "data", "line"),
    [
        (
            RunBegan("20301201-one", "resize to size 12", {"environment": "shop", "refusals": []}),
            {"event": "plan", "environment": "shop", "refusals": [], "journal": "20301201-one"},
            "resize to size 12; journal 20301201-one",
        ),
        (StepBegan("stop", "n1"), {"event": "step begins", "step": "stop", "node": "n1"}, "n1: stop …"),
        (StepBegan("admit"), {"event": "step begins", "step": "admit"}, "admit …"),
        (StepEnded("stop", 4.21), {"event": "step ends", "step": "stop", "seconds": 4.21}, "stop done in 4.2 s"),
    ],
)
def test_the_forms_that_programs_and_people_read(event: Event, data: dict[str, Any], line: str) -> None:
    assert (event.to_dict(), told(event)) == (data, line)
