# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of the shop that Galera does not keep alike on all members, which a change of nodes would lay bare.

Galera replicates InnoDB by primary key: a table of another engine is not replicated, and without a primary key rows may
stand in another order on each member, and cannot be deleted (Galera Cluster, "Differences from a Standalone MySQL
Server"). An imported shop may have both: Magento's index tables were of engine MEMORY until 2.4.1.
"""

from __future__ import annotations

from trivet.model import Node
from trivet.remote import Nodes

SYSTEM_SCHEMAS = ("mysql", "sys", "information_schema", "performance_schema")
TOLD_TABLES = 5
_OWN = f"t.TABLE_TYPE = 'BASE TABLE' AND t.TABLE_SCHEMA NOT IN ({', '.join(map(repr, SYSTEM_SCHEMAS))})"
QUERY = (
    "SELECT t.TABLE_SCHEMA, t.TABLE_NAME, t.ENGINE, COUNT(c.CONSTRAINT_NAME)"
    " FROM information_schema.TABLES t LEFT JOIN information_schema.TABLE_CONSTRAINTS c"
    " ON c.TABLE_SCHEMA = t.TABLE_SCHEMA AND c.TABLE_NAME = t.TABLE_NAME AND c.CONSTRAINT_TYPE = 'PRIMARY KEY'"
    f" WHERE {_OWN} GROUP BY t.TABLE_SCHEMA, t.TABLE_NAME, t.ENGINE"
    " HAVING t.ENGINE <> 'InnoDB' OR COUNT(c.CONSTRAINT_NAME) = 0"
)


def table_warnings(nodes: Nodes) -> tuple[str, ...]:
    """What the first node that answers says of such tables, in words; nothing when none answers."""
    for node in nodes.environment.nodes:
        rows = _rows(nodes, node)
        if rows is not None:
            return warnings_of(rows)
    return ()


def warnings_of(rows: list[tuple[str, str, str, int]]) -> tuple[str, ...]:
    """A sentence for each kind of such tables.

    :param rows: schema, table, engine, number of primary keys.
    """
    others = [f"{schema}.{table} ({engine})" for schema, table, engine, _ in rows if engine != "InnoDB"]
    keyless = [f"{schema}.{table}" for schema, table, engine, keys in rows if engine == "InnoDB" and not keys]
    found = []
    if others:
        found.append(f"tables that Galera does not replicate, of another engine than InnoDB: {_some(others)}")
    if keyless:
        found.append(f"tables without a primary key, which Galera does not keep alike: {_some(keyless)}")
    return tuple(found)


def _rows(nodes: Nodes, node: Node) -> list[tuple[str, str, str, int]] | None:
    answer = nodes.run(node, ["mariadb", "--no-defaults", "--batch", "--skip-column-names", "-e", QUERY], timeout=20)
    if answer.code != 0:
        return None
    words = [line.split("\t") for line in answer.output.splitlines()]
    return [(row[0], row[1], row[2], int(row[3])) for row in words if len(row) == 4]


def _some(names: list[str]) -> str:
    more = f" and {len(names) - TOLD_TABLES} more" if len(names) > TOLD_TABLES else ""
    return ", ".join(names[:TOLD_TABLES]) + more
