# SPDX-License-Identifier: GPL-3.0-or-later
"""``application …``: what a person does in the application that serves: a shell, a command, a client of its database.

These commands give no JSON answer: the process becomes what was asked for, with its terminal and its exit code.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import pwd
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from trivet.node.errors import AgentError
from trivet.services.application import hooks, instance
from trivet.services.application.instance import Instance

CLIENTS: Mapping[str, Sequence[str]] = {
    "sql": ("mariadb",),
    # One snapshot, and nothing that needs more than the rights on the application's own schema.
    "dump": ("mariadb-dump", "--single-transaction", "--quick", "--no-tablespaces", "--hex-blob", "--skip-lock-tables"),
}
RELATIONSHIPS = "MAGENTO_CLOUD_RELATIONSHIPS"
SCHEME = "mysql"
READ_BY_ALL = 0o444
"""The client passes over a file that others may write; this one is in memory, and only its heirs have it."""


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``application …`` to the agent's command line."""
    commands = subparsers.add_parser("application", help="what serves on this node, from inside").add_subparsers(
        required=True
    )
    commands.add_parser("describe", help="its mounts, relationships, crons and workers").set_defaults(run=run_describe)
    shell = commands.add_parser("shell", help="become a shell or a command in it, as its account")
    shell.add_argument("words", nargs="*")
    shell.set_defaults(run=run_shell)
    database = commands.add_parser("database", help="become a client of a database that it relates to")
    database.add_argument("client", choices=CLIENTS)
    database.add_argument("relationship")
    database.add_argument("words", nargs="*")
    database.set_defaults(run=run_database)


def serving() -> Instance:
    """The instance that customers get from this node.

    Raises:
        AgentError: there is none.
    """
    name = instance.current()
    if name is None:
        raise AgentError("no release serves on this node")
    return instance.load(name)


def run_describe(_args: argparse.Namespace, _config: Mapping[str, Any]) -> dict[str, Any]:
    """What can be entered, without a secret."""
    found = serving()
    return {
        "instance": found.name,
        "application": found.application,
        "user": found.user,
        "mounts": [{"path": mount.target, "source": mount.source, "shared": mount.shared} for mount in found.mounts],
        "relationships": {
            name: {key: item.get(key) for key in ("service", "scheme", "host", "port", "path", "username")}
            for name, item in relationships(found).items()
        },
        "crons": [cron.name for cron in found.crons],
        "workers": sorted(found.workers),
    }


def run_shell(args: argparse.Namespace, _config: Mapping[str, Any]) -> NoReturn:
    """Become it. With a terminal it is a person's, and lives as long as that one stays."""
    found = serving()
    words = hooks.transient(found, f"trivet-shell-{time.time_ns()}.service", None)
    if sys.stdin.isatty():
        words[words.index("--pipe")] = "--pty"
    inside = ["-c", shlex.join(args.words)] if args.words else []
    become([*words, hooks.SHELL, *inside])


def run_database(args: argparse.Namespace, _config: Mapping[str, Any]) -> NoReturn:
    """Become the client, as the application's account."""
    found = serving()
    access = database_of(relationships(found), args.relationship)
    options = os.memfd_create("client", 0)
    os.write(options, client_options(access).encode())
    os.fchmod(options, READ_BY_ALL)
    account = pwd.getpwnam(found.user)
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    program, *rest = CLIENTS[args.client]
    words = [program, f"--defaults-file=/proc/self/fd/{options}", *rest, *args.words, str(access["path"])]
    become(words)


def become(words: Sequence[str]) -> NoReturn:
    """Have a program in the place of this one."""
    os.execvp(words[0], list(words))


def relationships(found: Instance) -> dict[str, Mapping[str, Any]]:
    """The endpoints that an instance relates to, by the relationship's name."""
    given = json.loads(base64.b64decode(found.environment.get(RELATIONSHIPS, "e30=")))
    return {name: items[0] for name, items in sorted(given.items())}


def database_of(known: Mapping[str, Mapping[str, Any]], name: str) -> Mapping[str, Any]:
    """The database of a relationship.

    Raises:
        AgentError: there is none of that name; names those that there are.
    """
    databases = [item for item, access in known.items() if access.get("scheme") == SCHEME]
    if name not in databases:
        raise AgentError(f"the application has no database {name!r}; it has {', '.join(databases) or 'none'}")
    return known[name]


def client_options(access: Mapping[str, Any]) -> str:
    """An option file of MariaDB's clients (MariaDB, *Configuring MariaDB with option files*)."""
    values = {"host": access["host"], "port": access["port"], "user": access["username"]}
    escaped = str(access["password"]).replace("\\", "\\\\").replace('"', '\\"')
    lines = [f"{key}={value}" for key, value in values.items()]
    return "\n".join(["[client]", *lines, f'password="{escaped}"', "default-character-set=utf8mb4", ""])
