# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter ``trivet.commerce.sizing``: what a node has → the settings of its services."""

from __future__ import annotations

import math
from typing import Any

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: sizing
short_description: Turn what a node has into the settings of its services
version_added: 0.1.0
author: Trivet
description:
  - One place for every figure that follows from the size of a node. The formulas are explained in C(docs/sizing.md).
options:
  _input:
    description:
      - C(cpus) (number of virtual CPUs) and C(memory_mib) (MiB of RAM) of the node, and C(nodes), how many nodes the
        environment has (3).
      - C(web_nodes), how many nodes with nginx and PHP-FPM only it has beside them (0), and C(web_only), whether this
        is one.
    type: dict
    required: true
"""

EXAMPLES = r"""
trivet_sizing: "{{ {'cpus': 2, 'memory_mib': 3840, 'nodes': 3} | trivet.commerce.sizing }}"
"""

RETURN = r"""
_value:
  description: Settings by name, in MiB, or counts.
  type: dict
"""

# Platform.sh's PHP-FPM rule, which Adobe's Pro clusters use: languages/php/fpm.md.
PHP_RESERVED_MIB = 70
PHP_REQUEST_MIB = 45
PHP_CAP_FROM = 25
PHP_CAP_PER_CPU = 5
# What a web node keeps for the system, nginx, HAProxy, the agent and the client of GlusterFS.
WEB_RESERVED_MIB = 384


def php_children(memory_for_php_mib: float, cpus: int) -> int:
    """PHP-FPM children = (memory for PHP − 70 MiB) ÷ 45 MiB, at least 2, at most 5 × vCPU from 25 on."""
    children = max(2, math.ceil((memory_for_php_mib - PHP_RESERVED_MIB) / PHP_REQUEST_MIB))
    if children >= PHP_CAP_FROM:
        return max(PHP_CAP_FROM, min(children, PHP_CAP_PER_CPU * cpus))
    return children


def sizing(node: dict[str, Any]) -> dict[str, int]:
    """Settings for a node that runs every service, or the web tier only (MiB, counts).

    :param node: ``cpus`` (int), ``memory_mib`` (int), ``nodes`` (int, default 3), ``web_nodes`` (int, default 0),
        ``web_only`` (bool, default false).
    :raises AnsibleFilterError: when a figure is missing or not positive.
    """
    try:
        cpus, memory, nodes = int(node["cpus"]), int(node["memory_mib"]), int(node.get("nodes", 3))
        web_nodes = int(node.get("web_nodes", 0))
    except (KeyError, TypeError, ValueError) as error:
        raise AnsibleFilterError(f"sizing needs the numbers cpus and memory_mib: {error}") from error
    if min(cpus, memory, nodes) < 1 or web_nodes < 0:
        raise AnsibleFilterError("sizing needs cpus, memory_mib and nodes of at least 1")
    unified_children = php_children(memory * 0.25, cpus)
    # Only what is used of it takes memory. With 10 MiB of strings Magento filled them at once.
    opcache = min(512, max(128, memory // 12))
    web_children = php_children(memory - WEB_RESERVED_MIB - opcache, cpus)
    return {
        "cpus": cpus,
        "memory_mib": memory,
        "nodes": nodes,
        "php_fpm_max_children": web_children if node.get("web_only") else unified_children,
        "opcache_mib": opcache,
        # A part of it.
        "opcache_strings_mib": min(64, opcache // 5),
        # A unified node leaves 25 % of RAM to InnoDB; half would starve the other services.
        "mariadb_buffer_pool_mib": max(128, memory // 4),
        # Every child of every node may talk to the one writer, and a neighbour may be one size ahead (twice the
        # children), as may a web node.
        "mariadb_max_connections": max(300, 2 * (unified_children * nodes + web_children * web_nodes) + 50),
        # A node must find its absence in the cache (IST); a rotation keeps it away for minutes.
        "mariadb_gcache_mib": min(4096, max(128, memory // 8)),
        "redis_cache_maxmemory_mib": max(64, memory // 16),
        "redis_session_maxmemory_mib": max(64, memory // 24),
        "search_heap_mib": min(31744, max(256, memory // 8)),
        "rabbitmq_memory_limit_mib": max(256, memory // 16),
        "haproxy_maxconn": max(2000, 1000 * cpus),
    }


class FilterModule:
    """Filters of the collection."""

    def filters(self) -> dict[str, Any]:
        return {"sizing": sizing}
