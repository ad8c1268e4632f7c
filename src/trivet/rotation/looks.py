# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at all nodes of a change, none of them twice within a moment: each costs every node a part of a core."""

from __future__ import annotations

import time

from trivet.model import Node
from trivet.remote import Nodes, Observation, observe

APART_SECONDS = 0.3
"""Between the questions to one node and to the next, so that customers wait for one of them at most."""
RECENT_SECONDS = 5.0
"""How long ago a look may have begun that counts as recent. Before anything of a node stops, it is looked at anew."""


class Looks:
    """Looks, and keeps the last one that asked every node everything."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._last: Observation | None = None
        self._began = 0.0

    def look(self, heal_from: Node | None = None) -> Observation:
        """How every node stands now.

        :param heal_from: see :func:`trivet.remote.observe`.
        """
        began = time.monotonic()
        observation = observe(self._nodes, apart=APART_SECONDS, heal_from=heal_from)
        if heal_from is None:
            self._last, self._began = observation, began
        return observation

    def recent(self) -> Observation:
        """The last look at everything when it began a moment ago, else a new one."""
        if self._last is not None and time.monotonic() - self._began < RECENT_SECONDS:
            return self._last
        return self.look()
