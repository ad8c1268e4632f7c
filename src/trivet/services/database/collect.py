# SPDX-License-Identifier: GPL-3.0-or-later
"""The node's mariadbd as a member of the Galera cluster."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from trivet.health.collector import Collect
from trivet.health.config import MARIADB_DIRECTORY, NodeConfig
from trivet.health.external import Deadline, NoAnswer, NotRunning, unit_state
from trivet.services.database.clients import QUESTION, comes_by_proxy, read
from trivet.services.database.facts import HUGE_ROWS, LONG_SECONDS, UNLIMITED_BYTES, Client, DatabaseFacts
from trivet.services.database.server import ask

UNIT = "mariadb.service"
_STATUS = (
    "wsrep_cluster_status",
    "wsrep_local_state_comment",
    "wsrep_ready",
    "wsrep_connected",
    "wsrep_cluster_size",
    "wsrep_cluster_state_uuid",
    "wsrep_flow_control_active",
    "wsrep_local_recv_queue",
    "wsrep_last_committed",
    "threads_running",
    "threads_connected",
)
_VARIABLES = ("wsrep_on", "auto_increment_increment", "auto_increment_offset", "version", "wsrep_max_ws_size")
_QUERY = (
    f"SHOW GLOBAL STATUS WHERE Variable_name IN ({', '.join(map(repr, _STATUS))});"
    f" SHOW GLOBAL VARIABLES WHERE Variable_name IN ({', '.join(map(repr, _VARIABLES))});"
)


def collect(config: NodeConfig, deadline: Deadline) -> DatabaseFacts:
    """Gather the facts of MariaDB on this node."""
    del config
    unit = unit_state(UNIT, deadline)
    transfer = state_transfer()
    saved = saved_state(MARIADB_DIRECTORY / "grastate.dat")
    try:
        values = parse_values(ask(_QUERY, deadline))
    except NoAnswer as problem:
        return facts_of({}, saved, unit, transfer, error=str(problem), down=isinstance(problem, NotRunning))
    return facts_of(values, saved, unit, transfer, _clients(deadline))


def _clients(deadline: Deadline) -> tuple[Client, ...]:
    """Who is connected. A server that says how it stands and not who its clients are is not taken for a hung one."""
    with contextlib.suppress(NoAnswer):
        return read(ask(QUESTION, deadline).splitlines())
    return ()


def parse_values(text: str) -> dict[str, str]:
    """Lines of name, tab, value."""
    pairs = (line.partition("\t") for line in text.splitlines() if "\t" in line)
    return {name.lower(): value for name, _, value in pairs}


def facts_of(
    values: Mapping[str, str],
    saved: Mapping[str, str],
    unit: str,
    transfer: str | None,
    clients: Sequence[Client] = (),
    *,
    error: str | None = None,
    down: bool = False,
) -> DatabaseFacts:
    """Facts from the server's values (empty when it does not answer) and the saved state."""
    return DatabaseFacts(
        error=error,
        down=down,
        unit=unit,
        wsrep=_on(values.get("wsrep_on")),
        cluster_status=values.get("wsrep_cluster_status", ""),
        state=values.get("wsrep_local_state_comment", ""),
        ready=_on(values.get("wsrep_ready")),
        connected=_on(values.get("wsrep_connected")),
        size=_number(values, "wsrep_cluster_size", 0),
        cluster_uuid=values.get("wsrep_cluster_state_uuid", ""),
        flow_control=_on(values.get("wsrep_flow_control_active")),
        receive_queue=_number(values, "wsrep_local_recv_queue", 0),
        threads_running=_number(values, "threads_running", 0),
        threads_connected=_number(values, "threads_connected", 0),
        last_committed=_number(values, "wsrep_last_committed", -1),
        auto_increment_step=_number(values, "auto_increment_increment", 0),
        auto_increment_offset=_number(values, "auto_increment_offset", 0),
        version=values.get("version", ""),
        transfer=transfer,
        saved_uuid=saved.get("uuid", ""),
        saved_seqno=_number(saved, "seqno", -1),
        safe_to_bootstrap=_number(saved, "safe_to_bootstrap", 0) == 1,
        transaction_limit_bytes=_number(values, "wsrep_max_ws_size", UNLIMITED_BYTES),
        lasting=tuple(item for item in clients if item.kept_seconds >= LONG_SECONDS and comes_by_proxy(item)),
        huge=tuple(item for item in clients if item.rows >= HUGE_ROWS),
    )


def _on(value: str | None) -> bool:
    return (value or "").upper() in ("ON", "TRUE", "1", "YES")


def _number(values: Mapping[str, str], name: str, default: int) -> int:
    try:
        return int(values[name])
    except (KeyError, ValueError):
        return default


def saved_state(path: Path) -> dict[str, str]:
    """The content of ``grastate.dat``, empty when there is none."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, value in pairs}


def state_transfer(processes: Path = Path("/proc")) -> str | None:
    """The script of a state transfer that runs on this node, None when there is none.

    The marker file ``sst_in_progress`` is not asked: it outlives a transfer that was killed.
    """
    for entry in processes.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            arguments = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue  # The process has ended.
        for argument in arguments[:3]:
            name = argument.rsplit(b"/", 1)[-1]
            if name.startswith(b"wsrep_sst_"):
                return name.decode(errors="replace")
    return None


COLLECT = Collect(facts=DatabaseFacts, full=collect, members_only=True)
