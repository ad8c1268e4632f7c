# SPDX-License-Identifier: GPL-3.0-or-later
"""The clients of this node's MariaDB: what each of them keeps, and how the server closes those that keep nothing.

The server tells of a transaction once it has touched a table (INNODB_TRX, and the metadata lock that it holds), of
``GET_LOCK`` and ``LOCK TABLES`` by the plugin ``metadata_lock_info``. It does not tell of temporary tables and of a
transaction that was only begun; both are of clients whose next statement follows at once, so that one which has been
idle for SETTLED_SECONDS has neither, but for programs that compute for longer between two of theirs.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from trivet.health.config import NodeConfig
from trivet.health.external import Deadline
from trivet.node.clients import Seen
from trivet.services.database.facts import Client
from trivet.services.database.server import ask

SETTLED_SECONDS = 0.4
"""How long a client must have been idle. INNODB_TRX is renewed once in 0.1 s only, and then not while it is asked."""
SECONDS = 5.0
_OWN = ("system user", "event_scheduler", "trivet_check")
"""Replication, events, and the checks of the proxies."""
_CLIENT, _LOCK = "trivet_client", "trivet_lock"
STATEMENT_CHARACTERS = 80
QUESTION = f"""
SELECT '{_CLIENT}', JSON_OBJECT('number', p.ID, 'user', p.USER, 'host', p.HOST, 'idle', p.COMMAND = 'Sleep',
 'seconds', p.TIME_MS / 1000, 'statement', LEFT(p.INFO, {STATEMENT_CHARACTERS}),
 'transaction', TIMESTAMPDIFF(SECOND, t.trx_started, NOW()), 'rows', t.trx_rows_modified)
 FROM information_schema.PROCESSLIST p LEFT JOIN information_schema.INNODB_TRX t ON t.trx_mysql_thread_id = p.ID
 WHERE p.ID <> CONNECTION_ID() AND p.COMMAND NOT IN ('Daemon', 'Binlog Dump')
 AND p.USER NOT IN ({", ".join(map(repr, _OWN))});
SET @trivet_locks = (SELECT IF(COUNT(*) > 0,
 "SELECT '{_LOCK}', JSON_OBJECT('number', THREAD_ID, 'kind', LOCK_TYPE, 'schema', TABLE_SCHEMA, 'table', TABLE_NAME,
 'seconds', LOCK_TIME_MS / 1000) FROM information_schema.METADATA_LOCK_INFO", 'DO 0')
 FROM information_schema.PLUGINS WHERE PLUGIN_NAME = 'METADATA_LOCK_INFO' AND PLUGIN_STATUS = 'ACTIVE');
EXECUTE IMMEDIATE @trivet_locks;
"""
"""Whoever is connected, and all locks where the plugin is there; a release before this one did not load it."""


def read(lines: Iterable[str]) -> tuple[Client, ...]:
    """The clients in the answer to QUESTION; other lines are left out."""
    rows: dict[str, list[Mapping[str, Any]]] = {_CLIENT: [], _LOCK: []}
    for line in lines:
        name, _, text = line.partition("\t")
        if name in rows:
            rows[name].append(json.loads(text))
    locks: dict[int, list[Mapping[str, Any]]] = {}
    for lock in rows[_LOCK]:
        locks.setdefault(int(lock["number"]), []).append(lock)
    return tuple(_client(row, locks.get(int(row["number"]), [])) for row in rows[_CLIENT])


def _client(row: Mapping[str, Any], locks: list[Mapping[str, Any]]) -> Client:
    # A lock with a name of its own says more than that of a table, which every transaction has.
    first = min(locks, key=lambda lock: lock["kind"] == "Table metadata lock", default=None)
    return Client(
        number=int(row["number"]),
        user=str(row["user"]),
        host=str(row["host"] or ""),
        idle=bool(row["idle"]),
        seconds=float(row["seconds"] or 0),
        statement=" ".join(str(row["statement"] or "").split()),
        transaction_seconds=None if row["transaction"] is None else float(row["transaction"]),
        rows=int(row["rows"] or 0),
        lock="" if first is None else _lock_name(first),
        lock_seconds=max((float(lock["seconds"] or 0) for lock in locks), default=0.0),
    )


def _lock_name(lock: Mapping[str, Any]) -> str:
    name = ".".join(filter(None, (str(lock["schema"] or ""), str(lock["table"] or ""))))
    kind = {"User lock": "GET_LOCK", "Table metadata lock": "table"}.get(str(lock["kind"]), str(lock["kind"]))
    return f"{kind} {name}".strip()


def is_free(client: Client) -> bool:
    """Whether the server may close the connection without a loss: the client will make a new one."""
    keeps = client.transaction_seconds is not None or bool(client.lock)
    return client.idle and not keeps and client.seconds >= SETTLED_SECONDS


def comes_by_proxy(client: Client) -> bool:
    """Whether it comes by a proxy of any node, as far as the server tells: from an address, not from this machine."""
    address, colon, _ = client.host.rpartition(":")
    return bool(colon) and address not in ("127.0.0.1", "::1", "localhost")


def words(client: Client, names: Mapping[str, str]) -> str:
    """Who it is and what it keeps, for an operator.

    Args:
        names: nodes by address.
    """
    address = client.host.rpartition(":")[0] or client.host
    who = f"{client.user} from {names.get(address, address)} (connection {client.number})"
    keeps = ", ".join(_keeps(client))
    return f"{who}: {keeps or f'idle for {client.seconds:.0f} s'}"


def _keeps(client: Client) -> Iterator[str]:
    if client.transaction_seconds is not None:
        changed = f" with {client.rows} changed rows" if client.rows else ""
        yield f"in a transaction{changed} for {client.transaction_seconds:.0f} s"
    if client.lock and not (client.transaction_seconds is not None and client.lock.startswith("table ")):
        yield f"holds the lock «{client.lock}» for {client.lock_seconds:.0f} s"
    if not client.idle:
        yield f"runs «{client.statement}» for {client.seconds:.0f} s"
    elif client.transaction_seconds is not None or client.lock:
        yield f"idle for {client.seconds:.0f} s"


def look(node: NodeConfig) -> list[Seen]:
    """Whoever comes by a proxy now.

    Raises:
        NoAnswer: the server does not answer, or refuses the question.
    """
    names = {member.address: member.name for member in node.members}
    clients = read(ask(QUESTION, Deadline(SECONDS)).splitlines())
    return [
        Seen(number=client.number, free=is_free(client), words=words(client, names))
        for client in clients
        if comes_by_proxy(client)
    ]


def end(numbers: Collection[int]) -> None:
    """Close these connections at the server, each only if it is idle as before at that very moment.

    Raises:
        NoAnswer: the server does not answer.
    """
    ask("".join(_KILL.format(number=number) for number in numbers), Deadline(SECONDS), go_on=True)


_KILL = f"""
SET @trivet_kill = (SELECT IF(COUNT(*) > 0, 'KILL CONNECTION {{number}}', 'DO 0') FROM information_schema.PROCESSLIST
 WHERE ID = {{number}} AND COMMAND = 'Sleep' AND TIME_MS >= {SETTLED_SECONDS * 1000:.0f});
EXECUTE IMMEDIATE @trivet_kill;
"""
