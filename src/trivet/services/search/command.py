# SPDX-License-Identifier: GPL-3.0-or-later
"""``search …``: prepare the search cluster for the absence of a node; Elasticsearch and OpenSearch alike."""

from __future__ import annotations

import argparse
import json
import socket
import time
from collections.abc import Mapping
from typing import Any

from trivet.health.config import SEARCH_ALLOCATION, SEARCH_ALLOCATION_FLAG, NodeConfig
from trivet.health.facts import Flag
from trivet.health.http import OK, Response, exchange
from trivet.node.errors import AgentError
from trivet.services.search.collect import allocation_of
from trivet.services.search.contract import HTTP_PORT

ANSWER_SECONDS = 30.0
TIMED_OUT = 408
"""The status of a health that was not reached in time."""
CREATED = 201
NOT_FOUND = 404
ALLOCATION_SECONDS = 3600.0
"""How long an allocation stays limited whose caller does not say."""
WARM_INDEX = "trivet-warm"
"""A few documents of Trivet's own, hidden, with a copy on every node also while the allocation of others is limited.

There while an engine is warmed."""
WARM_COPY_SECONDS = 2.0
"""How long to wait for its copy on this node."""
WARM_SEARCHES = 8
WARM_SECONDS = 2.0
"""No further search is begun after that."""
WARM_ANSWER_SECONDS = 3.0
"""How long a node may take for one answer; a rotation goes on without warm searches."""


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
    warm = commands.add_parser(
        "warm", help="search on this node's engine, before it gets a copy of what customers search"
    )
    warm.set_defaults(run=run_warm)


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


def placed(config: Mapping[str, Any], seconds: float, index: str = "") -> bool:
    """Whether every copy is where it belongs, of one index or of all; waits so long for it at most.

    Where copies begin to move is decided some time after the allocation was set: that none does says nothing.
    """
    path = f"/_cluster/health/{index}" if index else "/_cluster/health"
    query = f"wait_for_status=green&wait_for_no_relocating_shards=true&timeout={seconds:.0f}s"
    try:
        return not request(config, "GET", f"{path}?{query}", also=(TIMED_OUT,))["timed_out"]
    except AgentError:
        # The cluster elects its manager, or is too busy to say: the verdict will tell.
        return False


def run_flush(_args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """Flush all indices: a node that comes back has less to replay."""
    shards = request(config, "POST", "/_flush").get("_shards", {})
    return {"shards": shards, "flushed": shards.get("failed", 0) == 0}


def run_warm(_args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """Have this node's engine answer searches before it gets copies of the indices that customers search.

    Searches go to a copy from the moment that it is there, also by way of other nodes, and the first one on an engine
    that has just started loads and interprets code for a tenth of a second or several: nobody should wait for it.

    Returns:
        whether the copy was here in time, how many searches there were, and the milliseconds of the first and the last.

    Raises:
        AgentError: no node of the search cluster answers, or this node's engine answers no search.
    """
    # What a run that was killed has left.
    _remove_warm_index(config)
    try:
        _make_warm_index(config)
        here = placed(config, WARM_COPY_SECONDS, WARM_INDEX)
        node = NodeConfig.from_mapping(config)
        server = (node.address, node.terms[HTTP_PORT])
        milliseconds = [_search_milliseconds(server)]
        end = time.monotonic() + WARM_SECONDS
        while len(milliseconds) < WARM_SEARCHES and time.monotonic() < end:
            milliseconds.append(_search_milliseconds(server))
    finally:
        # Left behind, it would be one more index whose copies must be healthy.
        _remove_warm_index(config)
    return {
        "placed": here,
        "searches": len(milliseconds),
        "first_ms": milliseconds[0],
        "last_ms": milliseconds[-1],
    }


def _make_warm_index(config: Mapping[str, Any]) -> None:
    """An index with a few documents to search.

    Raises:
        AgentError: no node of the search cluster answers, or it refuses.
    """
    index = {
        "hidden": True,
        "number_of_shards": 1,
        "auto_expand_replicas": "0-all",
        # Stands above what is set for the whole cluster.
        "routing.allocation.enable": "all",
    }
    fields = {"name": {"type": "text"}, "kind": {"type": "keyword"}, "price": {"type": "double"}}
    made = {"settings": {"index": index}, "mappings": {"properties": fields}}
    request(config, "PUT", f"/{WARM_INDEX}", made, seconds=WARM_ANSWER_SECONDS)
    for number, name in enumerate(("red wool scarf", "blue cotton shirt", "green linen shirt"), start=1):
        document = {"name": name, "kind": name.split()[-1], "price": 10.0 * number}
        path = f"/{WARM_INDEX}/_doc/{number}?refresh=true"
        request(config, "PUT", path, document, also=(CREATED,), seconds=WARM_ANSWER_SECONDS)


def _remove_warm_index(config: Mapping[str, Any]) -> None:
    """Remove the index of the searches where there is one.

    Raises:
        AgentError: no node of the search cluster answers, or it refuses.
    """
    request(config, "DELETE", f"/{WARM_INDEX}", also=(NOT_FOUND,), seconds=WARM_ANSWER_SECONDS)


def _search_milliseconds(server: tuple[str, int]) -> float:
    """How long one search like that of a shop (text with mistakes, a filter, counts, an order) takes on one node.

    Raises:
        AgentError: it does not answer, or with an error.
    """
    text = {"multi_match": {"query": "bleu shirt", "fields": ["name^3"], "fuzziness": "AUTO", "prefix_length": 1}}
    begun = {"match_phrase_prefix": {"name": {"query": "blue cotton sh"}}}
    search = {
        "size": 24,
        "query": {"bool": {"should": [text, begun], "filter": [{"range": {"price": {"gte": 1}}}]}},
        "aggs": {"kinds": {"terms": {"field": "kind"}}, "prices": {"stats": {"field": "price"}}},
        "sort": ["_score", {"price": "desc"}],
    }
    started = time.monotonic()
    try:
        path = f"/{WARM_INDEX}/_search?preference=_local"
        response = _exchange(server, "POST", path, search, WARM_ANSWER_SECONDS)
    except (OSError, ValueError) as problem:
        raise AgentError(f"{server[0]}: {problem}") from problem
    if response.status != OK:
        raise AgentError(f"a search on {server[0]}: {response.status} {response.body[:300].decode(errors='replace')}")
    return round((time.monotonic() - started) * 1000, 1)


def request(
    config: Mapping[str, Any],
    method: str,
    path: str,
    body: object = None,
    also: tuple[int, ...] = (),
    seconds: float = ANSWER_SECONDS,
) -> dict[str, Any]:
    """Ask the cluster by this node, or by the next one that answers.

    Args:
        also: statuses beside 200 that are answers.
        seconds: how long each node may take to answer.

    Raises:
        AgentError: no node answers, or the answer is an error.
    """
    node = NodeConfig.from_mapping(config)
    others = [member.address for member in node.members if member.address != node.address]
    problems = []
    for address in (node.address, *others):
        try:
            response = _exchange((address, node.terms[HTTP_PORT]), method, path, body, seconds)
        except (OSError, ValueError) as problem:
            problems.append(f"{address}: {problem}")
            continue
        if response.status not in (OK, *also):
            raise AgentError(f"{method} {path}: {response.status} {response.body[:300].decode(errors='replace')}")
        answer: dict[str, Any] = json.loads(response.body)
        return answer
    raise AgentError(f"no search node answers: {'; '.join(problems)}")


def _exchange(server: tuple[str, int], method: str, path: str, body: object, seconds: float) -> Response:
    """One request to one node.

    Raises:
        OSError, ValueError: it does not answer in time, or not by HTTP.
    """
    headers = {"Host": f"{server[0]}:{server[1]}", "Content-Type": "application/json"}
    content = json.dumps(body).encode() if body is not None else b""
    with socket.create_connection(server, seconds) as connection:
        return exchange(connection, method, path, headers, content)
