# SPDX-License-Identifier: GPL-3.0-or-later
"""What this node's HAProxy thinks of the servers behind it, and which writer its connections stick to."""

from __future__ import annotations

import csv
import io
import re
import time
from collections.abc import Mapping
from pathlib import Path

from trivet.health.collector import Collect
from trivet.health.config import HAPROXY_SOCKET, NodeConfig
from trivet.health.external import Deadline, unix_dialogue
from trivet.services.gateway.contract import HAPROXY_FILE
from trivet.services.proxy.facts import WRITER_BACKEND, ProxiesFacts, ProxyServer

OLDER_TOLERANCE_SECONDS = 2.0
_STAT_OF_SERVERS = "show stat -1 4 -1"


def collect(config: NodeConfig, deadline: Deadline) -> ProxiesFacts:
    """Gather the facts of HAProxy on this node."""
    del config
    info = parse_info(unix_dialogue(HAPROXY_SOCKET, "show info\n", deadline))
    servers = parse_stat(unix_dialogue(HAPROXY_SOCKET, f"{_STAT_OF_SERVERS}\n", deadline))
    table = unix_dialogue(HAPROXY_SOCKET, f"show table {WRITER_BACKEND}\n", deadline)
    return ProxiesFacts(
        servers=servers,
        sticky_writer=parse_writer(table, servers),
        version=info.get("Version", ""),
        uptime_seconds=(uptime := int(info.get("Uptime_sec", 0))),
        older_seconds=older(HAPROXY_FILE.default, time.time() - uptime),
    )


def older(path: Path, began: float) -> float:
    """How much older a process is than its file; 0 when it is younger, or the file is not there.

    Args:
        began: epoch seconds, from an uptime in whole seconds.
    """
    try:
        seconds = path.stat().st_mtime - began
    except OSError:
        return 0.0
    return round(seconds, 1) if seconds > OLDER_TOLERANCE_SECONDS else 0.0


def parse_info(answer: str) -> dict[str, str]:
    """``show info``: one ``name: value`` a line."""
    pairs = (line.split(":", 1) for line in answer.splitlines() if ":" in line)
    return {name.strip(): value.strip() for name, value in pairs}


def parse_stat(answer: str) -> tuple[ProxyServer, ...]:
    """``show stat`` restricted to servers: CSV whose header begins with ``# ``."""
    rows = csv.DictReader(io.StringIO(answer.removeprefix("# ").strip()))
    return tuple(
        ProxyServer(
            backend=row["pxname"],
            server=row["svname"],
            server_id=int(row["sid"]),
            status=status_word(row["status"], row["weight"]),
            backup=row["bck"] == "1",
            sessions=int(row["scur"] or 0),
            queue=int(row["qcur"] or 0),
            last_check=row["last_chk"] or row["check_status"],
        )
        for row in rows
    )


def status_word(status: str, weight: str) -> str:
    """HAProxy's own word, but for a server that its agent drained: that one is ``UP`` with weight 0 to HAProxy."""
    return "DRAIN" if status.startswith("UP") and weight == "0" else status


def parse_writer(answer: str, servers: tuple[ProxyServer, ...]) -> str | None:
    """The server that the table of the writer's backend holds, None when it is empty."""
    return sticky_server(answer, {item.server_id: item.server for item in servers if item.backend == WRITER_BACKEND})


def sticky_server(answer: str, names: Mapping[int, str]) -> str | None:
    """The name of the server that ``show table`` says connections stick to; None when the table is empty.

    The key (the server's name) is preferred to its number: the number is local to one HAProxy.

    Args:
        names: of the backend's servers, by HAProxy's number.
    """
    for line in answer.splitlines():
        # "-" is no name: the entry was set by number over the runtime API.
        if (key := re.search(r"\bserver_key=(\S+)", line)) and key[1] != "-":
            return key[1]
        if number := re.search(r"\bserver_id=(\d+)", line):
            return names.get(int(number[1]))
    return None


COLLECT = Collect(facts=ProxiesFacts, full=collect)
