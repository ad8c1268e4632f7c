# SPDX-License-Identifier: GPL-3.0-or-later
"""Work at a low priority, after which the same thread is as urgent as before."""

from __future__ import annotations

import os

import pytest

from trivet.agent import priority
from trivet.agent.priority import NICENESS, unhurried


class Kernel:
    """The priority of one thread."""

    PRIO_PROCESS = os.PRIO_PROCESS

    def __init__(self, allowed: bool) -> None:
        self.nice_value = 0
        self.allowed = allowed

    def getpriority(self, _which: int, _who: int) -> int:
        return self.nice_value

    def nice(self, by: int) -> None:
        self.nice_value += by

    def setpriority(self, _which: int, _who: int, value: int) -> None:
        if not self.allowed:
            raise PermissionError
        self.nice_value = value


@pytest.mark.parametrize(("root", "after"), [(True, 0), (False, NICENESS)])
def test_what_is_done_meanwhile_has_a_low_priority(root: bool, after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(root)
    monkeypatch.setattr(priority, "os", kernel)
    with pytest.raises(KeyError), unhurried():
        assert kernel.nice_value == NICENESS
        raise KeyError
    assert kernel.nice_value == after
