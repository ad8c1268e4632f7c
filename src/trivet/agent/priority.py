# SPDX-License-Identifier: GPL-3.0-or-later
"""Work of the agent that must not slow down the customers for whose sake it is done."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

NICENESS = 15


@contextlib.contextmanager
def unhurried() -> Iterator[None]:
    """Have this thread, and what it starts meanwhile, leave a core to whatever serves on this node."""
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    os.nice(NICENESS)
    try:
        yield
    finally:
        # In a session the next question may be the one that releases the clients. Only root may, and sessions are its.
        with contextlib.suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, 0, usual)
