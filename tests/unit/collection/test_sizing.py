# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings that follow from the size of a node."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from ansible.errors import AnsibleFilterError
from hypothesis import given
from hypothesis import strategies as st

from trivet.model.size import session_memory_mib

SOURCE = Path(__file__).resolve().parents[3] / "plugins" / "filter" / "sizing.py"
specification = importlib.util.spec_from_file_location("sizing", SOURCE)
assert specification and specification.loader
module = importlib.util.module_from_spec(specification)
specification.loader.exec_module(module)


def test_the_platform_rule_for_php_children() -> None:
    # (memory − 70) ÷ 45, rounded up; at least 2; from 25 on at most 5 × vCPU, but never below 25.
    assert module.php_children(70 + 45 * 10, 2) == 10
    assert module.php_children(71, 2) == 2
    assert module.php_children(70 + 45 * 100, 8) == 40
    assert module.php_children(70 + 45 * 30, 2) == 25


@given(st.integers(1, 64), st.integers(1024, 262144), st.sampled_from([1, 3]))
def test_every_node_size_leaves_room(cpus: int, memory: int, nodes: int) -> None:
    sizes = module.sizing({"cpus": cpus, "memory_mib": memory, "nodes": nodes})
    assert sizes["mariadb_max_connections"] >= nodes * sizes["php_fpm_max_children"]
    fixed = (
        sizes["mariadb_buffer_pool_mib"]
        + sizes["search_heap_mib"]
        + sizes["redis_cache_maxmemory_mib"]
        + sizes["redis_session_maxmemory_mib"]
    )
    assert fixed < memory * 0.75


@given(st.integers(1, 32), st.integers(2048, 65536))
def test_a_larger_node_never_gets_less(cpus: int, memory: int) -> None:
    small = module.sizing({"cpus": cpus, "memory_mib": memory})
    large = module.sizing({"cpus": cpus * 2, "memory_mib": memory * 2})
    assert all(large[name] >= small[name] for name in small)


@given(st.integers(256, 262144))
def test_the_preflight_knows_the_room_of_the_sessions(memory: int) -> None:
    sizes = module.sizing({"cpus": 2, "memory_mib": memory})
    assert session_memory_mib(memory) == sizes["redis_session_maxmemory_mib"]


@pytest.mark.parametrize("node", [{}, {"cpus": 1}, {"cpus": 0, "memory_mib": 100}, {"cpus": "x", "memory_mib": 1}])
def test_nonsense_is_refused(node: dict[str, object]) -> None:
    with pytest.raises(AnsibleFilterError):
        module.sizing(node)


@given(st.integers(1, 64), st.integers(700, 262144), st.integers(0, 20))
def test_web_nodes_have_memory_for_php_and_the_database_has_room_for_them(cpus: int, memory: int, web: int) -> None:
    node = {"cpus": cpus, "memory_mib": memory, "web_nodes": web}
    unified, web_only = module.sizing(node), module.sizing({**node, "web_only": True})
    assert web_only["php_fpm_max_children"] >= unified["php_fpm_max_children"]
    # What PHP takes leaves room for the system, unless it is the least of all pools or the floor of the rule.
    taken = 45 * web_only["php_fpm_max_children"]
    assert taken <= memory or web_only["php_fpm_max_children"] in (2, 25)
    assert unified["mariadb_max_connections"] >= (
        3 * unified["php_fpm_max_children"] + web * web_only["php_fpm_max_children"]
    )


def test_a_negative_number_of_web_nodes_is_refused() -> None:
    with pytest.raises(AnsibleFilterError):
        module.sizing({"cpus": 1, "memory_mib": 1000, "web_nodes": -1})
