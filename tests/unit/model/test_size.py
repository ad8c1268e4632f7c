# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of sizes and its scaling."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.errors import InputError
from trivet.model import SIZES, scaled
from trivet.model.size import size_named


def test_names_are_the_cpu_total_of_three_nodes() -> None:
    assert [size.cpus for size in SIZES.values()] == [2, 4, 8, 16, 32]
    assert all(int(name) == 3 * size.cpus for name, size in SIZES.items())


@pytest.mark.parametrize("name", ["", "7", "six", "-6"])
def test_unknown_sizes_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="is not in the table"):
        size_named(name)


@given(st.sampled_from(list(SIZES)), st.floats(0.01, 1), st.integers(1, 64))
def test_scaling_never_gives_nothing_nor_more_than_the_machine(name: str, factor: float, limit: int) -> None:
    size = scaled(SIZES[name], factor, limit)
    assert 1 <= size.cpus <= min(limit, max(1, SIZES[name].cpus))
    assert size.memory_mib <= SIZES[name].memory_mib


@pytest.mark.parametrize("factor", [0, -1, 1.5])
def test_bad_factors_are_refused(factor: float) -> None:
    with pytest.raises(InputError, match="--scale"):
        scaled(SIZES["6"], factor)
