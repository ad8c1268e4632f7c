# SPDX-License-Identifier: GPL-3.0-or-later
"""An agent that answers nonsense is part of the verdict, never an error."""

from __future__ import annotations

import pytest

from trivet.health.facts import Unreachable
from trivet.remote.observe import _facts
from trivet.remote.result import RemoteResult


@pytest.mark.parametrize("output", ["", "1", "[]", '{"node": 1}', "Traceback"])
def test_an_answer_that_is_no_facts_is_told(output: str) -> None:
    answered = _facts(RemoteResult("node-1", 0, output, "last words"), 1.0, 2.0)
    assert answered == Unreachable("the agent did not answer: last words")
