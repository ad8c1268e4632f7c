# SPDX-License-Identifier: GPL-3.0-or-later
"""``search …``: prepare the search cluster for the absence of this node; Elasticsearch and OpenSearch alike."""

from __future__ import annotations

import argparse
import http.client
import json
from collections.abc import Mapping
from typing import Any

from trivet.agent.errors import AgentError
from trivet.health.config import SEARCH_PORT, NodeConfig

ANSWER_SECONDS = 30.0
ALLOCATION = "cluster.routing.allocation.enable"


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``search …`` to the agent's command line."""
    commands = subparsers.add_parser("search", help="the search cluster").add_subparsers(required=True)
    allocation = commands.add_parser("allocation", help="which shards may be placed anew")
    allocation.add_argument("which", choices=("all", "primaries"))
    allocation.set_defaults(run=run_allocation)
    commands.add_parser("flush", help="write to disk what the logs hold").set_defaults(run=run_flush)


def run_allocation(args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """Set the allocation. ``all`` removes the setting, so that nothing of it is left behind."""
    value = None if args.which == "all" else args.which
    request(config, "PUT", "/_cluster/settings", {"persistent": {ALLOCATION: value}})
    return {"allocation": args.which}


def run_flush(_args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """Flush all indices: a node that comes back has less to replay."""
    shards = request(config, "POST", "/_flush").get("_shards", {})
    return {"shards": shards, "flushed": shards.get("failed", 0) == 0}


def request(config: Mapping[str, Any], method: str, path: str, body: object = None) -> dict[str, Any]:
    """Ask the cluster by this node, or by the next one that answers.

    Raises:
        AgentError: no node answers, or the answer is an error.
    """
    node = NodeConfig.from_mapping(config)
    others = [member.address for member in node.members if member.address != node.address]
    problems = []
    for address in (node.address, *others):
        connection = http.client.HTTPConnection(address, SEARCH_PORT, timeout=ANSWER_SECONDS)
        try:
            connection.request(
                method, path, json.dumps(body) if body is not None else None, {"Content-Type": "application/json"}
            )
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as problem:
            problems.append(f"{address}: {problem}")
            continue
        finally:
            connection.close()
        if response.status != http.client.OK:
            raise AgentError(f"{method} {path}: {response.status} {content[:300].decode(errors='replace')}")
        answer: dict[str, Any] = json.loads(content)
        return answer
    raise AgentError(f"no search node answers: {'; '.join(problems)}")
