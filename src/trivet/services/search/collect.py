# SPDX-License-Identifier: GPL-3.0-or-later
"""The search engine's cluster as this node's member sees it; Elasticsearch and OpenSearch answer alike."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from trivet.health.collector import Collect
from trivet.health.config import SEARCH_ALLOCATION, SEARCH_ALLOCATION_FLAG, NodeConfig
from trivet.health.external import Deadline, NoAnswer, NotRunning, http_get, unit_state
from trivet.health.facts import Flag
from trivet.health.flags import flag_of
from trivet.services.search.contract import ENGINE, HTTP_PORT
from trivet.services.search.facts import SearchFacts


def collect(config: NodeConfig, deadline: Deadline) -> SearchFacts:
    """Gather the facts of the search engine on this node."""
    unit = unit_state(f"{config.terms[ENGINE]}.service", deadline)
    try:
        root = _get(config, "/", deadline)
        # local: the question is what this member knows, also while it finds no cluster manager.
        health = _get(config, "/_cluster/health?local=true&level=indices", deadline)
        settings = _get(config, "/_cluster/settings?flat_settings=true&local=true", deadline)
        return parse(root, health, settings, unit)
    except NoAnswer as problem:
        return SearchFacts(error=str(problem), down=isinstance(problem, NotRunning), unit=unit)


def _get(config: NodeConfig, path: str, deadline: Deadline) -> dict[str, Any]:
    response = http_get(config.address, config.terms[HTTP_PORT], path, deadline)
    if response.status != 200:
        raise NoAnswer(f"{path} answered {response.status}")
    try:
        data = json.loads(response.body)
    except ValueError as problem:
        raise NoAnswer(f"{path} answered no JSON") from problem
    if not isinstance(data, dict):
        raise NoAnswer(f"{path} answered no object")
    return data


def parse(root: Mapping[str, Any], health: Mapping[str, Any], settings: Mapping[str, Any], unit: str) -> SearchFacts:
    """Facts from the three answers."""
    allocation, flag = allocation_of(settings)
    return SearchFacts(
        unit=unit,
        status=str(health.get("status", "")),
        single_copies=tuple(
            name
            for name, index in sorted(health.get("indices", {}).items())
            if index.get("number_of_replicas") == 0 and not name.startswith(".")
        ),
        cluster_uuid=str(root.get("cluster_uuid", "")),
        node_name=str(root.get("name", "")),
        version=str(root.get("version", {}).get("number", "")),
        nodes=int(health.get("number_of_nodes", 0)),
        initializing_shards=int(health.get("initializing_shards", 0)),
        relocating_shards=int(health.get("relocating_shards", 0)),
        unassigned_shards=int(health.get("unassigned_shards", 0)),
        delayed_shards=int(health.get("delayed_unassigned_shards", 0)),
        pending_tasks=int(health.get("number_of_pending_tasks", 0)),
        allocation=allocation,
        allocation_flag=flag,
    )


def allocation_of(settings: Mapping[str, Any]) -> tuple[str, Flag | None]:
    """Which shards may be placed anew, and who limited it; from the flat settings of the cluster."""
    layers = [settings.get(layer, {}) for layer in ("transient", "persistent")]
    allocation = next((str(layer[SEARCH_ALLOCATION]) for layer in layers if layer.get(SEARCH_ALLOCATION)), "all")
    text = layers[-1].get(SEARCH_ALLOCATION_FLAG)
    if allocation == "all" or not text:
        return allocation, None
    try:
        return allocation, flag_of(json.loads(text))
    except ValueError:
        return allocation, None


COLLECT = Collect(facts=SearchFacts, full=collect, members_only=True)
