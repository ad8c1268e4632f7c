# SPDX-License-Identifier: GPL-3.0-or-later
"""A node's vote: which leases go together, for whatever order they are asked, renewed, given back and expire in."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.agent.lease import LeaseRefused, VoteFile
from trivet.health.facts import LeaseMode
from trivet.services.host.collect import vote as vote_of

HANDS_OFF, NO_CHANGE, REPAIR = LeaseMode
RUNNERS = {"rotation": HANDS_OFF, "converge": HANDS_OFF, "backup": NO_CHANGE, "dump": NO_CHANGE}
HEALERS = {"agent@n1": REPAIR, "agent@n2": REPAIR}
OWNERS = {**RUNNERS, **HEALERS}


def together(one: str, other: str) -> bool:
    """What the modes promise: a healer beside who only wants no change, and nobody else beside anybody."""
    return {OWNERS[one], OWNERS[other]} == {NO_CHANGE, REPAIR}


@given(
    st.lists(
        st.tuples(st.sampled_from(["acquire", "release", "wait"]), st.sampled_from(list(OWNERS))),
        max_size=25,
    )
)
def test_no_two_have_a_vote_whose_leases_exclude_each_other(acts: list[tuple[str, str]]) -> None:
    now = 1_000_000.0
    holders: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: now)
        vote = VoteFile(Path(folder) / "lease.json")
        for act, owner in acts:
            if act == "wait":
                now += 40.0
            elif act == "release":
                assert vote.release(owner) == (holders.pop(owner, 0.0) > now)
            else:
                holders = {name: until for name, until in holders.items() if until > now}
                free = all(name == owner or together(name, owner) for name in holders)
                try:
                    vote.acquire(owner, "work", 90.0, OWNERS[owner])
                except LeaseRefused:
                    assert not free
                else:
                    assert free
                    holders[owner] = now + 90.0
            holders = {name: until for name, until in holders.items() if until > now}
            shown = vote.vote()
            # A runner's vote is what others are told of, whoever repairs beside it.
            expected = [name for name in holders if name in RUNNERS] or list(holders)
            assert (shown["owner"] if shown else None) == (expected[0] if expected else None)


def test_a_vote_without_a_mode_keeps_everybody_off(tmp_path: Path) -> None:
    file = tmp_path / "lease.json"
    file.write_text(
        json.dumps(
            {"owner": "old", "purpose": "resize", "since": 1.0, "since_text": "then", "expires": time.time() + 9}
        )
    )
    for mode in LeaseMode:
        with pytest.raises(LeaseRefused, match="held by old since then for: resize"):
            VoteFile(file).acquire("new", "work", 9.0, mode)
    seen = vote_of(json.loads(file.read_text()), time.time())
    assert seen is not None and seen.mode == HANDS_OFF


def test_the_collector_tells_the_mode_of_the_runner_beside_whom_a_healer_works(tmp_path: Path) -> None:
    file = tmp_path / "lease.json"
    VoteFile(file).acquire("agent@n1", "repair", 60.0, REPAIR)
    VoteFile(file).acquire("backup", "dump", 60.0, NO_CHANGE)
    seen = vote_of(json.loads(file.read_text()), time.time())
    assert seen is not None
    assert (seen.owner, seen.purpose, seen.mode) == ("backup", "dump", NO_CHANGE)
