# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of keys, which check and reference share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.project.test_check import APPLICATION, FILES, write
from trivet.project import check, keys

IGNORED = [key.name for key in keys.APPLICATION if key.use is keys.Use.IGNORED]


@pytest.mark.parametrize("name", IGNORED)
def test_an_ignored_key_is_warned_about_by_name(tmp_path: Path, name: str) -> None:
    write(tmp_path, {**FILES, ".magento.app.yaml": f"{APPLICATION}{name}: {{}}\n"})
    assert [item.message for item in check(tmp_path).warnings if item.key == name and "not served here" in item.message]


def test_no_key_stands_twice_in_a_group() -> None:
    for groups in keys.FILES.values():
        for group in groups:
            names = keys.names(group.keys)
            assert len(names) == len(set(names)), group.path
