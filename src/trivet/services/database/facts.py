# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node says of its MariaDB."""

from __future__ import annotations

from dataclasses import dataclass

from trivet.health.facts import ServiceFacts

LONG_SECONDS = 30.0
"""How long a client may keep a transaction, a lock or a statement before it is told of: a change would cut it."""
HUGE_ROWS = 1_000_000
"""Rows that one transaction has changed. Galera sends it as a whole when it commits, and every member applies it alone:
meanwhile nobody's writes are through."""
UNLIMITED_BYTES = 2147483647
"""``wsrep_max_ws_size`` at its maximum. Below it MariaDB 10.11 refuses statements that use temporary tables, such as an
UPDATE that joins a derived table, with error 4165 (MDEV-28750): Magento saves prices by them."""


@dataclass(frozen=True, kw_only=True)
class Client:
    """A client of MariaDB, and what it keeps."""

    number: int
    user: str = ""
    host: str = ""
    """Address and port; ``localhost`` for one that comes by the socket."""
    idle: bool = False
    """Whether the server waits for its next statement."""
    seconds: float = 0.0
    """How long it has been idle, or its statement has been running."""
    statement: str = ""
    """Its beginning; empty for an idle one."""
    transaction_seconds: float | None = None
    """How old its transaction is; None without one."""
    rows: int = 0
    """How many rows the transaction has changed."""
    lock: str = ""
    """A lock that it holds, of ``GET_LOCK``, ``LOCK TABLES`` or a table of its transaction."""
    lock_seconds: float = 0.0

    @property
    def kept_seconds(self) -> float:
        """How long it has kept what a closed connection would take from it."""
        running = 0.0 if self.idle else self.seconds
        return max(running, self.transaction_seconds or 0.0, self.lock_seconds)


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
    transaction_limit_bytes: int = UNLIMITED_BYTES
    lasting: tuple[Client, ...] = ()
    """Those that come by a proxy and have kept something for LONG_SECONDS."""
    huge: tuple[Client, ...] = ()
    """Those whose transaction has changed HUGE_ROWS or more."""


FACTS = DatabaseFacts
