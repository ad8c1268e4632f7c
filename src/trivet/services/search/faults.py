# SPDX-License-Identifier: GPL-3.0-or-later
"""How the search engine is broken."""

from __future__ import annotations

from trivet.chaos.faults import NO_FAILURE, Daemon, Faults

FAULTS = Faults(
    daemons=(
        Daemon("search", "the search engine", "opensearch.service elasticsearch.service", goal=NO_FAILURE, limit=300),
    )
)
