# SPDX-License-Identifier: GPL-3.0-or-later
"""``search …``: prepare the search cluster for the absence of a node; Elasticsearch and OpenSearch alike."""

from __future__ import annotations

import argparse
import json
import socket
import time
from collections.abc import Mapping
from typing import Any

from trivet.agent.errors import AgentError
from trivet.health.collectors.search import allocation_of
from trivet.health.config import SEARCH_ALLOCATION, SEARCH_ALLOCATION_FLAG, SEARCH_PORT, NodeConfig
from trivet.health.facts import Flag
from trivet.health.http import OK, Response, exchange

ANSWER_SECONDS = 30.0
TIMED_OUT = 408
"""The status of a health that was not reached in time."""
ALLOCATION_SECONDS = 3600.0
"""How long an allocation stays limited whose caller does not say."""


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``search …`` to the agent's command line."""
    commands = subparsers.add_parser("search", help="the search cluster").add_subparsers(required=True)
    allocation = commands.add_parser("allocation", help="which shards may be placed anew")
    allocation.add_argument("which", choices=("all", "primaries"))
    allocation.add_argument("--owner", default="operator", help="who limits it (recorded)")
    allocation.add_argument(
        "--expires", type=float, default=ALLOCATION_SECONDS, metavar="SECONDS", help="it is all again by itself"
    )
    allocation.add_argument(
        "--wait", type=float, default=0.0, metavar="SECONDS", help="with all: wait until every copy is there"
    )
    allocation.set_defaults(run=run_allocation)
    commands.add_parser("flush", help="write to disk what the logs hold").set_defaults(run=run_flush)


def run_allocation(args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """Set the allocation of the whole cluster; a limit has an owner and an end, and is renewed by its owner."""
    if args.which == "all":
        allow_all(config)
        return {"allocation": "all", "placed": placed(config, args.wait) if args.wait > 0 else None}
    if args.expires <= 0:
        raise AgentError("--expires needs a positive number of seconds")
    _, present = allocation(config)
    now = time.time()
    since = present.since if present and present.owner == args.owner and present.since else now
    flag = {"owner": args.owner, "since": since, "expires": now + args.expires}
    # One request: there is no limit without its owner.
    persistent = {SEARCH_ALLOCATION: args.which, SEARCH_ALLOCATION_FLAG: json.dumps(flag)}
    request(config, "PUT", "/_cluster/settings", {"persistent": persistent})
    return {"allocation": args.which, **flag}


def allocation(config: Mapping[str, Any]) -> tuple[str, Flag | None]:
    """Which shards the cluster may place anew, and who limited it.

    Raises:
        AgentError: no node of the search cluster answers.
    """
    return allocation_of(request(config, "GET", "/_cluster/settings?flat_settings=true"))


def allow_all(config: Mapping[str, Any]) -> None:
    """Remove every limit of the allocation and its flag, so that nothing of them is left behind.

    The transient layer is none of Trivet's, but goes before the persistent one: a limit there would stay in force.
    """
    removed = {SEARCH_ALLOCATION: None, SEARCH_ALLOCATION_FLAG: None}
    request(config, "PUT", "/_cluster/settings", {"persistent": removed, "transient": {SEARCH_ALLOCATION: None}})


def placed(config: Mapping[str, Any], seconds: float) -> bool:
    """Whether every copy is where it belongs; waits so long for it at most.

    Where copies begin to move is decided some time after the allocation was set: that none does says nothing.
    """
    query = f"wait_for_status=green&wait_for_no_relocating_shards=true&timeout={seconds:.0f}s"
    try:
        return not request(config, "GET", f"/_cluster/health?{query}", also=(TIMED_OUT,))["timed_out"]
    except AgentError:
        # The cluster elects its manager, or is too busy to say: the verdict will tell.
        return False


def run_flush(_args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """Flush all indices: a node that comes back has less to replay."""
    shards = request(config, "POST", "/_flush").get("_shards", {})
    return {"shards": shards, "flushed": shards.get("failed", 0) == 0}


def request(
    config: Mapping[str, Any], method: str, path: str, body: object = None, also: tuple[int, ...] = ()
) -> dict[str, Any]:
    """Ask the cluster by this node, or by the next one that answers.

    Args:
        also: statuses beside 200 that are answers.

    Raises:
        AgentError: no node answers, or the answer is an error.
    """
    node = NodeConfig.from_mapping(config)
    others = [member.address for member in node.members if member.address != node.address]
    problems = []
    for address in (node.address, *others):
        try:
            response = _exchange(address, method, path, body)
        except (OSError, ValueError) as problem:
            problems.append(f"{address}: {problem}")
            continue
        if response.status not in (OK, *also):
            raise AgentError(f"{method} {path}: {response.status} {response.body[:300].decode(errors='replace')}")
        answer: dict[str, Any] = json.loads(response.body)
        return answer
    raise AgentError(f"no search node answers: {'; '.join(problems)}")


def _exchange(address: str, method: str, path: str, body: object) -> Response:
    """One request to one node.

    Raises:
        OSError, ValueError: it does not answer in time, or not by HTTP.
    """
    headers = {"Host": f"{address}:{SEARCH_PORT}", "Content-Type": "application/json"}
    content = json.dumps(body).encode() if body is not None else b""
    with socket.create_connection((address, SEARCH_PORT), ANSWER_SECONDS) as connection:
        return exchange(connection, method, path, headers, content)
