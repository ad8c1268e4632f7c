# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node says of its MariaDB."""

from __future__ import annotations

from dataclasses import dataclass

from trivet.health.facts import ServiceFacts


@dataclass(frozen=True, kw_only=True)
class DatabaseFacts(ServiceFacts):
    """The node's own mariadbd as a member of the Galera cluster."""

    NAME = "database"

    unit: str = "unknown"
    wsrep: bool = False
    """True when replication is on; a database of one node may do without."""
    cluster_status: str = ""
    state: str = ""
    """``wsrep_local_state_comment``: Synced, Donor/Desynced, Joined, Joining … or Initialized."""
    ready: bool = False
    connected: bool = False
    size: int = 0
    cluster_uuid: str = ""
    flow_control: bool = False
    receive_queue: int = 0
    threads_running: int = 0
    threads_connected: int = 0
    last_committed: int = -1
    auto_increment_step: int = 0
    auto_increment_offset: int = 0
    version: str = ""
    transfer: str | None = None
    """The state transfer under way on this node (its process), None when there is none."""
    saved_uuid: str = ""
    saved_seqno: int = -1
    """From ``grastate.dat``: what a stopped member would start from; -1 while it runs and after a crash."""
    safe_to_bootstrap: bool = False


FACTS = DatabaseFacts
